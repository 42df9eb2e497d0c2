"""Walk-forward on real candles: coverage of the 90 % intervals by coin, year and horizon.

Every forecast is out of sample. The boosted model is trained on the past only, purged and embargoed
by one horizon; conformal widths know an outcome only once its time has come. The random walk is
tested over all of each file behind its first 192 bars, the boosted model from a quarter of the time
on. Coverage counts every forecast; where targets overlap, `apart` says how many of them do not.
A year that a file holds in part counts with its share; below 5 % of a year it is shown, not judged.
`--plant` puts a feature that looks ahead among the others: the leak check ends the run as short.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from teleglas_common.testing.realdata import realdata_root
from teleglas_prediction.domain.bars import Floats
from teleglas_prediction.domain.horizons import MINUTE_NS, Horizon
from teleglas_prediction.training.candle_files import Bars, Ints, read_bars
from teleglas_prediction.training.examples import (
    Build,
    Examples,
    examples_of,
    feature_table,
    joined,
)
from teleglas_prediction.training.folds import folds_of
from teleglas_prediction.training.leaks import check_folds, leaking_features, planted
from teleglas_prediction.training.walk_forward import (
    Scored,
    boosted_outlook,
    calibrated,
    skill,
)

LOW, HIGH = 0.88, 0.92
JUDGED_SHARE = 0.05
FOLDS = 6
YEAR_NS = 365 * 86_400 * 10**9
NEW, OLD = "2024_2026/{}_USDT-{}.parquet", "1h_2021_2023/{}USDT_1h.csv.gz"
BIG, ALL = ("BTC", "ETH"), ("BTC", "ETH", "SOL", "ADA", "LINK")


@dataclass(frozen=True)
class Case:
    """One horizon over the files of one set. Bars are the service's, or the finest there are."""

    horizon: Horizon
    pattern: str
    coins: Sequence[str]

    def bars(self) -> list[list[Bars]]:
        paths = [Path(self.pattern.format(coin, self.horizon.interval)) for coin in self.coins]
        return [read_bars(realdata_root() / "candles" / path) for path in paths]


def horizon(name: str, minutes: int, interval: str, bar_minutes: int) -> Horizon:
    return Horizon(name, minutes * MINUTE_NS, interval, bar_minutes * MINUTE_NS)


CASES = (
    Case(horizon("5m", 5, "5m", 5), NEW, BIG),
    Case(horizon("15m", 15, "5m", 5), NEW, BIG),
    Case(horizon("1h", 60, "5m", 5), NEW, BIG),
    Case(horizon("4h", 240, "15m", 15), NEW, BIG),
    Case(horizon("24h", 1_440, "1h", 60), NEW, BIG),
    Case(horizon("1h", 60, "1h", 60), OLD, ALL),
    Case(horizon("4h", 240, "1h", 60), OLD, ALL),
    Case(horizon("24h", 1_440, "1h", 60), OLD, ALL),
)
HEAD = (
    f"{'coin':<5}{'year':<6}{'share':>6}  {'horizon':<8}{'bars':<5}{'model':<12}{'forecasts':>9}"
    f"{'apart':>7}{'coverage':>10}{'width':>9}{'pinball':>9}{'skill':>9}"
)


def years_of(ts_event: Ints) -> Ints:
    return ts_event.astype("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970


def rows_of(case: Case, examples: Examples, name: str, scored: Scored, walk: Scored) -> list[bool]:
    """Print one model's rows, one a coin and year; whether each judged row holds."""
    verdicts = []
    ts_event, part = examples.ts_event[scored.at], examples.part[scored.at]
    years = years_of(ts_event)
    walk_loss = np.full(len(examples), np.nan)
    walk_loss[walk.at] = walk.loss
    for number, coin in enumerate(case.coins):
        for year in np.unique(years[part == number]).tolist():
            here = (part == number) & (years == year)
            count = int(here.sum())
            share = count * case.horizon.interval_ns / YEAR_NS
            coverage = float(scored.covered[here].mean())
            is_judged = share >= JUDGED_SHARE
            holds = LOW <= coverage <= HIGH
            if is_judged:
                verdicts.append(holds)
            over = skill(scored.loss[here], walk_loss[scored.at[here]])
            print(
                f"{coin:<5}{year:<6}{min(share, 1):>6.1%}  {case.horizon.name:<8}"
                f"{case.horizon.interval:<5}{name:<12}{count:>9}"
                f"{count // case.horizon.steps:>7}{coverage:>10.2%}"
                f"{float(scored.width[here].mean()):>9.3%}"
                f"{float(scored.loss[here].mean()) * 1e4:>7.2f}bp{over:>9.2%}"
                f"{'' if not is_judged else '  ok' if holds else '  OUT'}"
            )
    return verdicts


def tested(case: Case) -> list[bool]:
    """Walk both models forward over one case."""
    every = [examples_of(bars, case.horizon, part) for part, bars in enumerate(case.bars())]
    examples = joined(every)
    folds = folds_of(examples.ts_event, case.horizon.length_ns, FOLDS)
    check_folds(folds, examples, case.horizon.length_ns)
    at = np.arange(len(examples))
    flat: Floats = np.zeros(len(at))
    walk = calibrated(examples, at, flat, examples.scale, case.horizon)
    verdicts = rows_of(case, examples, "random-walk", walk, walk)
    boosted = calibrated(examples, *boosted_outlook(examples, folds, case.horizon), case.horizon)
    return verdicts + rows_of(case, examples, "boosted", boosted, walk)


def is_sound(build: Build) -> bool:
    """Whether no feature looks ahead."""
    bars = CASES[-1].bars()[0][0].until(3_000)
    leaking = leaking_features(bars, build)
    print(f"leak check of {build.__name__}: {', '.join(leaking) or 'nothing'} looks ahead")
    return not leaking


def main() -> int:
    if not (realdata_root() / "candles").is_dir():
        raise SystemExit("forecasts needs candles; name their folder in TELEGLAS_REALDATA")
    began_s = time.monotonic()
    if not is_sound(planted if "--plant" in sys.argv[1:] else feature_table):
        print("forecasts ratio=0.000 target=1.000 short")
        return 1
    print(f"{datetime.now(UTC):%Y-%m-%d}  targets: 90 % intervals within {LOW:.0%} and {HIGH:.0%}")
    print(HEAD)
    verdicts = [one for case in CASES for one in tested(case)]
    ratio = sum(verdicts) / len(verdicts)
    print(f"{sum(verdicts)} of {len(verdicts)} rows hold, {time.monotonic() - began_s:.0f} s")
    is_ok = ratio == 1.0
    print(f"forecasts ratio={ratio:.3f} target=1.000 {'ok' if is_ok else 'short'}")
    return 0 if is_ok else 1


if __name__ == "__main__":
    sys.exit(main())
