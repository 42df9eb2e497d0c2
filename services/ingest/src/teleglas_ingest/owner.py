"""Who owns a shard runs it: takes the lease, keeps it, and lets go without a hole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog
from msgspec import Struct

from teleglas_ingest.ports import Lease, Leases

__all__ = ["Owner", "OwnerPolicy", "Tenure"]

_log = structlog.get_logger(__name__)


class OwnerPolicy(Struct, frozen=True, kw_only=True):
    ttl_s: float = 10.0
    """Of the lease; renewed three times in it, given up a sixth before its end."""

    poll_every_s: float = 0.25
    """Between looks at a lease that another holds."""

    @property
    def renew_every_s(self) -> float:
        return self.ttl_s / 3

    @property
    def give_up_after_s(self) -> float:
        return self.ttl_s * 5 / 6


class Tenure(Protocol):
    """What is done with a shard while it is ours."""

    async def run(self) -> None:
        """Work until cancelled; ends by itself only to be started anew."""

    async def leave(self) -> None:
        """After `run`: publish the last words and wait for the bus."""

    def fence(self) -> None:
        """Publish nothing more: the shard is another's."""

    @property
    def trouble(self) -> str | None:
        """Why nothing comes in, in words; None when something does."""


class Reserve(Protocol):
    """A shard made ready while another process owns it."""

    async def take_over(self, lease: Lease) -> Tenure: ...

    async def close(self) -> None: ...

    @property
    def is_finished(self) -> bool:
        """It has ended by itself and cannot take over any more."""


class Owner:
    """Contends for one shard, as long as the process lives. While another has it, we stand by: the
    connections are made before those of the other break.
    """

    def __init__(
        self,
        venue: str,
        shard: int,
        name: str,
        leases: Leases,
        begin: Callable[[Lease], Awaitable[Tenure]],
        stand_by: Callable[[], Awaitable[Reserve]],
        *,
        policy: OwnerPolicy,
        monotonic_s: Callable[[], float],
    ) -> None:
        self.venue = venue
        self.shard = shard
        self.lease: Lease | None = None
        self.tenure: Tenure | None = None
        self._name = name
        self._leases = leases
        self._begin = begin
        self._stand_by = stand_by
        self._reserve: Reserve | None = None
        self._preparing: asyncio.Future[Reserve] | None = None
        self._policy = policy
        self._monotonic_s = monotonic_s
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        while not self._stopping.is_set():
            lease = await self._acquire()
            if lease is None:
                await self._prepare()
                continue
            self.lease = lease
            _log.info("shard taken", venue=self.venue, shard=self.shard, epoch=lease.epoch)
            try:
                await self._serve(lease)
            finally:
                self.lease = self.tenure = None
            await self._pause(0.05)
        await self._dismiss()

    @property
    def trouble(self) -> str | None:
        """What keeps us from serving: nothing while we have the shard, or stand by for it."""
        if self.tenure is not None:
            return self.tenure.trouble
        return None if self.lease is not None or self.is_standing_by else "neither owns nor waits"

    @property
    def is_standing_by(self) -> bool:
        return self._reserve is not None and not self._reserve.is_finished

    def stop(self) -> None:
        self._stopping.set()

    async def _prepare(self) -> None:
        """Make a reserve, then ask for the lease often: it may be released any moment."""
        if self._reserve is not None and self._reserve.is_finished:
            _log.error("reserve ended", venue=self.venue, shard=self.shard)
            await self._close_reserve()
        if self._reserve is None and self._preparing is None:
            self._preparing = asyncio.ensure_future(self._stand_by())
        if self._preparing is not None and self._preparing.done():
            preparing, self._preparing = self._preparing, None
            failure = None if preparing.cancelled() else preparing.exception()
            if failure is not None:
                _log.error("no reserve", venue=self.venue, error=repr(failure))
            elif not preparing.cancelled():
                self._reserve = preparing.result()
                _log.info("standing by", venue=self.venue, shard=self.shard)
        await self._pause(self._policy.poll_every_s)

    async def _started(self, lease: Lease) -> Tenure:
        """The reserve takes over where there is one that is in order, else all is begun anew."""
        reserve = self._reserve
        if reserve is not None and not reserve.is_finished:
            tenure: Tenure | None = None
            try:
                tenure = await reserve.take_over(lease)
            except Exception as error:  # noqa: BLE001 - whatever it is, the shard must go on
                _log.error("reserve failed", venue=self.venue, error=repr(error))
            finally:
                self._reserve = None
                if tenure is None:
                    await reserve.close()
            if tenure is not None:
                return tenure
        await self._dismiss()
        return await self._begin(lease)

    async def _close_reserve(self) -> None:
        reserve, self._reserve = self._reserve, None
        if reserve is not None:
            await reserve.close()

    async def _dismiss(self) -> None:
        preparing, self._preparing = self._preparing, None
        if preparing is not None:
            await _cancelled([preparing])
            if not preparing.cancelled() and preparing.exception() is None:
                self._reserve = preparing.result()
        await self._close_reserve()

    async def _acquire(self) -> Lease | None:
        try:
            return await self._leases.acquire(self.venue, self.shard, self._name)
        except (OSError, TimeoutError) as error:
            _log.warning("lease store unreachable", venue=self.venue, error=str(error))
            return None

    async def _serve(self, lease: Lease) -> None:
        """Begin, work and renew until told to stop, the lease is lost or the work ends."""
        keeping = asyncio.create_task(self._keep(lease))
        stopping = asyncio.create_task(self._stopping.wait())
        beginning = asyncio.ensure_future(self._started(lease))
        tenure: Tenure | None = None
        working: asyncio.Task[None] | None = None
        try:
            await asyncio.wait({keeping, stopping, beginning}, return_when=asyncio.FIRST_COMPLETED)
            if not beginning.done():
                return
            tenure = self.tenure = beginning.result()
            working = asyncio.create_task(tenure.run())
            await asyncio.wait({keeping, stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost = keeping.done()
            if lost and tenure is not None:
                _log.error("shard lost", venue=self.venue, shard=self.shard, epoch=lease.epoch)
                tenure.fence()
            await _cancelled([beginning] if tenure is None else [])
            if working is not None and tenure is not None:
                failure = await _cancelled([working])
                if not lost:
                    await tenure.leave()
                if failure is not None:
                    raise failure
            await _cancelled([keeping, stopping])
            if not lost:
                await self._release(lease)

    async def _keep(self, lease: Lease) -> None:
        """Renew until the lease is lost, or so long unconfirmed that it may be."""
        confirmed_s = self._monotonic_s()
        while True:
            left_s = confirmed_s + self._policy.give_up_after_s - self._monotonic_s()
            await asyncio.sleep(max(0.0, min(self._policy.renew_every_s, left_s)))
            asked_s = self._monotonic_s()
            left_s = confirmed_s + self._policy.give_up_after_s - asked_s
            if left_s <= 0:
                return
            try:
                async with asyncio.timeout(left_s):
                    if not await self._leases.renew(lease):
                        return
                confirmed_s = asked_s
            except (OSError, TimeoutError) as error:
                _log.warning("lease not renewed", venue=self.venue, error=str(error))

    async def _release(self, lease: Lease) -> None:
        try:
            await self._leases.release(lease)
        except (OSError, TimeoutError) as error:
            _log.warning("lease not released: it will expire", venue=self.venue, error=str(error))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


async def _cancelled(tasks: Sequence[asyncio.Future[Any]]) -> BaseException | None:
    """Cancel and wait; the failure of a task that had failed by itself."""
    failure: BaseException | None = None
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            failure = outcome
    return failure
