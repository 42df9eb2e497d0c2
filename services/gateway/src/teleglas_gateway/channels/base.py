"""What a channel is: a topic, how its records become messages, and what a slow reader loses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import Message

from teleglas_contracts.topic import Topic
from teleglas_gateway.domain.numbers import Numbers
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["Body", "Channel", "Fold", "Part", "Policy"]


class Policy(Enum):
    """What happens to a message that a client is too slow for."""

    LOSSLESS = "lossless"
    """It waits; a client with too much waiting is closed with a resume token."""
    LATEST = "latest"
    """It makes way for the newest state of its subject, with a notice that names the range."""


class Part(NamedTuple):
    """One message in a record: whom it is about, its place in the record, and what it says."""

    subject: SubjectKey
    place: int
    payload: Any


class Body(NamedTuple):
    """What both wire formats say of a message; `ts_ns` is its venue time, else ours."""

    ts_ns: int
    data: dict[str, object]


class Fold(Protocol):
    """The state of one partition: the same records give the same parts on every pod."""

    def read(self, message: Message) -> Sequence[Part]:
        """Messages of a record, without those of replaced writers and repeated ones."""

    def current(self, subject: SubjectKey) -> Any | None:
        """The newest state of a subject as a payload; None where only messages count."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel. `type` names its messages; `aliases` are names that the predecessor used.

    Every pod reads `lookback` records of each partition before it goes live, and `prev_seq` never
    reaches further back than that: so it is equal on every pod. `view` is what a conflated
    subscription shows of a state; `in_legacy` says which messages `/ws` shows; `received_ns` is
    when we received it, 0 where it is not known. `buries_poison`: no consumer group of
    ours reads the topic, so its dead letters are the gateway's to write. `composite_only`: no venue
    has messages of its own. `legacy_fields` are those that `/ws` shows, where the predecessor's
    message had no others. Who names none of `intervals` gets `default_intervals`.
    """

    name: str
    type: str
    topic: Topic
    policy: Policy
    lookback: int
    fold: Callable[[], Fold]
    body: Callable[[Any, Numbers], Body]
    received_ns: Callable[[Any], int] = lambda _payload: 0
    aliases: tuple[str, ...] = ()
    has_composite: bool = False
    composite_only: bool = False
    buries_poison: bool = False
    intervals: tuple[str, ...] = ()
    default_intervals: tuple[str, ...] = ()
    legacy_fields: frozenset[str] = frozenset()
    snapshot_messages: int = 0
    view: Callable[[Any], Any] = lambda payload: payload
    in_legacy: Callable[[Any], bool] = lambda _payload: True
