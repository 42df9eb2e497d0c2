"""One logical connection over sockets that come and go."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from teleglas_common.testing.eventually import eventually
from teleglas_ingest.domain.events import Channel, Event, GapCause
from teleglas_ingest.domain.progress import SourceClock, VenueClock
from teleglas_ingest.domain.silence import Silent
from teleglas_ingest.pipeline.link import Link, LinkTiming
from teleglas_ingest.pipeline.meters import Counts
from teleglas_ingest.pipeline.pace import Pace
from teleglas_ingest.pipeline.session import Session
from teleglas_ingest.ports import Failure, Stream
from teleglas_ingest.testing import FakeDialer, FakeRest, linear_swap, spot
from teleglas_ingest.venues import VENUES

DELTA = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1721347022956,"s":"BTCUSDT",'
    b'"U":11,"u":12,"b":[],"a":[]}}'
)
TICKER = (
    b'{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1721347022956,"s":"BTCUSDT","c":"2",'
    b'"o":"1","h":"3","l":"1","v":"9","q":"18","b":"1","B":"1","a":"3","A":"1"}}'
)


class Watcher:
    """Notes ups, downs and events with the standing of their socket."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.events: list[tuple[str, bool]] = []

    def take(self, event: Event, session: Session) -> None:
        self.events.append((type(event).__name__, session.standby))

    def refuse(self, frame: bytes, stream: Stream | None, reason: str, detail: str) -> None: ...

    def silent(self, session: Session, stream: Stream, silent: Silent) -> None: ...

    def failed(self, session: Session, failure: Failure) -> None: ...

    def closing(self, session: Session, notice: str) -> None: ...

    def up(self, link: Link, cause: GapCause) -> None:  # noqa: ARG002
        self.log.append(f"up {cause.name}")

    def down(self, link: Link, cause: GapCause, detail: str) -> None:  # noqa: ARG002
        self.log.append(f"down {cause.name}")


@asynccontextmanager
async def running(
    name: str = "binance", **timing: float
) -> AsyncIterator[tuple[Link, FakeDialer, Watcher]]:
    market = spot() if name == "binance" else linear_swap()
    venue = VENUES[name](FakeRest(), "ws://x")
    dialer, watcher = FakeDialer(), Watcher()
    streams = [s for s in venue.streams(market, [Channel.BOOKS, Channel.TICKERS]) if s.patience_s]
    link = Link(
        venue,
        f"{name}/0/stream-0",
        streams[0].path,
        streams,
        {market.instrument.venue_symbol: market},
        watcher,
        SourceClock(VenueClock(), slack_ns=0, skew_ns=0),
        dialer,
        Pace(1000.0, burst=1000, monotonic_ns=time.monotonic_ns),
        Counts(),
        timing=LinkTiming(watch_every_s=0.01, **timing),
        random=Random(1),
        wall_ns=lambda: 1_721_347_023_000_000_000,
        monotonic_ns=time.monotonic_ns,
    )
    task = asyncio.create_task(link.run())
    try:
        yield link, dialer, watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lost_socket_is_replaced_and_subscribed_again() -> None:
    """Down once, up once, with the same subscriptions."""
    async with running() as (_, dialer, watcher):
        await eventually(lambda: watcher.log == ["up RESTART"])
        dialer.sockets[0].drop("gone")
        dialer.refuse = 1
        await eventually(lambda: len(dialer.sockets) == 2)
        await eventually(lambda: watcher.log == ["up RESTART", "down DISCONNECT", "up DISCONNECT"])
        first, second = (socket.sent[0].split(b'"id"')[0] for socket in dialer.sockets)
        assert first == second


