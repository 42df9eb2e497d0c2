"""One partition number of notification: what is known of some base assets, and what is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec
from opentelemetry import trace

from teleglas_notification.counts import Counts
from teleglas_notification.domain.cards import (
    Card,
    Forecast,
    Score,
    dump_card,
    load_card,
    reference_of,
    with_forecasts,
    with_score,
)
from teleglas_notification.ports import Checkpoint, Directory, OutboxCard, Store, Wanted

__all__ = ["NotificationShard", "Tools", "completed"]

SECOND_NS = 1_000_000_000
OPEN_NS = 600 * SECOND_NS
"""So long, in event time, an event's messages are brought up to date."""
MAX_OPEN = 2_000
MAX_HORIZONS = 16
MAX_TOLD = 10_000

_scores = msgspec.json.Decoder(Score)
_forecasts = msgspec.json.Decoder(dict[int, Forecast])


@dataclass(frozen=True, slots=True)
class Tools:
    """What all shards of a process share. `wake` tells the dispatchers of new messages."""

    store: Store
    directory: Directory
    counts: Counts
    wake: Callable[[], None]


class NotificationShard:
    """Handlers call it; the worker restores, checkpoints and closes it."""

    def __init__(self, number: int, tools: Tools) -> None:
        self.number = number
        self.scores: dict[str, Score] = {}
        self.forecasts: dict[str, dict[int, Forecast]] = {}
        self.open: dict[str, Card] = {}
        self._tools = tools
        self._told: dict[str, set[tuple[str, str]]] = {}
        self._pending: dict[str, OutboxCard] = {}
        self._changed: set[str] = set()
        self._generation = 0

    @property
    def may_wait(self) -> bool:
        return not self._pending

    async def restore(self) -> Mapping[str, int]:
        restored = await self._tools.store.restore(self.number)
        self._generation = restored.generation
        for name, state in sorted(restored.states.items()):
            self._load(name, state)
        return restored.offsets

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        states: dict[str, bytes] = {}
        dropped: list[str] = []
        for name in sorted(self._changed):
            state = self._state(name)
            if state is None:
                dropped.append(name)
            else:
                states[name] = state
        cards = list(self._pending.values())
        new = await self._tools.store.save(
            Checkpoint(self.number, self._generation, offsets, states, dropped, cards)
        )
        self._tools.counts.queued(new)
        if cards:
            self._tools.wake()
        self._pending = {}
        self._changed = set()

    async def close(self) -> None:
        """Nothing is held outside of the shard."""

    async def show(self, card: Card, appended_ns: int) -> None:
        """Take a new or better event: complete it with what is known, tell who asked for it."""
        reference = reference_of(card.instrument)
        score = self.scores.get(card.instrument) or self.scores.get(reference)
        if score is not None:
            card = with_score(card, score)
        forecasts = self.forecasts.get(card.instrument) or self.forecasts.get(reference) or {}
        card = with_forecasts(card, forecasts)
        self._keep_open(card)
        await self._tell(card, appended_ns)

    async def score(self, instrument: str, score: Score, appended_ns: int) -> Score | None:
        """Keep a newer score and complete the open events with it; the one before, if any."""
        before = self.scores.get(instrument)
        if before is not None and before.ts_event >= score.ts_event:
            return score
        self.scores[instrument] = score
        self._changed.add(f"score/{instrument}")
        await self._complete(instrument, appended_ns, lambda card: with_score(card, score))
        return before

    async def forecast(self, instrument: str, one: Forecast, appended_ns: int) -> Forecast | None:
        """Keep a newer forecast and complete the open events with it; the one before, if any."""
        known = self.forecasts.setdefault(instrument, {})
        before = known.get(one.horizon_ns)
        if before is not None and before.ts_event >= one.ts_event:
            return one
        if before is None and len(known) >= MAX_HORIZONS:
            return one
        known[one.horizon_ns] = one
        self._changed.add(f"forecasts/{instrument}")
        await self._complete(instrument, appended_ns, lambda card: with_forecasts(card, (one,)))
        return before

    async def _complete(
        self, instrument: str, appended_ns: int, improve: Callable[[Card], Card]
    ) -> None:
        for event_id, card in list(self.open.items()):
            if instrument not in (card.instrument, reference_of(card.instrument)):
                continue
            better = improve(card)
            if better != card:
                self.open[event_id] = better
                self._changed.add(f"open/{event_id}")
                await self._tell(better, appended_ns)

    async def _tell(self, card: Card, appended_ns: int) -> None:
        book = await self._tools.directory.rules()
        told = self._told.setdefault(card.event_id, set())
        rules = [
            rule
            for rule in book.find(card, appended_ns)
            if (rule.tenant_id, rule.subscriber_id) not in told
        ]
        pending = self._pending.get(card.event_id)
        if not rules and not told and pending is None:
            return
        if len(told) < MAX_TOLD:
            told.update((rule.tenant_id, rule.subscriber_id) for rule in rules)
        channel_of = self._tools.directory.channel_of
        wanted = tuple(Wanted(rule, channel_of(rule)) for rule in rules)
        if pending is None:
            pending = self._pending[card.event_id] = OutboxCard(card, _traceparent())
        pending.card = card
        pending.wanted += wanted
        self._changed.add(f"told/{card.event_id}")

    def _keep_open(self, card: Card) -> None:
        self.open[card.event_id] = card
        self._changed.add(f"open/{card.event_id}")
        for event_id in _over(self.open.values(), card):
            self._drop(event_id)
        while len(self.open) > MAX_OPEN:
            self._drop(min(self.open, key=lambda one: (self.open[one].ts_known, one)))

    def _drop(self, event_id: str) -> None:
        del self.open[event_id]
        self._told.pop(event_id, None)
        self._changed |= {f"open/{event_id}", f"told/{event_id}"}

    def _state(self, name: str) -> bytes | None:
        kind, _, rest = name.partition("/")
        if kind == "score":
            return msgspec.json.encode(self.scores[rest])
        if kind == "forecasts":
            return msgspec.json.encode(self.forecasts[rest])
        if kind == "told":
            told = self._told.get(rest)
            return msgspec.json.encode(sorted(told)) if told else None
        card = self.open.get(rest)
        return None if card is None else dump_card(card)

    def _load(self, name: str, state: bytes) -> None:
        kind, _, rest = name.partition("/")
        if kind == "score":
            self.scores[rest] = _scores.decode(state)
        elif kind == "forecasts":
            self.forecasts[rest] = _forecasts.decode(state)
        elif kind == "told":
            self._told[rest] = set(msgspec.json.decode(state, type=list[tuple[str, str]]))
        elif kind == "open":
            self.open[rest] = load_card(state)


def _over(cards: Iterable[Card], newest: Card) -> list[str]:
    """Events of the same instrument that are not brought up to date any more."""
    return [
        card.event_id
        for card in cards
        if card.instrument == newest.instrument and card.ts_known + OPEN_NS < newest.ts_known
    ]


def _traceparent() -> str:
    """The current span as W3C text, empty without one."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return ""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"


def completed(known: Card | None, fresh: Card) -> Card:
    """A revision of an event keeps what stood beside the one before, and when that was."""
    if known is None:
        return fresh
    return replace(fresh, ts_event=known.ts_event, score=known.score, forecasts=known.forecasts)
