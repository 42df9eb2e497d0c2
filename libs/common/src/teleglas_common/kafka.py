"""The bus of a service's settings."""

from __future__ import annotations

from dataclasses import replace

from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.rounds import ROUND_S
from teleglas_common.settings import KafkaSection
from teleglas_common.tls import ReloadingContext

__all__ = [
    "READ_CANDLES_S",
    "READ_DERIVED_S",
    "READ_FEEDS_S",
    "SHOWN_WITHIN_MS",
    "STORED_WITHIN_MS",
    "create_bus",
    "kafka_settings",
    "tls_of",
]

READ_FEEDS_S, READ_CANDLES_S, READ_DERIVED_S = 0.03, 0.06, 0.1
"""Behind a round time, each when what it reads has just been made: so what a quiet market's event
leads to is all done within one round.
"""
SHOWN_WITHIN_MS, STORED_WITHIN_MS = None, 80
"""In busy traffic: what people look at is read as soon as it is there, which is a round of its
writers; who computes and stores reads more at a time, as requests are what costs the broker.
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


def create_bus(
    section: KafkaSection,
    client_id: str,
    *,
    writes_feeds: bool = False,
    reads_behind_s: float | None = None,
    reads_within_ms: int | None = STORED_WITHIN_MS,
) -> KafkaBus:
    """Apache Kafka as the settings describe it. Feeds are topics that carry every event of a
    market: who writes or follows them, or what is made of them, gathers in a quiet market until a
    round time, or until so long behind it.
    """
    settings = kafka_settings(section, client_id)
    if writes_feeds:
        settings = replace(settings, linger_round_s=ROUND_S)
    if reads_behind_s is not None:
        settings = replace(settings, gather_behind_s=reads_behind_s, gather_busy_ms=reads_within_ms)
    return KafkaBus(settings)
