"""From a service's settings to a bus on Kafka."""

from __future__ import annotations

import ssl

from teleglas_common.bus.kafka.bus import KafkaBus
from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.settings import KafkaSection

__all__ = ["connect"]


def connect(section: KafkaSection, client_id: str) -> KafkaBus:
    """A bus that speaks to the brokers as the section says. Opens no connection yet."""
    context = None
    if section.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(
            cafile=None if section.ssl_ca_file is None else str(section.ssl_ca_file)
        )
        if section.ssl_cert_file is not None:
            context.load_cert_chain(section.ssl_cert_file, section.ssl_key_file)
    sasl = section.security_protocol.startswith("SASL")
    return KafkaBus(
        KafkaSettings(
            bootstrap_servers=section.bootstrap,
            client_id=client_id,
            security_protocol=section.security_protocol,
            ssl_context=context,
            sasl_mechanism=section.sasl_mechanism,
            sasl_username=section.sasl_username if sasl else None,
            sasl_password=section.sasl_password.get_secret_value() if sasl else None,
        )
    )
