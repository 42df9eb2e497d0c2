"""The bus of a service's settings."""

from __future__ import annotations

import ssl

from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.settings import KafkaSection

__all__ = ["create_bus"]


def create_bus(section: KafkaSection, client_id: str) -> KafkaBus:
    """Apache Kafka as the settings describe it; certificates are read here."""
    context = None
    if section.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=section.ssl_ca_file)
        if section.ssl_cert_file is not None:
            context.load_cert_chain(section.ssl_cert_file, section.ssl_key_file)
    return KafkaBus(
        KafkaSettings(
            bootstrap_servers=section.bootstrap,
            client_id=client_id,
            security_protocol=section.security_protocol,
            ssl_context=context,
            sasl_mechanism=section.sasl_mechanism,
            sasl_username=section.sasl_username or None,
            sasl_password=section.sasl_password.get_secret_value() or None,
        )
    )
