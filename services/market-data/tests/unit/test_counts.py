"""What gauges say of several shards of a process."""

from __future__ import annotations

from teleglas_common.telemetry import Metrics
from teleglas_market_data.counts import Counts

SECOND_NS = 10**9


def test_gauges_cover_the_shards_that_are_here() -> None:
    """Open candles add up; a venue is as old as its oldest watermark in any shard."""
    metrics = Metrics()
    counts = Counts(metrics)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"teleglas_market_{name}", labels)

    counts.stands(0, 3, {"binance": 90 * SECOND_NS}, 100 * SECOND_NS)
    counts.stands(1, 4, {"binance": 80 * SECOND_NS, "okx": 99 * SECOND_NS}, 100 * SECOND_NS)
    assert value("open_candles") == 7
    assert value("watermark_age_seconds", venue="binance") == 20
    assert value("watermark_age_seconds", venue="okx") == 1
    counts.left(0)
    assert value("open_candles") == 4
