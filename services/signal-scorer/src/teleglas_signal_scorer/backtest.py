"""`python -m teleglas_signal_scorer.backtest`: the live engine over candle files, or over the
topics of a product.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.telemetry import Metrics
from teleglas_contracts import topics
from teleglas_signal_scorer.adapters.candle_files import CandleFileError, read_bars
from teleglas_signal_scorer.adapters.messages import score_message
from teleglas_signal_scorer.domain.backtesting import scored
from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.feed import Cadence
from teleglas_signal_scorer.domain.intervals import LADDERS, SECOND_NS, Ladder
from teleglas_signal_scorer.domain.look_ahead import look_ahead, planted
from teleglas_signal_scorer.domain.report import Report, position_of, report
from teleglas_signal_scorer.domain.scoring import Score
from teleglas_signal_scorer.domain.weights import FIRST, Weights, WeightsBook, validated
from teleglas_signal_scorer.replay import read_receipts, replay, rows_of
from teleglas_signal_scorer.score_digest import ScoreDigest
from teleglas_signal_scorer.settings import ScoresSection

__all__ = ["main"]

CUTS = 5


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        weights = _weights(arguments.weights)
        if arguments.candles:
            found = _of_files(arguments, WeightsBook(weights))
        else:
            found = asyncio.run(_of_topics(arguments, weights))
    except (CandleFileError, ValueError, OSError) as error:
        sys.stderr.write(f"backtest: {error}\n")
        return 2
    text = json.dumps(found) if arguments.json else "\n".join(_lines(found))
    sys.stdout.write(f"{text}\n")
    return 0 if found.get("look_ahead", {}).get("caught", 0) == 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="teleglas backtest", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--candles", nargs="+", type=Path, metavar="FILE", help="candle files")
    source.add_argument("--kafka", metavar="BOOTSTRAP", help="read a product's topics")
    parser.add_argument("--instrument", default="BTC-USDT", help="what the files are of")
    parser.add_argument("--interval", default="5m", choices=sorted(LADDERS), help="of the files")
    parser.add_argument("--cost-bp", type=float, default=10.0, help="of each change of position")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="versions of weights, as JSON")
    parser.add_argument("--tick-s", type=int, default=None, help="cadence; with receipts, theirs")
    parser.add_argument("--receipts", action="store_true", help="follow the scores on the topic")
    parser.add_argument("--digest", action="store_true", help="hash the scores")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _weights(path: Path | None) -> list[Weights]:
    """Versions from a file: a list of objects with version, layers (name to weight) and
    ts_effective; by default those that the project ships.
    """
    if path is None:
        return [FIRST]
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[_WeightsRow])
    except msgspec.DecodeError as error:
        raise ValueError(f"expected versions of weights in {path}, {error}") from error
    if not rows:
        raise ValueError(f"expected versions of weights in {path}, there are none")
    return [Weights(r.version, validated(r.layers.items()), r.ts_effective) for r in rows]


class _WeightsRow(msgspec.Struct):
    layers: dict[str, float]
    version: int = 1
    ts_effective: int = 0


def _of_files(arguments: argparse.Namespace, weights: WeightsBook) -> dict[str, Any]:
    ladder = LADDERS[arguments.interval]
    bars = read_bars(arguments.candles, ladder.base)
    digest = ScoreDigest()
    prices: list[float] = []
    positions: list[float] = []
    missing: dict[str, int] = {}
    for score in scored(arguments.instrument, bars, ladder, weights):
        prices.append(score.price)
        positions.append(position_of(score.stance))
        for name in score.missing:
            missing[name] = missing.get(name, 0) + 1
        if arguments.digest:
            digest.add(score_message(score, {}))
    made = report(
        prices,
        positions,
        interval_ns=ladder.base.length_ns,
        cost_basis_points=arguments.cost_bp,
    )
    found: dict[str, Any] = {
        "reports": {arguments.instrument: asdict(made)},
        "missing": dict(sorted(missing.items())),
        "look_ahead": _look_ahead(arguments.instrument, bars, ladder, weights),
    }
    return found | _digest(arguments, digest)


def _look_ahead(
    instrument: str, bars: Sequence[Bar], ladder: Ladder, weights: WeightsBook
) -> dict[str, int]:
    def engine(some: Sequence[Bar]) -> list[Score]:
        return list(scored(instrument, some, ladder, weights))

    return {
        "cuts": CUTS,
        "caught": look_ahead(bars, engine, cuts=CUTS),
        "caught_with_a_planted_leak": look_ahead(bars, planted(engine), cuts=CUTS),
    }


async def _of_topics(arguments: argparse.Namespace, weights: Sequence[Weights]) -> dict[str, Any]:
    bus = create_bus(KafkaSection(bootstrap=arguments.kafka), "teleglas-backtest")
    receipts = await read_receipts(bus) if arguments.receipts else None
    cadence = ScoresSection().cadence()
    tick_ns = (arguments.tick_s or 0) * SECOND_NS or (receipts.tick_ns if receipts else 0)
    if tick_ns:
        cadence = Cadence(tick_ns, cadence.deadline_ns)
    made = await replay(
        bus, registry=Metrics(), cadence=cadence, weights=weights, receipts=receipts
    )
    digest = ScoreDigest()
    reports: dict[str, Any] = {}
    for instrument, rows in sorted(rows_of(made).items()):
        stances = []
        for row in rows:
            score = SignalScore.FromString(row.message)
            stances.append(position_of(score.stance))
            digest.add(score)
        reports[instrument] = asdict(
            report(
                [row.price for row in rows],
                stances,
                interval_ns=cadence.tick_ns,
                cost_basis_points=arguments.cost_bp,
            )
        )
    found: dict[str, Any] = {"reports": reports, "poison": made.poison}
    return found | _digest(arguments, digest)


def _digest(arguments: argparse.Namespace, digest: ScoreDigest) -> dict[str, Any]:
    if not arguments.digest:
        return {}
    return {"digest": digest.hexdigest(), "events": len(digest.events)}


def _lines(found: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "digest" in found:
        name = topics.SIGNAL_SCORES_V1.name
        lines.append(f"{found['digest']}  {name}  {found['events']} events")
    for instrument, made in found["reports"].items():
        lines += _report(instrument, Report(**made))
    if found.get("missing"):
        named = ", ".join(f"{name} ({count})" for name, count in found["missing"].items())
        lines.append(f"missing in receipts: {named}")
    if "look_ahead" in found:
        check = found["look_ahead"]
        lines.append(
            f"look-ahead: {check['caught']} of {check['cuts']} cuts;"
            f" with a planted leak {check['caught_with_a_planted_leak']} of {check['cuts']}"
        )
    return lines


def _report(instrument: str, made: Report) -> list[str]:
    head = f"{instrument}: {made.bars} scores, {made.trades} trades"
    ruled = (made.total_return, made.sharpe, made.max_drawdown)
    held = (made.buy_and_hold, made.hold_sharpe, made.hold_drawdown)
    return [
        f"{head} at {made.cost_basis_points:g} bp each, Sortino {made.sortino:.3f}",
        f"  {'':<14}{'return':>10}{'Sharpe':>10}{'drawdown':>10}",
        _row("score", ruled),
        _row("buy and hold", held),
    ]


def _row(name: str, values: tuple[float, float, float]) -> str:
    return f"  {name:<14}{values[0]:>10.2%}{values[1]:>10.3f}{values[2]:>10.2%}"


if __name__ == "__main__":
    sys.exit(main())
