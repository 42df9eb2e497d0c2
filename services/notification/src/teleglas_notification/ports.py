"""What notification needs from outside: a store for shards, an outbox, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from teleglas_common.checkpoints import Restored
from teleglas_notification.domain.cards import Card
from teleglas_notification.domain.people import Subscriber
from teleglas_notification.domain.rules import Rule, RuleBook

__all__ = [
    "SCHEMA",
    "BlockedError",
    "Candles",
    "Channel",
    "Checkpoint",
    "Composed",
    "Directory",
    "Job",
    "OutboxCard",
    "Outcome",
    "RefusedError",
    "Restored",
    "RetryLaterError",
    "Store",
    "TransientError",
    "Wanted",
]

SCHEMA = "notification"
"""The database schema of this service's tables."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rule asks that its subscriber is told of an event."""

    rule: Rule
    channel: str


@dataclass(slots=True)
class OutboxCard:
    """What is known of an event now, and who is to be told."""

    card: Card
    traceparent: str
    wanted: tuple[Wanted, ...] = ()


@dataclass(slots=True)
class Checkpoint:
    """Everything that a shard stores in one transaction; only what changed since the last one."""

    shard: int
    generation: int
    offsets: Mapping[str, int]
    states: Mapping[str, bytes]
    dropped: Sequence[str] = ()
    cards: Sequence[OutboxCard] = ()


class Store(Protocol):
    """The database, as a shard uses it."""

    async def restore(self, shard: int) -> Restored: ...

    async def save(self, checkpoint: Checkpoint) -> int:
        """Store all of it or nothing; how many deliveries are new.

        Raises FencedError when another owner has moved on.
        """


class Directory(Protocol):
    """Who wants to be told of what, as of a moment ago."""

    async def rules(self) -> RuleBook: ...

    def channel_of(self, rule: Rule) -> str:
        """The channel of the rule's subscriber; of rules that came with the last `rules`."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A message as channels take it: HTML as the Bot API knows it, the facts behind it, buttons as
    (label, data) and a picture, if any.
    """

    html: str
    facts: Mapping[str, object]
    buttons: tuple[tuple[str, str], ...] = ()
    picture: bytes | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One call to make: a chat is leased until it is settled."""

    message_id: str
    kind: str
    version: int
    ref: str
    attempts: int
    unconfirmed: int
    """Calls for this message whose end nobody saw."""
    subscriber: Subscriber
    cards: tuple[Card, ...]
    traceparents: tuple[str, ...]
    total: int
    """Events behind the message; `cards` are the first of them."""
    due_ns: int = 0
    """Since when it is due."""

    @property
    def is_edit(self) -> bool:
        return bool(self.ref)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: `status` is sent, retry, failed or blocked."""

    status: str
    ref: str = ""
    wait_ns: int = 0
    reason: str = ""
    unconfirmed: bool = False
    counts: bool = True
    """Whether it is one of the bounded attempts."""


class TransientError(Exception):
    """The channel did not take it now; `unconfirmed` when it may have taken it all the same."""

    def __init__(self, reason: str, *, unconfirmed: bool = False) -> None:
        super().__init__(reason)
        self.unconfirmed = unconfirmed


class RetryLaterError(Exception):
    """The channel asks for a pause: of this chat, or of `everyone`."""

    def __init__(self, after_s: float, *, everyone: bool = False) -> None:
        super().__init__(f"asked to wait {after_s:g} s")
        self.after_s = after_s
        self.everyone = everyone


class BlockedError(Exception):
    """The receiver wants no more messages."""


class RefusedError(Exception):
    """The channel will never take this message."""


class Channel(Protocol):
    """One way to reach people. Every call ends within its time-out, and raises only the errors
    above.
    """

    @property
    def name(self) -> str: ...

    @property
    def takes_pictures(self) -> bool: ...

    async def send(self, address: str, message: Composed, message_id: str) -> str:
        """Deliver a new message; returns what `edit` needs to find it, never empty."""

    async def edit(self, address: str, ref: str, message: Composed, message_id: str) -> None:
        """Bring a delivered message up to date; the same content again is no error, and neither is
        a message that is not there any more.
        """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Candles(Protocol):
    """Recent candles of a market, for pictures."""

    async def recent(
        self, venue: str, instrument: str, ts_event: int
    ) -> Sequence[tuple[int, float, float, float, float]]:
        """(open time ns, open, high, low, close), oldest first; empty where there are none."""
