"""What several channels write in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from teleglas.market.v1 import types_pb2
from teleglas_common.bus.ports import PoisonError
from teleglas_gateway.channels.base import Part
from teleglas_gateway.domain.fences import NewestRevisions
from teleglas_gateway.domain.positions import SubjectKey

__all__ = [
    "SIDES",
    "EachMessage",
    "EachRevision",
    "Revision",
    "Timed",
    "checked_subject",
    "enum_name",
    "event_time",
    "side_name",
    "ts_basis",
]

MAX_EXPONENT = 30
MAX_ID_CHARS = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SIDES = {types_pb2.SIDE_BUY: "buy", types_pb2.SIDE_SELL: "sell"}
_BASES = {
    types_pb2.TIME_BASIS_TRANSACTION: "transaction",
    types_pb2.TIME_BASIS_EVENT: "event",
    types_pb2.TIME_BASIS_INGEST: "ingest",
}


class Timed(Protocol):
    @property
    def ts_event(self) -> int: ...
    @property
    def ts_ingest(self) -> int: ...
    @property
    def ts_basis(self) -> types_pb2.TimeBasis.ValueType: ...


def event_time(timed: Timed) -> int:
    """The venue's time, ours where the venue gave none."""
    return timed.ts_event or timed.ts_ingest


def ts_basis(timed: Timed) -> str:
    return _BASES.get(timed.ts_basis, "unknown")


def side_name(side: types_pb2.Side.ValueType) -> str:
    return SIDES.get(side, "unknown")


def enum_name(kind: EnumDescriptor, number: int, prefix: str) -> str:
    """`ticker` of CHANNEL_TICKER; `unknown` for a number that only newer writers know."""
    known = kind.values_by_number.get(number)
    return "unknown" if known is None else known.name.removeprefix(prefix).lower()


def checked_subject(
    channel: str, venue: str, instrument: str, *exponents: int, interval: str = ""
) -> SubjectKey:
    """The subject of a message; PoisonError where a name or a scale makes no sense.

    A scale of 10**1,000,000 in one record would cost every reader its memory.
    """
    if not (_NAME.fullmatch(venue) and _NAME.fullmatch(instrument)):
        raise PoisonError("bad_subject", f"expected names, was {venue[:40]!r} {instrument[:40]!r}")
    for exponent in exponents:
        if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
            raise PoisonError(
                "bad_exponent",
                f"expected an exponent within ±{MAX_EXPONENT}, was {exponent} ({instrument})",
            )
    return SubjectKey(channel, venue, instrument, interval)


class Revision(NamedTuple):
    """An event as a derived topic tells it: whom it is about, its id, and which telling this is."""

    subject: SubjectKey
    identity: str
    number: int = 0


class EachMessage:
    """The fold of a topic whose every record is one message that needs no state."""

    def __init__(self, subject: Callable[[Message], SubjectKey | None]) -> None:
        self._subject = subject

    def read(self, message: Message) -> Sequence[Part]:
        subject = self._subject(message)
        return () if subject is None else (Part(subject, 0, message),)

    def current(self, subject: SubjectKey) -> None:  # noqa: ARG002  # has no state of any subject
        return None


class EachRevision:
    """The fold of a derived topic: a writer that went on after a crash says some things again."""

    def __init__(self, event: Callable[[Message], Revision | None], *, window: int) -> None:
        self._event = event
        self._seen = NewestRevisions(window)

    def read(self, message: Message) -> Sequence[Part]:
        self._seen.step()
        event = self._event(message)
        if event is None:
            return ()
        if not 0 < len(event.identity) <= MAX_ID_CHARS:
            raise PoisonError(
                "bad_id",
                f"expected an id of 1 to {MAX_ID_CHARS} characters, was {event.identity[:40]!r}",
            )
        if not self._seen.add(event.identity, event.number):
            return ()
        return (Part(event.subject, 0, message),)

    def current(self, subject: SubjectKey) -> None:  # noqa: ARG002  # every message counts
        return None
