"""The bus on Apache Kafka, by aiokafka."""

from teleglas_common.bus.kafka.bus import KafkaBus
from teleglas_common.bus.kafka.settings import KafkaSettings

__all__ = ["KafkaBus", "KafkaSettings"]
