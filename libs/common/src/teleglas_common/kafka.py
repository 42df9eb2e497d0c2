"""The bus of a service's settings."""

from __future__ import annotations

from dataclasses import replace

from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.settings import KafkaSection
from teleglas_common.tls import ReloadingContext

__all__ = ["GATHERED_BYTES", "GATHER_S", "create_bus", "kafka_settings", "tls_of"]

GATHER_S, GATHERED_BYTES = 0.2, 4_096
"""A busy log fills this in milliseconds; a quiet one is asked five times a second, not at every
event: a fetch costs both sides more than the events it brings.
"""


def tls_of(section: KafkaSection) -> ReloadingContext | None:
    """TLS as the settings want it; none where the broker is spoken to in plain text."""
    if not section.security_protocol.endswith("SSL"):
        return None
    return ReloadingContext(section.ssl_ca_file, section.ssl_cert_file, section.ssl_key_file)


def kafka_settings(section: KafkaSection, client_id: str) -> KafkaSettings:
    """The same for the bus."""
    return KafkaSettings(
        bootstrap_servers=section.bootstrap,
        client_id=client_id,
        security_protocol=section.security_protocol,
        ssl_context=tls_of(section),
        replication_factor=section.replication_factor,
        sasl_mechanism=section.sasl_mechanism,
        sasl_username=section.sasl_username or None,
        sasl_password=section.sasl_password.get_secret_value() or None,
    )


def create_bus(section: KafkaSection, client_id: str, *, reads_feeds: bool = False) -> KafkaBus:
    """Apache Kafka as the settings describe it. `reads_feeds`: of topics that carry every event of
    a market.
    """
    settings = kafka_settings(section, client_id)
    if reads_feeds:
        settings = replace(settings, fetch_wait_s=GATHER_S, fetch_min_bytes=GATHERED_BYTES)
    return KafkaBus(settings)
