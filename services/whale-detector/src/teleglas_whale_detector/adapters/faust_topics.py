"""The topics that Faust keeps for itself. They are created before Faust starts: it is not allowed
to declare any.
"""

from __future__ import annotations

from teleglas_contracts.topic import PartitionBy, Topic
from teleglas_contracts.topics import MARKET_TRADES_V1

__all__ = ["APP_ID", "CHANGELOG", "INTERNAL", "TABLE"]

APP_ID = "teleglas-whale-detector"
TABLE = "state"
DAY_MS = 86_400_000

CHANGELOG = Topic(
    name=f"{APP_ID}-{TABLE}-changelog",
    purpose="State of the detector by partition number; the newest value of a key counts.",
    owner="whale-detector",
    key="partition number/part",
    partition_by=PartitionBy.KEY,
    schemas=(),
    producers=("whale-detector",),
    consumers=("whale-detector",),
    partitions=MARKET_TRADES_V1.partitions,
    compacted=True,
    retention_ms=None,
    dead_letter=None,
)
LEADER = Topic(
    name=f"{APP_ID}-__assignor-__leader",
    purpose="Whoever owns its one partition leads Faust's group.",
    owner="whale-detector",
    key="none",
    partition_by=PartitionBy.NONE,
    schemas=(),
    producers=("whale-detector",),
    consumers=("whale-detector",),
    partitions=1,
    compacted=False,
    retention_ms=DAY_MS,
    dead_letter=None,
)
INTERNAL = (CHANGELOG, LEADER)
