"""The stream server put together: reference data, hub, sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from teleglas_common.bus.ports import Bus
from teleglas_gateway.channels import CHANNELS
from teleglas_gateway.channels.base import Channel
from teleglas_gateway.domain.symbols import Catalogue
from teleglas_gateway.ports import Authorizer, Claims, Forming, Keys
from teleglas_gateway.stream.burials import Burials
from teleglas_gateway.stream.catchup import CatchUp
from teleglas_gateway.stream.conflate import Conflator
from teleglas_gateway.stream.context import Access, StreamContext, StreamSettings, StreamWatcher
from teleglas_gateway.stream.forming import FormingFeed
from teleglas_gateway.stream.hub import Hub, HubWatcher
from teleglas_gateway.stream.recent import Recent
from teleglas_gateway.stream.reference import Reference
from teleglas_gateway.stream.server import Admissions, StreamServer
from teleglas_gateway.stream.wire import LegacyWire, V1Wire, Wire

__all__ = ["Streams", "Watcher"]


class Watcher(HubWatcher, StreamWatcher, Protocol):
    """Told of everything."""

    def watch_recent(self, recent: Recent) -> None: ...

    def replays_log(self) -> None:
        """A resume goes further back than what is in memory."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The parts that live and die together."""

    reference: Reference
    hub: Hub
    burials: Burials
    conflator: Conflator
    server: StreamServer
    catalogue: Catalogue
    forming: FormingFeed | None

    @classmethod
    async def start(
        cls,
        bus: Bus,
        catalogue: Catalogue,
        access: Access,
        authorizer: Authorizer,
        keys: Keys,
        settings: StreamSettings,
        watcher: Watcher,
        *,
        claims: Claims,
        forming: Forming | None = None,
        channels: Sequence[Channel] = CHANNELS,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> Streams:
        """Read reference data, then each channel's lookback: from here on messages are delivered
        as soon as `run` is.
        """
        reference = Reference(bus, catalogue)
        await reference.start()
        burials = Burials(bus, claims)
        await burials.start()
        recent = Recent(settings.recent_bytes)
        watcher.watch_recent(recent)
        hub = Hub(bus, channels, reference.epochs, recent, watcher=watcher, burials=burials)
        await hub.start()
        await reference.catch_up()
        conflator = Conflator()
        admissions = Admissions(settings)
        context = StreamContext(
            hub=hub,
            catalogue=catalogue,
            catch_up=CatchUp(bus, hub, settings.catch_up, on_log=watcher.replays_log),
            conflator=conflator,
            access=access,
            admission=admissions,
            authorizer=authorizer,
            watcher=watcher,
            settings=settings,
            now_ns=now_ns,
        )
        wires: dict[str, Wire] = {
            "/v1/stream": V1Wire(),
            "/ws": LegacyWire(catalogue.short_name),
        }
        return cls(
            reference=reference,
            hub=hub,
            burials=burials,
            conflator=conflator,
            server=StreamServer(context, admissions, keys, wires),
            catalogue=catalogue,
            forming=None if forming is None else FormingFeed(hub, forming),
        )

    async def run(self) -> None:
        """Deliver until cancelled; the first part that breaks ends the others."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.reference.run())
            tasks.create_task(self.hub.run())
            tasks.create_task(self.server.run())
            if self.forming is not None:
                tasks.create_task(self.forming.run())

    async def stop(self) -> None:
        await self.conflator.stop()
        await self.hub.stop()
        await self.burials.stop()
        await self.reference.stop()
