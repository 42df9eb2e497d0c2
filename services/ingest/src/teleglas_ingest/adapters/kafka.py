"""From the settings' section to the bus's own."""

from __future__ import annotations

import ssl

from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.settings import KafkaSection

__all__ = ["kafka_settings"]


def kafka_settings(section: KafkaSection) -> KafkaSettings:
    context: ssl.SSLContext | None = None
    if section.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=section.ssl_ca_file)
        if section.ssl_cert_file is not None:
            context.load_cert_chain(section.ssl_cert_file, section.ssl_key_file)
    sasl = section.security_protocol.startswith("SASL")
    return KafkaSettings(
        section.bootstrap,
        client_id="teleglas-ingest",
        security_protocol=section.security_protocol,
        ssl_context=context,
        sasl_mechanism=section.sasl_mechanism,
        sasl_username=section.sasl_username if sasl else None,
        sasl_password=section.sasl_password.get_secret_value() if sasl else None,
    )
