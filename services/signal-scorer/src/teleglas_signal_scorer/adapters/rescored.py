"""Stored scores under other weights, and what following them would have earned."""

from __future__ import annotations

from itertools import pairwise
from statistics import median_low

from teleglas.signal.v1 import signal_pb2 as pb
from teleglas_signal_scorer.domain.report import Report, position_of, report
from teleglas_signal_scorer.domain.stance import NEUTRAL, next_stance
from teleglas_signal_scorer.domain.weights import Weights

__all__ = ["Rescored"]


class Rescored:
    """Feed it stored scores, oldest first. Readings and confidences are in their receipts, so what
    a score would have been is the same sum with other weights.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = dict(weights.layers)
        self._stance = NEUTRAL
        self._ticks: list[int] = []
        self._prices: list[float] = []
        self._positions: list[float] = []

    def take(self, tick: int, price: float, message: bytes) -> None:
        """One score; of a tick that was scored twice, the last counts."""
        score = 0.0
        for one in pb.SignalScore.FromString(message).receipt.contributions:
            score += one.reading * self._weights.get(one.layer, 0.0) * one.confidence
        self._stance = next_stance(self._stance, score)
        if self._ticks and self._ticks[-1] == tick:
            self._positions[-1] = position_of(self._stance)
            return
        self._ticks.append(tick)
        self._prices.append(price)
        self._positions.append(position_of(self._stance))

    def response(self, cost_basis_points: float) -> pb.BacktestResponse:
        """The report; all zeros where there are fewer than two scores."""
        if len(self._ticks) < 2:
            return pb.BacktestResponse(bars=len(self._ticks))
        steps = [b - a for a, b in pairwise(self._ticks)]
        found: Report = report(
            self._prices,
            self._positions,
            interval_ns=median_low(steps),
            cost_basis_points=cost_basis_points,
        )
        return pb.BacktestResponse(
            total_return=found.total_return,
            buy_and_hold_return=found.buy_and_hold,
            sharpe=found.sharpe,
            max_drawdown=found.max_drawdown,
            trades=found.trades,
            bars=found.bars,
        )
