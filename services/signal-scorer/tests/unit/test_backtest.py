"""Backtests: what they report, and that they know no future."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teleglas_common.testing.realdata import realdata
from teleglas_signal_scorer.adapters.candle_files import CandleFileError, read_bars
from teleglas_signal_scorer.backtest import main
from teleglas_signal_scorer.domain.backtesting import scored
from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.intervals import LADDERS
from teleglas_signal_scorer.domain.look_ahead import look_ahead, planted
from teleglas_signal_scorer.domain.report import drawdown, report, sharpe, sortino
from teleglas_signal_scorer.domain.scoring import Score
from teleglas_signal_scorer.domain.weights import WeightsBook

HOUR = 3_600 * 1_000_000_000
BEGIN = 1_735_689_600_000_000_000
LADDER = LADDERS["1h"]


def bars(count: int = 120, *, bought: float = -1.0) -> list[Bar]:
    found = []
    for at in range(count):
        price = 100.0 + 10.0 * math.sin(at / 7.0) + at * 0.05
        ts = BEGIN + at * HOUR
        found.append(
            Bar(
                ts,
                ts + HOUR,
                price - 0.2,
                price + 1,
                price - 1,
                price,
                5.0,
                5.0 * price,
                bought,
                1,
                1.0,
                0,
            )
        )
    return found


def engine(some: Sequence[Bar]) -> list[Score]:
    return list(scored("BTC-USDT", some, LADDER, WeightsBook()))


def test_metrics_equal_hand_computed_cases() -> None:
    """Returns of +10 %, -10 %, +20 %."""
    returns = [0.1, -0.1, 0.2]
    mean = 0.2 / 3
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 2)
    assert sharpe(returns, 100.0) == pytest.approx(mean / deviation * 10.0)
    assert sortino(returns, 100.0) == pytest.approx(mean / math.sqrt(0.01 / 3) * 10.0)
    assert drawdown(returns) == pytest.approx(-0.1)
    assert drawdown([-0.5, 0.5, -0.5]) == pytest.approx(-0.625)
    assert sharpe([0.1], 100.0) == sharpe([0.1, 0.1], 100.0) == 0.0


def test_report_pays_for_each_change_and_holds_from_the_price_it_decided_at() -> None:
    """In at 100, out at 110, in again at 99: two gains of what was held, three payments."""
    made = report(
        [100.0, 110.0, 99.0, 108.9], [1.0, 0.0, 1.0, 1.0], interval_ns=HOUR, cost_basis_points=100.0
    )
    assert made.trades == 3
    assert made.total_return == pytest.approx(1.1 * 0.99 * 0.99 * 1.1 * 0.99 - 1.0)
    assert made.buy_and_hold == pytest.approx(1.089 * 0.99 - 1.0)
    assert made.hold_drawdown == pytest.approx(-0.1)


def test_metrics_equal_numpy_on_real_candles() -> None:
    """An independent computation on the BTC hours agrees to twelve digits."""
    path = realdata("candles", "2024_2026", "BTC_USDT-1h.parquet")
    closes = np.array([bar.close for bar in read_bars([path], LADDER.base)])
    made = report(closes.tolist(), [1.0] * len(closes), interval_ns=HOUR, cost_basis_points=0.0)
    returns = closes[1:] / closes[:-1] - 1
    worth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    assert made.sharpe == pytest.approx(
        returns.mean() / returns.std(ddof=1) * math.sqrt(8760), rel=1e-12
    )
    down = math.sqrt((np.minimum(returns, 0) ** 2).mean())
    assert made.sortino == pytest.approx(returns.mean() / down * math.sqrt(8760), rel=1e-12)
    assert made.max_drawdown == pytest.approx(
        (worth / np.maximum.accumulate(worth) - 1).min(), rel=1e-12
    )
    assert made.total_return == pytest.approx(closes[-1] / closes[0] - 1, rel=1e-12)


def test_engine_does_not_look_ahead_and_a_planted_leak_is_caught_at_every_cut() -> None:
    """The check would fail if there were something to find."""
    some = bars(400)
    assert look_ahead(some, engine, cuts=6) == 0
    assert look_ahead(some, planted(engine), cuts=6) == 6


def test_scores_of_a_file_come_at_each_close_and_name_what_a_file_cannot_have() -> None:
    """Only the candle layers speak."""
    some = bars()
    scores = engine(some)
    assert [score.tick for score in scores] == [bar.ts_close for bar in some[1:]]
    assert [score.price for score in scores] == [bar.close for bar in some[1:]]
    assert all("cvd.taker_volume" in score.missing for score in scores[5:])
    assert all("order_flow" in score.missing for score in scores)
    assert any(score.contributions[0].points for score in scores)
    with_flow = engine(bars(bought=4.0))
    assert not any("cvd.taker_volume" in score.missing for score in with_flow)


def test_scores_do_not_depend_on_where_a_file_begins() -> None:
    """Each indicator reads its last N bars only, so a longer past changes no later score."""
    whole = engine(bars(60 * 24))
    part = engine(bars(60 * 24)[24 * 2 :])
    known = {score.tick: score for score in whole}
    late = part[-48:]
    assert [score.contributions for score in late] == [
        known[score.tick].contributions for score in late
    ]


def written(folder: Path, rows: Sequence[Bar]) -> Path:
    path = folder / "candles.csv.gz"
    with gzip.open(path, "wt") as out:
        out.write("date,open,high,low,close,volume\n")
        for bar in rows:
            when = np.datetime64(bar.ts_open, "ns").astype("datetime64[s]")
            out.write(f"{when},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}\n")
    return path


def test_command_prints_report_and_digest_of_a_file(tmp_path: Path, capsys: Any) -> None:
    """Twice the same file, twice the same digest; other weights, another."""
    path = written(tmp_path, bars(300))
    asked = ["--candles", str(path), "--interval", "1h", "--digest", "--json"]
    assert main(asked) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert first["look_ahead"] == {"cuts": 5, "caught": 0, "caught_with_a_planted_leak": 5}
    assert first["events"] == first["reports"]["BTC-USDT"]["bars"] == 299
    weights = tmp_path / "weights.json"
    weights.write_text(json.dumps([{"layers": {"technical": 100, "cvd": 0, "order_flow": 0}}]))
    assert main([*asked, "--weights", str(weights)]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] != first["digest"]


@pytest.mark.parametrize(
    "text",
    [
        "date,open,high,low,close\n2025-01-01,1,1,1,1\n",
        "date,open,high,low,close,volume\n2025-01-01 00:30:00,1,1,1,1,1\n",
        "date,open,high,low,close,volume\n2025-01-01,1,2,nan,1,1\n",
        "date,open,high,low,close,volume\n2025-01-01,1,inf,1,1,1\n",
        "date,open,high,low,close,volume\nnever,1,1,1,1,1\n",
        "",
    ],
)
def test_files_without_candles_are_refused(tmp_path: Path, text: str) -> None:
    """With what was expected and where."""
    path = tmp_path / "odd.csv.gz"
    with gzip.open(path, "wt") as out:
        out.write(text)
    with pytest.raises(CandleFileError, match="expected"):
        read_bars([path], LADDER.base)


def test_command_says_what_is_wrong_with_a_file(tmp_path: Path, capsys: Any) -> None:
    """Exit 2, one line."""
    assert main(["--candles", str(tmp_path / "none.csv.gz"), "--interval", "1h"]) == 2
    assert "expected candles" in capsys.readouterr().err
