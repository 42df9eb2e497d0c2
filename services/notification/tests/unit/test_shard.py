"""The worker over the service's routes, on the bus in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from notification_samples import SECOND, T0, alert, forecast, score

from teleglas.prediction.v1.prediction_pb2 import DIRECTION_UP
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import FencedError, Outgoing
from teleglas_common.bus.testing import publish, read_all
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.telemetry import Metrics
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_notification.counts import Counts
from teleglas_notification.domain.cards import Card
from teleglas_notification.domain.rules import Rule, RuleBook
from teleglas_notification.ports import Checkpoint, Restored
from teleglas_notification.routes import GROUP, READS, ROUTES, WRITES
from teleglas_notification.shard import NotificationShard, Tools


@dataclass
class FakeStore:
    """Everything of a checkpoint, or nothing; deliveries once for each event and subscriber."""

    generations: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, dict[str, int]] = field(default_factory=dict)
    states: dict[int, dict[str, bytes]] = field(default_factory=dict)
    told: dict[tuple[str, str], Card] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)

    async def restore(self, shard: int) -> Restored:
        self.generations[shard] = self.generations.get(shard, 0) + 1
        return Restored(
            self.generations[shard],
            dict(self.offsets.get(shard, {})),
            dict(self.states.get(shard, {})),
        )

    async def save(self, checkpoint: Checkpoint) -> int:
        shard = checkpoint.shard
        if self.generations[shard] != checkpoint.generation:
            raise FencedError("expected the last owner")
        self.offsets[shard] = dict(checkpoint.offsets)
        states = self.states.setdefault(shard, {})
        states.update(checkpoint.states)
        for name in checkpoint.dropped:
            states.pop(name, None)
        before = len(self.told)
        for one in checkpoint.cards:
            self.cards[one.card.event_id] = one.card
            for wanted in one.wanted:
                self.told.setdefault((wanted.rule.subscriber_id, one.card.event_id), one.card)
        return len(self.told) - before


@dataclass
class FakeDirectory:
    """The same rules always."""

    book: RuleBook

    async def rules(self) -> RuleBook:
        return self.book

    def channel_of(self, rule: Rule) -> str:
        return f"channel of {rule.subscriber_id}"


@dataclass
class World:
    """A bus, a store and rules; workers on them come and go."""

    book: RuleBook
    bus: MemoryBus = field(default_factory=MemoryBus)
    store: FakeStore = field(default_factory=FakeStore)

    async def drain(self, *records: Outgoing) -> None:
        """Send, and run a worker of its own until all of it is stored."""
        await self.bus.create([*READS, *WRITES])
        await publish(self.bus, records)
        publisher = self.bus.publisher()
        await publisher.start()
        counts = Counts(Metrics())
        tools = Tools(self.store, FakeDirectory(self.book), counts, lambda: None)
        worker = Worker(
            self.bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: NotificationShard(number, tools),
            publisher=publisher,
            service="notification",
            settings=WorkerSettings(checkpoint_records=1),
        )
        task = asyncio.create_task(worker.run())
        ends = await self.bus.ends([topic.name for topic in READS])

        def is_done() -> bool:
            offsets = self.store.offsets
            return all(offsets.get(p, {}).get(t, 0) >= end for (t, p), end in ends.items() if end)

        await eventually(is_done, timeout_s=30.0)
        worker.stop()
        await task


def sent(message: object) -> Outgoing:
    topic = {
        "WhaleAlert": topics.WHALE_ALERTS_V1,
        "SignalScore": topics.SIGNAL_SCORES_V1,
        "Forecast": topics.PREDICTION_FORECASTS_V1,
    }[type(message).__name__]
    return outgoing(topic, message, key="k", subject="BTC-USDT", now_ns=T0, event_id="e")  # type: ignore[arg-type]


EVERYTHING = Rule("default", "all", "s1")
EVENT = "binance:BTC-USDT:buy:1:1"


async def test_alert_goes_out_with_the_last_known_score_and_forecast() -> None:
    """What was known before stands on the card; what comes after makes it better."""
    world = World(RuleBook([EVERYTHING]))
    await world.drain(sent(score(T0)), sent(forecast(T0)))
    await world.drain(sent(alert(1)))
    first = world.store.told["s1", EVENT]
    assert first.score is not None
    assert first.score.ts_event == T0
    assert [one.ts_event for one in first.forecasts] == [T0]
    await world.drain(sent(score(T0 + 5 * SECOND, 50.0)), sent(forecast(T0 + 5 * SECOND)))
    better = world.store.cards[EVENT]
    assert better.score is not None
    assert better.score.score == 50.0
    assert [one.ts_event for one in better.forecasts] == [T0 + 5 * SECOND]
    assert len(world.store.told) == 1


async def test_alert_of_a_score_rule_is_told_once_the_score_is_there() -> None:
    """A condition that did not hold at first may hold with better knowledge."""
    world = World(RuleBook([Rule("default", "r", "s1", kinds=("whale",), min_abs_score=40.0)]))
    await world.drain(sent(score(T0, 10.0)), sent(alert(1)))
    assert world.store.told == {}
    await world.drain(sent(score(T0 + 5 * SECOND, -45.0)))
    assert list(world.store.told) == [("s1", EVENT)]


async def test_revision_of_an_alert_keeps_its_first_time_and_its_score() -> None:
    """Older revisions that come again change nothing."""
    world = World(RuleBook([EVERYTHING]))
    await world.drain(sent(alert(1)), sent(alert(1, revision=2, is_closed=True)), sent(alert(1)))
    card = world.store.cards[EVENT]
    assert card.whale is not None
    assert card.whale.revision == 2
    assert card.ts_event == T0 + SECOND + SECOND // 5
    assert len(world.store.told) == 1


async def test_change_of_stance_and_new_direction_are_events() -> None:
    """The same stance or no direction again is none."""
    world = World(RuleBook([EVERYTHING]))
    await world.drain(
        sent(score(T0)),
        sent(score(T0 + SECOND)),
        sent(score(T0 + 2 * SECOND, -60.0, "strong_sell")),
    )
    await world.drain(
        sent(forecast(T0)),
        sent(forecast(T0 + SECOND)),
        sent(forecast(T0 + 2 * SECOND, DIRECTION_UP)),
    )
    kinds = sorted(card.kind for card in world.store.told.values())
    assert kinds == ["forecast", "signal"]


async def test_impossible_messages_are_buried_and_the_rest_goes_on() -> None:
    """Nothing that a topic holds stops the service."""
    world = World(RuleBook([EVERYTHING]))
    bad = [
        alert(1, percentile=float("nan")),
        alert(1, price_exponent=2_000),
        alert(1, id="x" * 999),
    ]
    bad_score = score(T0, float("inf"))
    bad_forecast = forecast(T0)
    del bad_forecast.intervals[:]
    await world.drain(*(sent(one) for one in bad), sent(bad_score), sent(bad_forecast))
    await world.drain(sent(alert(2)))
    assert len(world.store.told) == 1
    buried = 0
    for topic in READS:
        assert topic.dead_letter is not None
        found = await read_all(world.bus, topic.dead_letter)
        buried += sum(len(records) for records in found.values())
    assert buried == 5
