"""Pieces of fetched records, and what is committed of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from teleglas_contracts import topics
from teleglas_whale_detector.adapters.faust_consumer import (
    PIECE,
    Piece,
    SeekingConsumer,
    pieces_of,
)

TRADES = TP(topics.MARKET_TRADES_V1.name, 3)
CHANGELOG = TP("teleglas-whale-detector-state-changelog", 3)


@dataclass
class Raw:
    """A record as aiokafka gives it."""

    offset: int
    key: bytes | None = b"key"
    value: bytes | None = b"value"
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = 7
    timestamp_type: int = 0


def test_pieces_hold_every_record_once_and_in_order() -> None:
    """Inputs go on in pieces, the changelog record by record."""
    fetched: dict[Any, list[Raw]] = {
        TRADES: [Raw(n) for n in range(2 * PIECE + 5)],
        CHANGELOG: [Raw(n) for n in range(3)],
    }
    found = pieces_of(fetched)
    assert [len(piece) for piece in found[TRADES]] == [PIECE, PIECE, 5]
    assert [one.offset for piece in found[TRADES] for one in piece] == list(range(2 * PIECE + 5))
    assert [len(piece) for piece in found[CHANGELOG]] == [1, 1, 1]


def test_piece_stands_at_its_last_record() -> None:
    """Records keep their own offsets, headers and times."""
    piece = Piece(TRADES, [Raw(5, headers=(("a", b"b"),)), Raw(6, key=None, timestamp=None)], 2)
    assert (piece.offset, piece.generation_id) == (6, 2)
    first, last = piece.records
    assert (first.offset, first.headers, first.timestamp_ms) == (5, (("a", b"b"),), 7)
    assert (last.offset, last.key, last.timestamp_ms, last.partition) == (6, None, 0, 3)


@pytest.mark.parametrize("acknowledged", [[63], [63, 127, 130], [130, 63]])
def test_offset_to_commit_is_behind_the_newest_acknowledged_piece(acknowledged: list[int]) -> None:
    """Offsets within a piece are no gaps; what was committed is not committed again."""
    consumer: Any = SimpleNamespace(_acked=defaultdict(list), _acked_index=defaultdict(set))
    consumer._acked[TRADES] += acknowledged
    consumer._acked_index[TRADES].update(acknowledged)
    assert SeekingConsumer._new_offset(consumer, TRADES) == max(acknowledged) + 1
    assert SeekingConsumer._new_offset(consumer, TRADES) is None
    assert not consumer._acked_index[TRADES]
