"""A composite as bytes: equal states give equal bytes."""

from __future__ import annotations

import msgspec

from teleglas_market_data.domain.composite import (
    Composer,
    CompositeMarket,
    Definition,
    MemberState,
    Part,
)
from teleglas_market_data.domain.state import (
    PackedBar,
    dump_candles,
    load_candles,
    pack_bar,
    unpack_bar,
)

__all__ = ["dump_composite", "load_composite"]


class PackedMember(msgspec.Struct, array_like=True, frozen=True):
    venue: str
    frontier: int
    seconds: list[PackedBar]
    parts: list[list[tuple[int, tuple[int, int, int]]]]


class PackedComposite(msgspec.Struct, array_like=True, frozen=True):
    version: int
    candles: bytes
    last: list[tuple[str, tuple[int, int]]]
    members: list[PackedMember]
    parts: list[tuple[int, list[Part]]]


def dump_composite(market: CompositeMarket) -> bytes:
    """Everything that `load_composite` needs; late seconds never wait for a checkpoint."""
    return msgspec.msgpack.encode(
        PackedComposite(
            market.definition.version,
            dump_candles(market.candles),
            sorted(market.composer.last.items()),
            [
                PackedMember(
                    venue,
                    member.frontier,
                    [pack_bar(member.seconds[ts]) for ts in sorted(member.seconds)],
                    [sorted(parts.items()) for parts in member.parts],
                )
                for venue, member in sorted(market.members.items())
            ],
            sorted(market.parts.items()),
        )
    )


def load_composite(state: bytes, definition: Definition) -> CompositeMarket | None:
    """The composite that was dumped; None where it was of another definition version."""
    packed = msgspec.msgpack.decode(state, type=PackedComposite)
    if packed.version != definition.version:
        return None
    members = {
        member.venue: MemberState(
            member.frontier,
            {bar[0]: unpack_bar(bar) for bar in member.seconds},
            [dict(parts) for parts in member.parts],
        )
        for member in packed.members
    }
    return CompositeMarket(
        definition,
        load_candles(packed.candles),
        Composer(definition, dict(packed.last)),
        members,
        parts=dict(packed.parts),
    )
