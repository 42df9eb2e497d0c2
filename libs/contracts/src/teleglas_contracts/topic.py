"""What a topic is, and where a record of it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

__all__ = ["PartitionBy", "Topic", "base_asset", "murmur2"]


class PartitionBy(StrEnum):
    """What a topic's partition is computed from."""

    BASE_ASSET = "base_asset"
    KEY = "key"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as its manifest in `proto/topics` describes it."""

    name: str
    purpose: str
    owner: str
    key: str
    partition_by: PartitionBy
    schemas: tuple[str, ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    partitions: int
    compacted: bool
    retention_ms: int | None
    dead_letter: str | None

    def partition(self, subject: str) -> int:
        """Partition of a record about `subject`: an instrument or its base asset where the topic is
        partitioned by base asset, else the record's key.
        """
        if self.partition_by is PartitionBy.NONE:
            return 0
        if self.partition_by is PartitionBy.BASE_ASSET:
            subject = base_asset(subject)
        return _hashed(subject, self.partitions)


def base_asset(instrument: str) -> str:
    """The base asset of a canonical symbol: `BTC` of `BTC-USDT-PERP`."""
    return instrument.partition("-")[0]


@lru_cache(maxsize=65_536)
def _hashed(subject: str, partitions: int) -> int:
    return (murmur2(subject.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Kafka's murmur2, unsigned 32 bit, as in `org.apache.kafka.common.utils.Utils`."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
