"""One partition number of prediction: the series of some base assets, in one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import PoisonError, Publisher
from teleglas_common.clock import Clock
from teleglas_contracts import topics
from teleglas_prediction.adapters.messages import forecast_id, forecast_key, forecast_message
from teleglas_prediction.counts import Counts
from teleglas_prediction.domain.bars import Bar, Window
from teleglas_prediction.domain.horizons import INTERVALS_NS
from teleglas_prediction.domain.series import Entry, Series, Step
from teleglas_prediction.domain.state import dump_series, load_series
from teleglas_prediction.lineups import Lineups
from teleglas_prediction.ports import Checkpoint, Issued, Resolved, Store

__all__ = ["Live", "PredictionShard", "Tools"]

MAX_SERIES = 2_000
"""Of one shard; one more is poison, so that invented instruments cannot fill the memory."""

_tracer = trace.get_tracer("teleglas.prediction")


@dataclass(slots=True)
class Live:
    """The shards that this process owns."""

    shards: dict[int, PredictionShard] = field(default_factory=dict)

    def series(self, instrument: str, interval: str) -> Series | None:
        for shard in self.shards.values():
            found = shard.series.get((instrument, interval))
            if found is not None:
                return found
        return None

    def all_series(self) -> list[Series]:
        return [one for shard in self.shards.values() for one in shard.series.values()]


@dataclass(frozen=True, slots=True)
class Tools:
    """What all shards of a process share."""

    store: Store
    publisher: Publisher
    live: Live
    lineups: Lineups
    clock: Clock
    counts: Counts


class PredictionShard:
    """Handlers call it; the worker restores, checkpoints and closes it."""

    def __init__(self, number: int, tools: Tools) -> None:
        self.number = number
        self.tools = tools
        self.series: dict[tuple[str, str], Series] = {}
        self._touched: set[tuple[str, str]] = set()
        self._issued: list[Issued] = []
        self._resolved: list[Resolved] = []
        self._generation = 0

    async def restore(self) -> Mapping[str, int]:
        restored = await self.tools.store.restore(self.number)
        self._generation = restored.generation
        for name, state in sorted(restored.states.items()):
            instrument, _, interval = name.rpartition("/")
            self.series[instrument, interval] = load_series(state)
        self.tools.live.shards[self.number] = self
        return restored.offsets

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        checkpoint = Checkpoint(
            self.number,
            self._generation,
            offsets,
            {"/".join(key): dump_series(self.series[key]) for key in sorted(self._touched)},
            self._issued,
            self._resolved,
        )
        await self.tools.store.save(checkpoint)
        if self._touched:
            self.tools.counts.stands(self.tools.live.all_series())
        self._touched, self._issued, self._resolved = set(), [], []

    async def close(self) -> None:
        if self.tools.live.shards.get(self.number) is self:
            del self.tools.live.shards[self.number]

    async def take(self, instrument: str, interval: str, bar: Bar) -> None:
        """Resolve and issue what a closed bar decides; publish the champions' forecasts."""
        key = (instrument, interval)
        series = self.series.get(key)
        if series is None:
            if len(self.series) >= MAX_SERIES:
                raise PoisonError(
                    "too_many_series", f"expected at most {MAX_SERIES} a partition, {key} is new"
                )
            series = Series(interval, Window.empty(INTERVALS_NS[interval]))
            self.series[key] = series
        known_to = series.window.ts_close
        step = series.take(bar, self.tools.lineups.by_horizon)
        if series.window.ts_close == known_to:
            self.tools.counts.skipped()
            return
        self._touched.add(key)
        self._resolve(instrument, step)
        await self._issue(instrument, step)

    def _resolve(self, instrument: str, step: Step) -> None:
        now_ns = self.tools.clock.now_ns()
        for outcome in step.resolved:
            self._resolved.append(Resolved(forecast_id(instrument, outcome.entry), outcome))
            self.tools.counts.resolved(outcome, now_ns)

    async def _issue(self, instrument: str, step: Step) -> None:
        for entry in step.issued:
            message = forecast_message(instrument, entry)
            self._issued.append(Issued(message, entry.is_champion))
            self.tools.counts.issued(entry)
        champions = [entry for entry in step.issued if entry.is_champion]
        if champions:
            with _publishing():
                for entry in champions:
                    await self._publish(instrument, entry)

    async def _publish(self, instrument: str, entry: Entry) -> None:
        message = forecast_message(instrument, entry)
        await self.tools.publisher.send(
            outgoing(
                topics.PREDICTION_FORECASTS_V1,
                message,
                key=forecast_key(instrument, entry),
                subject=instrument,
                now_ns=self.tools.clock.now_ns(),
                event_id=message.id,
            )
        )


def _publishing() -> AbstractContextManager[object]:
    """A span within the candle's, where that one is recorded; never the root of a trace."""
    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return nullcontext()
    return _tracer.start_as_current_span("publish forecasts", kind=SpanKind.PRODUCER)
