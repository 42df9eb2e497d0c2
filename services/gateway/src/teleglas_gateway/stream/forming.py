"""Joins candles that are still forming to the `candles` channel, for whoever listens."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import structlog

from teleglas.market.v1 import candle_pb2
from teleglas_gateway.channels import candles
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.ports import Forming, FormingLostError
from teleglas_gateway.stream.hub import Hub
from teleglas_gateway.stream.sequence import Event

__all__ = ["FormingFeed"]

LOOK_S = 0.25
"""How soon a new listener is served."""
RETRY_S = 1.0
_LOG = structlog.get_logger(__name__)
Wanted = tuple[frozenset[str], frozenset[str]]


class FormingFeed:
    """Holds one stream a venue, as wide as what is listened to, and widens it when that grows.

    These messages have no `seq`: the next one replaces them, a slow reader misses them, and the
    closed candle comes in sequence by itself.
    """

    def __init__(self, hub: Hub, source: Forming) -> None:
        self._hub = hub
        self._source = source
        self._running: dict[str, tuple[Wanted, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        try:
            while True:
                self._follow(self._wanted())
                await asyncio.sleep(LOOK_S)
        finally:
            await self._stop()

    def _wanted(self) -> dict[str, Wanted]:
        instruments: dict[str, set[str]] = defaultdict(set)
        intervals: dict[str, set[str]] = defaultdict(set)
        for subject in self._hub.wanted(candles.NAME):
            instruments[subject.key.venue].add(subject.key.instrument)
            intervals[subject.key.venue].add(subject.key.interval)
        return {
            venue: (frozenset(names), frozenset(intervals[venue]))
            for venue, names in instruments.items()
        }

    def _follow(self, wanted: Mapping[str, Wanted]) -> None:
        for venue, (held, task) in list(self._running.items()):
            wide = wanted.get(venue)
            if wide is None or not (wide[0] <= held[0] and wide[1] <= held[1]):
                task.cancel()
                del self._running[venue]
        for venue, wide in wanted.items():
            if venue not in self._running:
                task = asyncio.create_task(self._relay(venue, wide))
                self._running[venue] = (wide, task)

    async def _relay(self, venue: str, wanted: Wanted) -> None:
        while True:
            try:
                async for candle in self._source.candles(venue, *wanted):
                    self._pass_on(candle)
            except FormingLostError as error:
                _LOG.warning("forming_candles_lost", venue=venue, cause=str(error))
            await asyncio.sleep(RETRY_S)

    def _pass_on(self, candle: candle_pb2.Candle) -> None:
        if candle.is_closed:
            return
        key = SubjectKey(candles.NAME, candle.venue, candle.instrument, candle.interval)
        subject = self._hub.subject(key)
        if subject.is_wanted:
            event = Event(candles.CHANNEL, key, subject.log.epoch, None, None, None, candle)
            subject.deliver_fleeting(event)

    async def _stop(self) -> None:
        tasks = [task for _, task in self._running.values()]
        self._running.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
