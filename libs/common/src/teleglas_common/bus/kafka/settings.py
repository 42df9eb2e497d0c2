"""How to reach Kafka, and the bounds of its clients."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

from teleglas_common.rounds import ROUND_S, Gathering

__all__ = ["KafkaSettings"]


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """`security_protocol` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; the SSL ones need an
    `ssl_context`, the SASL ones mechanism, user and password.
    """

    bootstrap_servers: str
    client_id: str = "teleglas"
    security_protocol: str = "PLAINTEXT"
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    replication_factor: int = 1

    request_timeout_s: float = 10.0
    """Of one request; a call that needs several may take twice as long."""
    delivery_timeout_s: float = 120.0
    """From taking a record to giving it up, which ends the publisher."""
    linger_s: float = 0.02
    """Records leave a moment after the next multiple of it, by the clock."""
    linger_round_s: float | None = None
    """Instead of `linger_s` in quiet traffic: records leave a moment after a multiple of it."""
    batch_bytes: int = 256 << 10
    max_in_flight_bytes: int = 16 << 20

    session_timeout_s: float = 10.0
    heartbeat_interval_s: float = 3.0
    rebalance_timeout_s: float = 30.0
    """How long the group waits for a member to finish its work when partitions move."""
    fetch_max_bytes: int = 8 << 20
    partition_fetch_bytes: int = 1 << 20
    fetch_wait_s: float = 2.0
    """Also how late a sought partition may be fetched; a resumed one need not wait so long."""
    gather_behind_s: float | None = None
    """Instead of `fetch_wait_s` for who follows a log: see `rounds.Gathering`."""
    gather_busy_ms: int | None = 80
    """… and as long at most in busy traffic; None: until anything is there."""
    stall_after_s: float = 5.0
    """A client that makes no progress for so long, while the broker answers others, is rebuilt."""

    def __post_init__(self) -> None:
        if self.security_protocol.endswith("SSL") and self.ssl_context is None:
            raise ValueError(f"expected an ssl_context for {self.security_protocol}, was None")
        sasl = self.security_protocol.startswith("SASL")
        if sasl and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"expected user and password for {self.security_protocol}")

    def gathering(self) -> Gathering | None:
        """For one follower of a log; None where it waits for any byte."""
        if self.gather_behind_s is None:
            return None
        return Gathering(ROUND_S, self.gather_behind_s, self.gather_busy_ms)

    def fetch_options(self, gathering: Gathering | None) -> dict[str, Any]:
        """How long the broker may wait for how much."""
        wait_ms = int(self.fetch_wait_s * 1000)
        return {
            "fetch_max_bytes": self.fetch_max_bytes,
            "max_partition_fetch_bytes": self.partition_fetch_bytes,
            "fetch_max_wait_ms": wait_ms if gathering is None else gathering.wait_ms,
            "fetch_min_bytes": 1 if gathering is None else gathering.min_bytes,
        }

    def client_options(self) -> dict[str, Any]:
        """What every aiokafka client takes."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
            "retry_backoff_ms": 100,
            "metadata_max_age_ms": 60_000,
        }
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options
