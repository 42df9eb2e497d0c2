"""A member of a Kafka consumer group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from teleglas_common.bus.kafka.admin import KafkaAdmin
from teleglas_common.bus.kafka.calls import bounded, last_answers, release, to_records
from teleglas_common.bus.kafka.guard import StallGuard
from teleglas_common.bus.kafka.rebalance import Change, NumberAssignor, RebalanceBridge
from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.bus.kafka.sparing import Sparing
from teleglas_common.bus.ports import (
    BusError,
    CommitRefusedError,
    Rebalance,
    Record,
    TopicPartition,
)

__all__ = ["KafkaGroupConsumer"]

Fetched = Mapping[Any, Sequence[Any]]
_RETRY_S = 0.5
_RESUME_MS = 50
_MARGIN_S = 5.0
_log = logging.getLogger(__name__)


class KafkaGroupConsumer:
    """Tells its listener of changes inside `poll` only: aiokafka's coordinator waits meanwhile, and
    nothing is fetched while no assignment is in force.

    A client that broke or hangs is replaced inside `poll`; to the listener that is a rebalance.
    A cancelled poll may have taken records with it: stop the consumer then.
    """

    def __init__(
        self, settings: KafkaSettings, admin: KafkaAdmin, topics: Sequence[str], group: str
    ) -> None:
        self._settings = settings
        self._gathering = settings.gathering()
        self._admin = admin
        self._topics = tuple(topics)
        self._group = group
        self._listener: Rebalance | None = None
        self._client: AIOKafkaConsumer | None = None
        self._sparing: Sparing | None = None
        self._bridge: RebalanceBridge | None = None
        self._owned: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._waiting: asyncio.Task[Fetched] | None = None
        self._woken = False
        self._broken: str | None = None
        self._moving_since_s = 0.0
        self._refused_since_s: float | None = None
        # A join is answered when the last member has joined or lost its session: a request that
        # gave up before would only start it again.
        self._patience_s = max(settings.request_timeout_s, settings.session_timeout_s + _MARGIN_S)
        self._guard = StallGuard(
            admin, topics, settings.stall_after_s, self._open_positions, self.known_ends
        )

    async def start(self, listener: Rebalance) -> None:
        await self._admin.counts(self._topics)
        self._listener = listener
        await self._connect()
        self._guard.start()

    async def poll(
        self, *, max_records: int, timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        self._woken = False
        while True:
            self._guard.polled()
            left_s = max(0.0, deadline_s - loop.time())
            if not await self._is_healthy(left_s):
                return {}
            client, bridge = self._connected()
            if bridge.pending.done():
                await self._apply(bridge, bridge.pending.result())
            elif bridge.moving:
                await asyncio.wait({bridge.pending}, timeout=left_s)
            elif polled := await self._fetch(client, bridge, max_records, left_s):
                return polled
            if left_s <= 0 or self._woken:
                return {}

    def wake(self) -> None:
        self._woken = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._owned:
            raise BusError(f"expected an assigned partition, was {partition}")
        client, _ = self._connected()
        client.seek(KafkaPartition(*partition), offset)
        self._positions[partition] = offset

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """aiokafka drops what it has fetched of a partition that it is told to pause, so one that
        is being read is only not asked for: one fetch of it waits then.
        """
        client, _ = self._connected()
        self._paused.update(partitions)
        client.pause(*(KafkaPartition(*one) for one in partitions if one not in self._positions))
        self._set_wait(client)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        client, _ = self._connected()
        named = [KafkaPartition(*partition) for partition in partitions]
        client.resume(*named)
        if self._sparing is not None:
            # It was kept from speaking: who catches up resumes all the time.
            self._sparing.spoke(named)
        self._paused.difference_update(partitions)
        self._set_wait(client)

    def _set_wait(self, client: AIOKafkaConsumer) -> None:
        """A partition that is resumed waits for the end of a fetch of the others: short, while any
        is paused. A shard that catches up pauses and resumes all the time.
        """
        fetcher: Any = client._fetcher  # noqa: SLF001 - aiokafka has no call for it
        wait = self._settings.fetch_options(self._gathering)["fetch_max_wait_ms"]
        fetcher._fetch_max_wait_ms = _RESUME_MS if self._paused else wait  # noqa: SLF001

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if not offsets:
            return
        foreign = sorted(offsets.keys() - self._owned)
        if foreign or self._client is None or self._broken is not None:
            raise CommitRefusedError(f"expected owned partitions, has not {foreign}")
        named = {KafkaPartition(*partition): offset for partition, offset in offsets.items()}
        try:
            await asyncio.wait_for(self._client.commit(named), self._patience_s + 1)
        except (CommitFailedError, IllegalStateError) as error:
            if self._refused_since_s is None:
                self._refused_since_s = asyncio.get_running_loop().time()
            raise CommitRefusedError(f"expected group {self._group} to take a commit") from error
        except (TimeoutError, KafkaError) as error:
            raise BusError(f"expected group {self._group} to take a commit: {error!r}") from error

    async def committed(self, partition: TopicPartition) -> int | None:
        client, _ = self._connected()
        offset: int | None = await bounded(
            f"tell the committed offset of {partition}",
            client.committed(KafkaPartition(*partition)),
            2 * self._settings.request_timeout_s,
        )
        return offset

    def known_ends(self, max_age_s: float) -> Mapping[TopicPartition, int]:
        return last_answers(self._client, self._open_positions(), max_age_s)

    async def stop(self) -> None:
        await self._guard.stop()
        try:
            await self._let_go()
        finally:
            await self._disconnect()

    def _connected(self) -> tuple[AIOKafkaConsumer, RebalanceBridge]:
        if self._client is None or self._bridge is None:
            raise BusError(f"expected a started consumer of group {self._group}")
        return self._client, self._bridge

    def _open_positions(self) -> dict[TopicPartition, int]:
        return {p: o for p, o in self._positions.items() if p not in self._paused}

    async def _apply(self, bridge: RebalanceBridge, change: Change) -> None:
        try:
            await self._let_go()
            if change.assigned:
                self._refused_since_s = None
                self._owned = set(change.partitions)
                if self._listener is not None:
                    await self._listener.assigned(change.partitions)
        finally:
            self._moving_since_s = asyncio.get_running_loop().time()
            bridge.finish(change)

    async def _let_go(self) -> None:
        """Tell the listener, then forget. A commit of the listener is still accepted."""
        try:
            if self._owned and self._listener is not None:
                await self._listener.revoked(sorted(self._owned))
        finally:
            self._owned.clear()
            self._paused.clear()
            self._positions.clear()
            self._guard.reset()

    async def _fetch(
        self, client: AIOKafkaConsumer, bridge: RebalanceBridge, max_records: int, timeout_s: float
    ) -> dict[TopicPartition, list[Record]]:
        wanted = self._wanted(client)
        if wanted is None:
            await asyncio.wait({bridge.pending}, timeout=timeout_s)
            return {}
        try:
            raw: Mapping[Any, Sequence[Any]] = await client.getmany(
                *wanted, timeout_ms=0, max_records=max_records
            )
            if not raw and timeout_s > 0:
                getting = client.getmany(
                    *wanted, timeout_ms=int(timeout_s * 1000) + 1, max_records=max_records
                )
                raw = await self._unless_moving(bridge, getting, timeout_s)
        except (TopicAuthorizationFailedError, GroupAuthorizationFailedError) as error:
            raise BusError(f"expected group {self._group} to be allowed to read") from error
        except KafkaError as error:
            self._broken = repr(error)
            return {}
        polled: dict[TopicPartition, list[Record]] = {}
        for source, records in raw.items():
            partition = TopicPartition(source.topic, source.partition)
            polled[partition] = to_records(records)
            self._positions[partition] = records[-1].offset + 1
        if self._sparing is not None:
            self._sparing.spoke(raw)
        if self._gathering is not None:
            self._gathering.came(sum(map(len, polled.values())))
        return polled

    async def _unless_moving(
        self, bridge: RebalanceBridge, getting: Coroutine[Any, Any, Fetched], timeout_s: float
    ) -> Fetched:
        """A rebalance ends the wait for records: `getmany` would then wait without a bound."""
        self._waiting = waiting = asyncio.create_task(getting)
        try:
            await asyncio.wait(
                (waiting, bridge.pending),
                timeout=timeout_s + 1,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()
        await asyncio.wait({waiting})
        return {} if waiting.cancelled() else waiting.result()

    def _wanted(self, client: AIOKafkaConsumer) -> Sequence[KafkaPartition] | None:
        """What to ask aiokafka for: none by name means all; None where all are paused."""
        if not self._paused:
            return ()
        paused = {KafkaPartition(*partition) for partition in self._paused}
        return tuple(client.assignment() - paused) or None

    async def _is_healthy(self, timeout_s: float) -> bool:
        """Replace the client if need be; False if there is none yet."""
        reason = self._broken or self._guard.verdict or self._silence()
        if reason is not None:
            _log.warning("the consumer of group %s is rebuilt: %s", self._group, reason)
            self._broken = reason
            await self._let_go()
            await self._disconnect()
            self._broken = None
        if self._client is None:
            try:
                await self._connect()
            except BusError as error:
                _log.warning("the consumer of group %s cannot connect: %s", self._group, error)
                await asyncio.sleep(min(timeout_s, _RETRY_S))
        return self._client is not None

    def _silence(self) -> str | None:
        """A group that neither gives us partitions nor takes our commits."""
        now_s = asyncio.get_running_loop().time()
        settings = self._settings
        limit_s = settings.rebalance_timeout_s + settings.stall_after_s
        if self._bridge is None:
            return None
        waits = self._bridge.moving and not self._bridge.pending.done()
        if waits and now_s - self._moving_since_s > limit_s:
            return f"no assignment came for {limit_s} s"
        if self._refused_since_s is not None and now_s - self._refused_since_s > limit_s:
            return f"commits have been refused for {limit_s} s"
        return None

    async def _connect(self) -> None:
        settings = self._settings
        options = settings.client_options()
        options["request_timeout_ms"] = int(self._patience_s * 1000)
        client = AIOKafkaConsumer(
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(NumberAssignor,),
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_interval_s * 1000),
            rebalance_timeout_ms=int(settings.rebalance_timeout_s * 1000),
            **settings.fetch_options(self._gathering),
            **options,
        )
        try:
            await bounded("answer", client.start(), 2 * settings.request_timeout_s)
        except BaseException:
            await release(client)
            raise
        self._bridge = RebalanceBridge()
        self._moving_since_s = asyncio.get_running_loop().time()
        self._refused_since_s = None
        client.subscribe(list(self._topics), listener=self._bridge)
        self._client = client
        if self._gathering is not None:
            self._sparing = Sparing(client, self._gathering.is_busy)
        self._guard.reset()

    async def _disconnect(self) -> None:
        if self._bridge is not None:
            self._bridge.close()
        client, self._client, self._bridge = self._client, None, None
        if client is not None:
            await release(client)
