"""Sends records to Kafka in batches that it fills itself, one lane a partition."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from teleglas_common.bus.kafka.calls import bounded, release
from teleglas_common.bus.kafka.lane import Lane, LaneBatch
from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.bus.memory_log import Signal
from teleglas_common.bus.ports import Outgoing, PublishError
from teleglas_common.rounds import QUIET_BYTES, Traffic, to_round_s

__all__ = ["KafkaPublisher"]

_MAX_OUTSTANDING = 2
"""Batches of one partition on their way: one in flight and one behind it."""
_BUSY_OFFSET_S, _OFFSET_S = 0.012, 0.01
"""Behind a round time: what services do at that time leaves with the rest."""


class KafkaPublisher:
    """Idempotent, acknowledged by all replicas, in order within a partition over retries.

    Filling whole batches saves what aiokafka's `send` pays for every record: a future, a metadata
    check, a wrapper. `benchmarks/bus.py` measures both.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._max_in_flight_bytes = settings.max_in_flight_bytes
        self._batch_bytes = settings.batch_bytes
        self._producer: AIOKafkaProducer | None = None
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._idle: set[Lane] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._round_s = settings.linger_round_s
        self._traffic = Traffic(settings.linger_round_s or 1.0, QUIET_BYTES)
        self._uncounted_bytes = 0
        self._is_patient = False
        """Whether the timer waits for a round time."""
        self._deliveries: set[asyncio.Task[None]] = set()
        self._delivered = Signal()
        self._error: PublishError | None = None
        self._stopped = True
        self.in_flight_bytes = 0
        """Taken and not acknowledged."""

    async def start(self) -> None:
        settings = self._settings
        self._producer = AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            max_batch_size=settings.batch_bytes,
            **settings.client_options(),
        )
        # aiokafka gives up batches of a partition without a leader after one request time-out, and
        # leaves a hole in its sequence numbers: a broker that stops in good order takes longer.
        accumulator = self._producer._message_accumulator  # noqa: SLF001 - no option for it
        accumulator._batch_ttl = settings.delivery_timeout_s  # noqa: SLF001
        try:
            await bounded("answer", self._producer.start(), 2 * settings.request_timeout_s)
        except BaseException:
            await release(self._producer)
            raise
        self._stopped = False

    async def send(self, record: Outgoing) -> None:
        if self._error is not None or self._stopped:
            self._refuse()
        size = record.size_bytes
        if self.in_flight_bytes and self.in_flight_bytes + size > self._max_in_flight_bytes:
            await self._wait_for_room(size)
        lane = self._lanes.get((record.topic, record.partition))
        if lane is None:
            lane = Lane(record.topic, record.partition)
            self._lanes[record.topic, record.partition] = lane
        lane.waiting.append((record, size))
        lane.waiting_bytes += size
        lane.taken += 1
        self.in_flight_bytes += size
        self._idle.add(lane)
        self._uncounted_bytes += size
        if self._timer is None or self._is_patient:
            self._linger()
        if lane.waiting_bytes >= self._batch_bytes and lane.outstanding < _MAX_OUTSTANDING:
            self._send_batch(lane)
            await asyncio.sleep(0)

    async def flush(self) -> None:
        self._pump()
        targets = [(lane, lane.taken) for lane in self._lanes.values()]
        while self._error is None and any(lane.delivered < taken for lane, taken in targets):
            await self._delivered.wait(self._settings.delivery_timeout_s)
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        if self._producer is None:
            return
        try:
            if self._error is None and not self._stopped:
                await self.flush()
        finally:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()
            for delivery in self._deliveries:
                delivery.cancel()
            producer, self._producer = self._producer, None
            await release(producer)

    def _refuse(self) -> None:
        raise self._error or PublishError("expected a started publisher, was stopped")

    async def _wait_for_room(self, size: int) -> None:
        self._pump()
        while self.in_flight_bytes and self.in_flight_bytes + size > self._max_in_flight_bytes:
            await self._delivered.wait(self._settings.delivery_timeout_s)
            if self._error is not None or self._stopped:
                self._refuse()

    def _linger(self) -> None:
        """See to it that what waits is sent soon; in quiet traffic, with what else comes until a
        round time.
        """
        now_s = time.time()
        linger_s = to_round_s(now_s, self._settings.linger_s, _BUSY_OFFSET_S)
        if self._round_s is not None:
            size, self._uncounted_bytes = self._uncounted_bytes, 0
            patient = not self._traffic.take(size, now_s)
            if patient and self._timer is not None:
                return
            if patient:
                linger_s = to_round_s(now_s, self._round_s, _OFFSET_S)
            self._is_patient = patient
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(linger_s, self._linger_is_over)

    def _linger_is_over(self) -> None:
        self._timer = None
        self._pump()

    def _pump(self) -> None:
        """Send what waits wherever a batch may go."""
        for lane in list(self._idle):
            if lane.outstanding < _MAX_OUTSTANDING:
                self._send_batch(lane)
            else:
                lane.is_due = True

    def _send_batch(self, lane: Lane) -> None:
        if self._producer is None or self._error is not None or not lane.waiting:
            return
        batch = LaneBatch(self._batch_bytes)
        try:
            size = batch.fill(lane.waiting, time.time_ns() // 1_000_000)
        except (TypeError, ValueError, AttributeError) as error:
            self._fail(PublishError(f"expected a record, was {lane.waiting[0][0]!r}: {error}"))
            return
        lane.waiting_bytes -= size
        lane.is_due = bool(lane.waiting)
        if not lane.waiting:
            self._idle.discard(lane)
        lane.outstanding += 1
        delivery = asyncio.create_task(self._deliver(lane, batch, size))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def _deliver(self, lane: Lane, batch: LaneBatch, size: int) -> None:
        count = batch.count
        what = f"{count} records to {lane.topic}/{lane.partition}"
        try:
            async with asyncio.timeout(self._settings.delivery_timeout_s):
                async with lane.order:
                    acknowledged = await self._hand_over(lane, batch)
                await acknowledged
        except TimeoutError:
            limit_s = self._settings.delivery_timeout_s
            self._fail(PublishError(f"expected {what} to be acknowledged within {limit_s} s"))
        except Exception as error:  # noqa: BLE001 - raised to whoever sends or flushes next
            self._fail(PublishError(f"expected {what} to be taken, was {error!r}"))
        else:
            lane.outstanding -= 1
            lane.delivered += count
            self.in_flight_bytes -= size
            if lane.is_due or lane.waiting_bytes >= self._batch_bytes:
                self._send_batch(lane)
            self._delivered.notify()

    async def _hand_over(self, lane: Lane, batch: LaneBatch) -> asyncio.Future[Any]:
        """Give a batch to aiokafka; while no broker answers, again and again."""
        while self._producer is not None:
            with contextlib.suppress(KafkaTimeoutError):
                acknowledged: asyncio.Future[Any] = await self._producer.send_batch(
                    batch, lane.topic, partition=lane.partition
                )
                return acknowledged
        raise KafkaError("the publisher was stopped")

    def _fail(self, error: PublishError) -> None:
        self._error = self._error or error
        self._delivered.notify()
