"""Books at a position of the play."""

import zlib

from teleglas_sim.replay.binance_book import BinanceBook
from teleglas_sim.replay.loading import load
from teleglas_sim.replay.okx_book import checksum
from teleglas_sim.replay.testing import CaptureMaker, spot_diff, spot_snapshot


def test_snapshot_and_diffs_before_the_position_make_the_book(captures: CaptureMaker) -> None:
    """Covered diffs are left out, later ones applied, a size of zero removes."""
    path = captures.write(
        "spot.gz",
        [
            spot_diff(1, 3, '[["99.0","5.0"]]'),
            spot_snapshot(4, '[["100.0","1.0"],["98.0","2.0"]]', '[["101.0","1.0"]]'),
            spot_diff(4, 4, '[["100.0","7.0"]]'),
            spot_diff(5, 6, '[["100.0","0.0"]]', '[["100.5","3.0"]]'),
        ],
    )
    with load([path]) as timeline:
        book = BinanceBook(timeline, "binance", "BTCUSDT")
        assert book.depth(5).last_update_id == 4
        book.advance_to(2)
        assert book.depth(5).bids == [("100.0", "1.0"), ("98.0", "2.0")]
        book.advance_to(3)
        depth = book.depth(5)
        assert depth.last_update_id == 6
        assert depth.bids == [("98.0", "2.0")]
        assert depth.asks == [("100.5", "3.0"), ("101.0", "1.0")]


def test_a_hole_starts_the_book_from_the_next_snapshot(captures: CaptureMaker) -> None:
    """After missing diffs the levels of the old book are worth nothing."""
    path = captures.write(
        "spot.gz",
        [
            spot_snapshot(1, '[["100.0","1.0"]]', "[]"),
            spot_diff(2, 2, '[["99.0","1.0"]]'),
            spot_diff(10, 12, '[["98.0","1.0"]]'),
            spot_snapshot(11, '[["97.0","1.0"]]', "[]"),
            spot_diff(13, 13, '[["96.0","1.0"]]'),
        ],
    )
    with load([path]) as timeline:
        book = BinanceBook(timeline, "binance", "BTCUSDT")
        book.advance_to(timeline.total)
        depth = book.depth(5)
        assert depth.last_update_id == 13
        assert [price for price, _ in depth.bids] == ["98.0", "97.0", "96.0"]


def test_without_a_snapshot_the_book_holds_what_changed(captures: CaptureMaker) -> None:
    """A client still finds the first diff continuous."""
    path = captures.write("spot.gz", [spot_diff(5, 6, '[["99.0","5.0"]]'), spot_diff(7, 7)])
    with load([path]) as timeline:
        book = BinanceBook(timeline, "binance", "BTCUSDT")
        assert book.depth(5).last_update_id == 4
        book.advance_to(1)
        assert (book.depth(5).last_update_id, book.depth(5).bids) == (6, [("99.0", "5.0")])


def test_a_snapshot_without_a_symbol_needs_one_instrument_in_its_file(
    captures: CaptureMaker,
) -> None:
    """With two instruments it is left out and noted, not guessed."""
    other = spot_diff(1, 1).replace("btcusdt", "ethusdt")
    path = captures.write("spot.gz", [spot_diff(1, 1), other, spot_snapshot(1, "[]", "[]")])
    with load([path]) as timeline:
        assert timeline.answers == []
        assert "expected one instrument in the file, there were 2" in timeline.notes[0]


def test_checksum_goes_on_alone_with_the_longer_side() -> None:
    """Levels alternate while both sides have some."""
    bids = [["3366.1", "7", "0", "3"]]
    asks = [["3366.8", "9", "10", "3"], ["3368", "8", "3", "4"]]
    crc = zlib.crc32(b"3366.1:7:3366.8:9:3368:8")
    assert checksum(bids, asks) == crc - (1 << 32) < 0
