"""What a stream client may say, decoded and checked."""

from __future__ import annotations

from typing import Annotated

import msgspec

from teleglas_gateway.domain.problems import Code, Problem

__all__ = [
    "Auth",
    "Command",
    "CommandError",
    "Ping",
    "RequestId",
    "Subscribe",
    "Unsubscribe",
    "names",
    "parse_command",
]

RequestId = int | str | None
Name = Annotated[str, msgspec.Meta(max_length=64)]
Names = Name | Annotated[list[Name], msgspec.Meta(max_length=1000)]


class Auth(msgspec.Struct, frozen=True):
    ticket: Annotated[str, msgspec.Meta(max_length=256)]


class Ping(msgspec.Struct, frozen=True):
    pass


class Subscribe(msgspec.Struct, frozen=True):
    """`resume` is a token of a notice, or `{subject: [epoch, seq]}` of the last messages seen."""

    channel: Name
    symbol: Names
    venue: Names | None = None
    interval: Names | None = None
    snapshot: bool = False
    conflate_ms: Annotated[int, msgspec.Meta(ge=50, le=60_000)] | None = None
    resume: str | dict[str, tuple[str, int]] | None = None


class Unsubscribe(msgspec.Struct, frozen=True):
    channel: Name
    symbol: Names
    venue: Names | None = None
    interval: Names | None = None


Params = Auth | Ping | Subscribe | Unsubscribe


class Command(msgspec.Struct, frozen=True):
    method: str
    params: Params
    req_id: RequestId


class _Envelope(msgspec.Struct):
    method: Annotated[str, msgspec.Meta(max_length=32)]
    params: msgspec.Raw = msgspec.Raw(b"{}")
    req_id: int | Annotated[str, msgspec.Meta(max_length=64)] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_PARAMS: dict[str, msgspec.json.Decoder[Params]] = {
    "auth": msgspec.json.Decoder(Auth),
    "ping": msgspec.json.Decoder(Ping),
    "subscribe": msgspec.json.Decoder(Subscribe),
    "unsubscribe": msgspec.json.Decoder(Unsubscribe),
}


class CommandError(Problem):
    """A command that was refused whole, with the id that its answer must echo."""

    def __init__(self, code: Code, detail: str, req_id: RequestId = None) -> None:
        super().__init__(code, detail)
        self.req_id = req_id


def parse_command(text: bytes) -> Command:
    try:
        envelope = _ENVELOPE.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(Code.MALFORMED_BODY, f"expected a command: {error}") from error
    decoder = _PARAMS.get(envelope.method)
    if decoder is None:
        known = ", ".join(_PARAMS)
        raise CommandError(
            Code.UNKNOWN_METHOD,
            f"expected one of {known}, was {envelope.method!r}",
            envelope.req_id,
        )
    try:
        params = decoder.decode(envelope.params)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(
            Code.VALIDATION_FAILED,
            f"expected params of {envelope.method}: {error}",
            envelope.req_id,
        ) from error
    return Command(envelope.method, params, envelope.req_id)


def names(value: Names | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))
