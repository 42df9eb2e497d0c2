"""What ingest needs from outside, and what a venue has to offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from teleglas_ingest.domain.continuity import Continuity
from teleglas_ingest.domain.events import BookChange, Channel, Event, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Market

__all__ = [
    "Ack",
    "Closed",
    "Control",
    "Dialer",
    "Failure",
    "Lease",
    "Leases",
    "Limits",
    "Notice",
    "Pong",
    "Rest",
    "RestError",
    "Route",
    "Socket",
    "Stream",
    "TradePage",
    "Venue",
]

Route = Callable[[bytes, int], Sequence[Event]]
"""(frame, ts_ingest) → events of one stream. Raises RefusedError and msgspec's errors."""


class Stream(Struct, frozen=True):
    """One subscription: the venue's own name of it and what it carries."""

    name: str
    path: str
    channel: Channel
    venue_symbol: str
    patience_s: float | None
    """It speaks at least this often; None where silence means nothing."""
    probe: bool = False
    """Silence is no proof: ask REST before believing it."""


class Limits(Struct, frozen=True, kw_only=True):
    """What the venue allows one client."""

    streams_per_connection: int
    streams_per_request: int
    messages_per_s: float
    connects: int
    connects_per_s: float
    max_age_s: float
    """Planned renewal comes well before the venue's own cut."""
    ping_text: bytes | None = None
    ping_every_s: float = 20.0


class Ack(Struct, frozen=True):
    """A request was accepted. `stream` where the venue acknowledges each one by name."""

    request_id: int | None
    stream: str | None = None


class Failure(Struct, frozen=True):
    request_id: int | None
    code: str
    detail: str


class Notice(Struct, frozen=True):
    """The venue will close this connection soon."""

    detail: str


class Pong(Struct, frozen=True):
    pass


Control = Ack | Failure | Notice | Pong


class TradePage(Struct):
    """Trades of REST, oldest first. Ids from `covers_from` to `covers_to` that are not in it do not
    exist at the venue.
    """

    trades: list[Trade]
    covers_from: int
    covers_to: int


class RestError(Exception):
    """REST did not answer as expected. `retry_after_s` where the venue said so."""

    def __init__(self, detail: str, *, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after_s = retry_after_s


class Rest(Protocol):
    """GET against one venue, within its request weight."""

    async def get(self, path: str, params: Mapping[str, str], *, weight: int) -> bytes:
        """The body. Raises RestError."""

    async def close(self) -> None: ...


class Venue(Protocol):
    """One venue's protocol: where to connect, how to subscribe, what frames and bodies mean."""

    name: str
    limits: Limits
    rule: Continuity
    book_in_band: bool
    """The book's snapshot comes in the stream; a resync is a new subscription."""
    contiguous: bool
    """Trade ids count up by one without holes."""
    open_interest_by_stream: bool

    def url(self, path: str) -> str: ...

    def streams(self, market: Market, channels: Sequence[Channel]) -> list[Stream]: ...

    def subscribe(self, streams: Sequence[Stream], request_id: int) -> bytes: ...

    def unsubscribe(self, streams: Sequence[Stream], request_id: int) -> bytes: ...

    def routes(
        self, streams: Sequence[Stream], markets: Mapping[str, Market]
    ) -> dict[bytes, tuple[Stream, Route]]:
        """Frame key → stream and mapper. `markets` by the venue's symbol."""

    def key(self, frame: bytes) -> bytes:
        """The part of a frame that names its stream, as the venue itself writes frames. Cheap; any
        bytes for a frame of another form.
        """

    def parsed_key(self, frame: bytes) -> bytes | None:
        """The same by parsing: for a frame whose cheap key is unknown. None where it names none."""

    def control(self, frame: bytes) -> Control | None:
        """Read a frame that has no route; None where it is no control message either."""

    async def instruments(self) -> list[Instrument]: ...

    async def book(self, market: Market, ts_ingest: int) -> BookChange | None:
        """The book by REST; None where it comes in band."""

    async def trades(self, market: Market, first: int, last: int, ts_ingest: int) -> TradePage:
        """Fills first to last as far as they can be had without a key, in one request."""

    async def newest_trade(self, market: Market, ts_ingest: int) -> Trade | None: ...

    async def open_interest(self, market: Market, ts_ingest: int) -> Ticker | None: ...


class Closed(Struct, frozen=True):
    """Why a socket ended."""

    code: int | None
    detail: str


class Socket(Protocol):
    """One WebSocket. Frames go to the callback given to `dial`, in order."""

    def send(self, text: bytes) -> None: ...

    def ping(self) -> None: ...

    def pause(self) -> None:
        """Stop reading; the venue's bytes wait in the kernel."""

    def resume(self) -> None: ...

    async def closed(self) -> Closed: ...

    def close(self) -> None: ...


class Dialer(Protocol):
    async def dial(
        self, url: str, on_frame: Callable[[bytes], None], on_pong: Callable[[], None]
    ) -> Socket:
        """Connect; raises OSError or TimeoutError."""


class Lease(Struct, frozen=True):
    """Ownership of one shard. A higher epoch has fenced all lower ones off."""

    venue: str
    shard: int
    owner: str
    epoch: int


class Leases(Protocol):
    async def acquire(self, venue: str, shard: int, owner: str) -> Lease | None:
        """Take the shard when it is free, expired or already ours; None while another holds it."""

    async def renew(self, lease: Lease) -> bool:
        """False when it was lost: stop writing at once."""

    async def release(self, lease: Lease) -> None: ...


Clock = Callable[[], int]
"""ns since the epoch."""

Sleep = Callable[[float], Awaitable[None]]
