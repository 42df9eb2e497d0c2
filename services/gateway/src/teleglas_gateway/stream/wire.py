"""Two wire formats: `/v1/stream` with decimal strings and `/ws` as the predecessor wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from teleglas_gateway.channels.base import Body, Channel
from teleglas_gateway.domain.frames import text_frame
from teleglas_gateway.domain.numbers import DECIMAL_NUMBERS, DECIMAL_STRINGS, Numbers, iso_ms
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["LegacyWire", "V1Wire", "Wire", "control_frame"]

_ENCODE = msgspec.json.Encoder().encode


def control_frame(message: Mapping[str, object]) -> bytes:
    """A frame that is about the session: an answer, a notice, a heartbeat."""
    return text_frame(_ENCODE(message))


class Wire(Protocol):
    """Writes messages of one format."""

    name: str

    def shows(self, channel: Channel, payload: Any) -> bool: ...

    def message(
        self,
        channel: Channel,
        subject: SubjectKey,
        epoch: str,
        seq: int | None,
        prev_seq: int | None,
        payload: Any,
    ) -> bytes: ...

    def snapshot(
        self,
        channel: Channel,
        subject: SubjectKey,
        epoch: str,
        seq: int | None,
        parts: Sequence[tuple[int | None, Any]],
        now_ns: int,
    ) -> bytes: ...

    def names(self, subject: SubjectKey) -> dict[str, object]:
        """How this format names a subject."""


class _Written:
    name: str
    _numbers: Numbers

    def names(self, subject: SubjectKey) -> dict[str, object]:
        raise TypeError(f"expected a wire format that names {subject}")

    def shows(self, channel: Channel, payload: Any) -> bool:  # noqa: ARG002  # a format may hide some
        return True

    def fields(self, channel: Channel, body: Body) -> dict[str, object]:  # noqa: ARG002  # or parts
        return body.data

    def snapshot(
        self,
        channel: Channel,
        subject: SubjectKey,
        epoch: str,
        seq: int | None,
        parts: Sequence[tuple[int | None, Any]],
        now_ns: int,
    ) -> bytes:
        """The state before the first live message; `data` is empty where nothing is known yet."""
        data, newest_ns = [], 0
        for part_seq, payload in parts:
            if self.shows(channel, payload):
                body = channel.body(payload, self._numbers)
                newest_ns = max(newest_ns, body.ts_ns)
                fields = self.fields(channel, body)
                data.append({"seq": part_seq, "timestamp": iso_ms(body.ts_ns), **fields})
        return text_frame(
            _ENCODE(
                {
                    "type": "snapshot",
                    "channel": channel.name,
                    **self.names(subject),
                    "timestamp": iso_ms(newest_ns or now_ns),
                    "seq": seq,
                    "prev_seq": None,
                    "epoch": epoch,
                    "data": data,
                }
            )
        )


class V1Wire(_Written):
    name = "v1"
    _numbers = DECIMAL_STRINGS

    def names(self, subject: SubjectKey) -> dict[str, object]:
        named: dict[str, object] = {"symbol": subject.instrument, "venue": subject.venue}
        if subject.interval:
            named["interval"] = subject.interval
        return named

    def message(
        self,
        channel: Channel,
        subject: SubjectKey,
        epoch: str,
        seq: int | None,
        prev_seq: int | None,
        payload: Any,
    ) -> bytes:
        body = channel.body(payload, self._numbers)
        return text_frame(
            _ENCODE(
                {
                    "type": channel.type,
                    "channel": channel.name,
                    **self.names(subject),
                    "timestamp": iso_ms(body.ts_ns),
                    "seq": seq,
                    "prev_seq": prev_seq,
                    "epoch": epoch,
                    "data": body.data,
                }
            )
        )


class LegacyWire(_Written):
    name = "legacy"
    _numbers = DECIMAL_NUMBERS

    def __init__(self, short_name: Callable[[str], str]) -> None:
        self._short_name = short_name

    def shows(self, channel: Channel, payload: Any) -> bool:
        return channel.in_legacy(payload)

    def fields(self, channel: Channel, body: Body) -> dict[str, object]:
        shown = channel.legacy_fields
        if not shown:
            return body.data
        return {name: value for name, value in body.data.items() if name in shown}

    def names(self, subject: SubjectKey) -> dict[str, object]:
        return {"symbol": self._short_name(subject.instrument)}

    def message(
        self,
        channel: Channel,
        subject: SubjectKey,
        epoch: str,
        seq: int | None,
        prev_seq: int | None,  # noqa: ARG002  # the predecessor had none
        payload: Any,
    ) -> bytes:
        body = channel.body(payload, self._numbers)
        return text_frame(
            _ENCODE(
                {
                    "type": channel.type,
                    **self.names(subject),
                    "timestamp": iso_ms(body.ts_ns),
                    "seq": seq,
                    "epoch": epoch,
                    "data": self.fields(channel, body),
                }
            )
        )
