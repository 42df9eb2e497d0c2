"""The service's worker on any bus, with a store in memory that keeps the promises of PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from signal_feeds import SECOND, record

from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas_cli.digest import Digest
from teleglas_common.bus.encode import decode
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus, FencedError
from teleglas_common.bus.testing import crash, publish, read_all, until_stored
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.progress import Tick
from teleglas_common.telemetry import Metrics
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_signal_scorer.counts import Counts
from teleglas_signal_scorer.domain.feed import Cadence
from teleglas_signal_scorer.domain.weights import FIRST, Weights
from teleglas_signal_scorer.ports import Checkpoint, Restored, ScoreRow, Store
from teleglas_signal_scorer.routes import GROUP, READS, ROUTES, WRITES
from teleglas_signal_scorer.shard import ScorerShard, Tools

__all__ = ["FakeStore", "Rig"]


@dataclass
class FakeStore:
    """Everything of a checkpoint, or nothing."""

    weights: list[Weights] = field(default_factory=lambda: [FIRST])
    generations: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, dict[str, int]] = field(default_factory=dict)
    states: dict[int, dict[str, bytes]] = field(default_factory=dict)
    licensed: dict[int, int] = field(default_factory=dict)
    scores: dict[tuple[str, int, int], ScoreRow] = field(default_factory=dict)
    changed: int = 0
    saves: int = 0

    async def restore(self, shard: int) -> Restored:
        self.generations[shard] = self.generations.get(shard, 0) + 1
        return Restored(
            self.generations[shard],
            dict(self.offsets.get(shard, {})),
            dict(self.states.get(shard, {})),
            self.licensed.get(shard, 0),
            list(self.weights),
        )

    async def save(self, checkpoint: Checkpoint) -> None:
        shard = checkpoint.shard
        self._must_own(shard, checkpoint.generation)
        self.saves += 1
        self.offsets[shard] = dict(checkpoint.offsets)
        self.states.setdefault(shard, {}).update(checkpoint.states)
        for row in checkpoint.scores:
            key = (row.instrument, row.tick, row.weights_version)
            self.changed += key in self.scores and self.scores[key].score != row.score
            self.scores[key] = row

    async def license(self, shard: int, generation: int, until: int) -> Sequence[Weights]:
        self._must_own(shard, generation)
        self.licensed[shard] = max(until, self.licensed.get(shard, 0))
        return list(self.weights)

    def _must_own(self, shard: int, generation: int) -> None:
        if self.generations[shard] != generation:
            raise FencedError(f"expected {self.generations[shard]}, was {generation}")


@dataclass
class Rig:
    """One bus and one store; workers on them come and go."""

    bus: Bus = field(default_factory=MemoryBus)
    store: Store = field(default_factory=FakeStore)
    pool: Any = None
    receipts: dict[str, list[Tick]] = field(default_factory=dict)
    absent_after_s: float = 60.0
    checkpoint_s: float = 0.05
    turn_records: int = 128
    metrics: Metrics = field(default_factory=Metrics)

    async def create(self) -> None:
        await self.bus.create([*READS, *WRITES])

    async def send(self, messages: Iterable[Any]) -> None:
        await publish(self.bus, [record(message) for message in messages])

    async def start(self) -> tuple[Worker[ScorerShard], asyncio.Task[None]]:
        publisher = self.bus.publisher()
        await publisher.start()
        tools = Tools(
            self.store,
            publisher,
            SystemClock(),
            Counts(self.metrics),
            Cadence(10 * SECOND, 10 * SECOND),
            self.absent_after_s,
            self.receipts,
        )
        worker = Worker(
            self.bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: ScorerShard(number, tools),
            publisher=publisher,
            service="signal-scorer",
            settings=WorkerSettings(
                checkpoint_interval_s=self.checkpoint_s, turn_records=self.turn_records
            ),
        )
        return worker, asyncio.create_task(worker.run())

    async def drain(self, timeout_s: float = 30.0) -> None:
        """Run until everything that is in the topics was handled and stored."""
        worker, task = await self.start()
        await until_stored(self.bus, READS, task, self.stored_offsets, timeout_s)
        worker.stop()
        await task

    async def run_and_crash(self, saves: int) -> None:
        """Run until so many checkpoints are stored, then end without another."""
        store = self.store
        assert isinstance(store, FakeStore)
        until = store.saves + saves
        _, task = await self.start()
        with suppress(AssertionError):
            await eventually(lambda: store.saves >= until, timeout_s=0.5, every_s=0.001)
        await crash(task)

    async def stored_offsets(self) -> dict[tuple[str, int], int]:
        """Offsets of the last checkpoints, by topic and partition number."""
        if self.pool is None:
            assert isinstance(self.store, FakeStore)
            found = self.store.offsets
        else:
            rows = await self.pool.fetch(
                "SELECT shard, offsets FROM signal_scorer.shard_checkpoints"
            )
            found = {row["shard"]: json.loads(row["offsets"]) for row in rows}
        return {
            (topic, number): offset
            for number, offsets in found.items()
            for topic, offset in offsets.items()
        }

    async def scores(self) -> dict[str, SignalScore]:
        """The last of each id on the topic, in the order of ids."""
        found: dict[str, SignalScore] = {}
        for message in await self._said():
            assert isinstance(message, SignalScore)
            found[message.id] = message
        return dict(sorted(found.items()))

    async def digest(self) -> str:
        """As `teleglas digest` has it."""
        digest = Digest()
        for records in (await read_all(self.bus, topics.SIGNAL_SCORES_V1.name)).values():
            digest.add(records)
        return digest.hexdigest()

    async def _said(self) -> list[Message]:
        polled = await read_all(self.bus, topics.SIGNAL_SCORES_V1.name)
        return [decode(one) for records in polled.values() for one in records]
