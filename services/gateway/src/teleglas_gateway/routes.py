"""Which topics the gateway reads, all partitions of each and without a group; it writes none."""

from __future__ import annotations

from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_gateway.channels import CHANNELS

__all__ = ["READS", "WRITES"]

READS = (
    *dict.fromkeys(channel.topic for channel in CHANNELS),
    topics.MARKET_INSTRUMENTS_V1,
    topics.CONTROL_TOPICS_V1,
)
WRITES: tuple[Topic, ...] = ()
