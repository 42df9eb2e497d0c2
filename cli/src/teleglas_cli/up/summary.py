"""The JSON that a bounded run leaves behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from teleglas_cli.commands.topics import read_to_end
from teleglas_cli.up.tally import Tally
from teleglas_common.bus.ports import Bus
from teleglas_contracts import topics

__all__ = ["Summary", "summarise"]

COUNTED = (
    topics.MARKET_TRADES_V1,
    topics.MARKET_CANDLES_V1,
    topics.MARKET_GAPS_V1,
    topics.WHALE_ALERTS_V1,
    topics.SIGNAL_SCORES_V1,
    topics.PREDICTION_FORECASTS_V1,
    topics.NOTIFICATION_DELIVERIES_V1,
)


@dataclass(slots=True)
class Summary:
    """What happened: see `teleglas up --help`."""

    first_stream_candle_s: float | None = None
    peak_rss_mb: float = 0.0
    peak_rss_mb_by_process: dict[str, float] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    trades: dict[str, int] = field(default_factory=dict)
    candles: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    scores: dict[str, int] = field(default_factory=dict)
    forecasts: dict[str, int] = field(default_factory=dict)
    deliveries: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    gaps: int = 0
    errors: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        scratch = path.with_name(path.name + ".new")
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n")
        scratch.replace(path)


async def summarise(source: Bus, summary: Summary) -> None:
    """Fill in what the topics hold."""
    letters = [topic.dead_letter for topic in topics.ALL if topic.dead_letter]
    names = [topic.name for topic in topics.ALL]
    begins, ends = await source.begins(names + letters), await source.ends(names + letters)
    held = dict.fromkeys(names + letters, 0)
    for partition, end in ends.items():
        held[partition.topic] += end - begins[partition]
    summary.records = {name: held[name] for name in names}
    summary.dead_letters = sum(held[name] for name in letters)
    tally = Tally()
    for topic in COUNTED:
        async for record in read_to_end(source, topic):
            tally.add([record])
    summary.trades = tally.trades
    summary.candles = dict(sorted(tally.candles.items()))
    summary.gaps = len(tally.gaps)
    summary.alerts = _counts(tally.alerts)
    summary.scores = _counts(tally.scores)
    summary.forecasts = _counts(tally.forecasts)
    summary.deliveries = _counts(tally.deliveries)
    if tally.undecodable:
        summary.errors.append(f"{tally.undecodable} records could not be decoded")


def _counts(found: Mapping[str, str]) -> dict[str, int]:
    return dict(sorted(Counter(found.values()).items()))
