"""The bus of a service's settings."""

from __future__ import annotations

import ssl
from dataclasses import replace

from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.settings import KafkaSection

__all__ = ["GATHERED_BYTES", "GATHER_S", "create_bus"]

GATHER_S, GATHERED_BYTES = 0.2, 4_096
"""A busy log fills this in milliseconds; a quiet one is asked five times a second, not at every
event: a fetch costs both sides more than the events it brings.
"""


def create_bus(section: KafkaSection, client_id: str, *, reads_feeds: bool = False) -> KafkaBus:
    """Apache Kafka as the settings describe it; certificates are read here. `reads_feeds`: of
    topics that carry every event of a market.
    """
    context = None
    if section.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=section.ssl_ca_file)
        if section.ssl_cert_file is not None:
            context.load_cert_chain(section.ssl_cert_file, section.ssl_key_file)
    settings = KafkaSettings(
        bootstrap_servers=section.bootstrap,
        client_id=client_id,
        security_protocol=section.security_protocol,
        ssl_context=context,
        sasl_mechanism=section.sasl_mechanism,
        sasl_username=section.sasl_username or None,
        sasl_password=section.sasl_password.get_secret_value() or None,
    )
    if reads_feeds:
        settings = replace(settings, fetch_wait_s=GATHER_S, fetch_min_bytes=GATHERED_BYTES)
    return KafkaBus(settings)