async def test_a_renewal_makes_the_new_socket_before_it_breaks_the_old() -> None:
    """The old one goes when the new one has spoken on every stream; there is no gap."""
    async with running() as (link, dialer, watcher):
        await eventually(lambda: watcher.log == ["up RESTART"])
        link.renew()
        await eventually(lambda: len(dialer.sockets) == 2)
        old, new = dialer.sockets
        new.push(DELTA)
        old.push(DELTA)
        assert old.is_open
        assert watcher.events == [("BookChange", True), ("BookChange", False)]
        new.push(TICKER)
        await eventually(lambda: not old.is_open)
        new.push(DELTA)
        await eventually(lambda: watcher.events[-1] == ("BookChange", False))
        assert watcher.log == ["up RESTART"]


async def test_an_old_socket_is_read_until_it_has_answered_that_it_says_no_more() -> None:
    """What only it was given is here before it is closed."""
    async with running(let_go_timeout_s=30.0) as (link, dialer, watcher):
        await eventually(lambda: watcher.log == ["up RESTART"])
        link.renew()
        await eventually(lambda: len(dialer.sockets) == 2)
        old, new = dialer.sockets
        new.push(DELTA)
        new.push(TICKER)
        await eventually(lambda: b"UNSUBSCRIBE" in old.sent[-1])
        old.push(DELTA)
        assert watcher.events[-1] == ("BookChange", False)
        assert old.is_open
        old.push(b'{"result":null,"id":%d}' % json.loads(old.sent[-1])["id"])
        await eventually(lambda: not old.is_open)


async def test_a_connection_is_renewed_before_its_age_ends() -> None:
    """The venue would cut it at 24 h; we come first."""
    async with running(max_age_s=0.1, renewal_timeout_s=0.05) as (_, dialer, watcher):
        await eventually(lambda: len(dialer.sockets) >= 3)
        assert watcher.log == ["up RESTART"]


async def test_a_socket_that_answers_no_ping_is_given_up() -> None:
    """Half-open connections end as a disconnect."""
    async with running(idle_timeout_s=0.05) as (_, dialer, watcher):
        await eventually(lambda: len(dialer.sockets) >= 2)
        assert watcher.log[:2] == ["up RESTART", "down DISCONNECT"]


async def test_okx_is_pinged_with_text_and_its_pong_proves_time() -> None:
    """The venue's own keep-alive, not a WebSocket ping."""
    async with running("okx") as (link, dialer, _):
        await eventually(lambda: link.session is not None)
        session = link.session
        assert session is not None
        link._ping(session, time.monotonic_ns())
        assert dialer.sockets[0].sent[-1] == b"ping"
        dialer.sockets[0].push(b"pong")
        assert session.pong_due_ns is None


async def test_pressure_pauses_reading_and_a_new_socket_too() -> None:
    """What waits to be published bounds what is read, over a reconnect as well."""
    async with running() as (link, dialer, _):
        await eventually(lambda: link.session is not None)
        link.press(True)
        assert dialer.sockets[0].paused
        dialer.sockets[0].drop("gone")
        await eventually(lambda: len(dialer.sockets) == 2 and dialer.sockets[1].paused)
        link.press(False)
        await eventually(lambda: not dialer.sockets[1].paused)


async def test_a_quiet_connection_is_pinged_often_enough_for_its_leases() -> None:
    """Only answers move the marks of one that carries nothing; one that speaks is left alone."""
    async with running(still_ping_every_s=0.05) as (_, dialer, _watcher):
        await eventually(lambda: bool(dialer.sockets))
        socket = dialer.sockets[0]

        def pinged() -> bool:
            socket.pong()
            return socket.pings >= 3

        await eventually(pinged)


async def test_a_connection_that_speaks_is_pinged_as_the_venue_wants() -> None:
    """Its own events move its marks."""
    async with running(still_ping_every_s=0.2) as (_, dialer, watcher):
        await eventually(lambda: watcher.log == ["up RESTART"])
        socket = dialer.sockets[0]
        until_s = time.monotonic() + 0.4
        time_ms = 1_721_347_020_000

        def spoke() -> bool:
            nonlocal time_ms
            time_ms += 1
            socket.push(TICKER.replace(b"1721347022956", b"%d" % time_ms))
            return time.monotonic() > until_s

        await eventually(spoke)
        assert socket.pings == 0
