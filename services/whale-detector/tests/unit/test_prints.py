"""Prints that are late, repeated, of another scale or no market trades, and markets that halt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from whale_detector_rig import BTC, Fill, Rig, batch, batches, made_up_fills, mark

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import (
    PRINT_KIND_AUTO_DELEVERAGING,
    PRINT_KIND_INSURANCE_FUND,
)
from teleglas.whale.v1.whale_pb2 import (
    WHALE_KIND_BLOCK,
    WHALE_KIND_SLICED,
    WHALE_KIND_SWEEP,
    WhaleAlert,
)
from teleglas_whale_detector.shard import BOOKS, TRADES

FILLS = made_up_fills(orders=900)
END_MS = FILLS[-1].ts_ms
WHALE = 100_000
NEXT = FILLS[-1].sequence + 1


def known() -> Rig:
    """A detector that knows its instrument, with nothing open; books have been silent so long that
    it does not wait for them.
    """
    rig = Rig()
    rig.shard.marks.silences.heard(BOOKS)
    while rig.clock.seconds < 11.0:
        rig.clock.seconds += 1.0
        rig.shard.marks.silences.heard(TRADES)
    rig.trades(batches(FILLS, 4))
    assert rig.shard.desks["binance", BTC].fills.threshold is not None
    rig.out.clear()
    return rig


def later(ts_ms: int = 200_000, *, sequence: int = NEXT, size: int = WHALE, side: int = 1) -> Fill:
    return Fill(sequence, END_MS + ts_ms, side, 6_000_000, size)


def closed(ts_ms: int = 400_000) -> list[Progress]:
    return [mark(END_MS + ts_ms, [BTC])]


def test_first_fill_over_the_threshold_is_announced_before_any_mark() -> None:
    """The crossing goes out with the fill, as it stood then."""
    rig = known()
    rig.trades([batch([later(), later(sequence=NEXT + 1)])])
    (alert,) = rig.alerts
    assert alert.id == f"binance:{BTC}:buy:{NEXT}:1"
    assert alert.fills == 1
    assert not alert.is_closed
    assert alert.notional >= alert.threshold > 0


def test_alert_notional_is_the_exact_sum_of_its_fills() -> None:
    """Price times size of every fill, and the levels that they went through."""
    rig = known()
    fills = [Fill(NEXT + n, END_MS + 200_000, 2, 6_000_000 - n, 400_003 + 7 * n) for n in range(9)]
    rig.trades([batch(fills), *closed()])
    alert = rig.alerts[-1]
    assert alert.notional == sum(fill.price * fill.size for fill in fills)
    assert alert.size == sum(fill.size for fill in fills)
    assert alert.quote_exponent == -7
    assert alert.vwap == round(alert.notional / alert.size)
    assert (alert.fills, alert.levels_consumed) == (9, 9)
    assert list(alert.trade_ids) == [str(fill.sequence) for fill in fills]
    assert (alert.kind, alert.is_closed) == (WHALE_KIND_SWEEP, True)
    assert alert.notional_usd.amount.mantissa == alert.notional


def test_one_large_print_at_one_price_is_a_block() -> None:
    """A sweep needs levels."""
    rig = known()
    rig.trades([batch([later()]), *closed()])
    assert rig.alerts[-1].kind == WHALE_KIND_BLOCK


def test_unknown_instrument_gives_no_alert_and_says_how_far_it_is() -> None:
    """Before enough parent orders are known nothing is a whale."""
    rig = Rig()
    rig.trades([batch(FILLS[:100]), batch([replace(FILLS[100], size=90_000_000)])])
    assert rig.alerts == []
    (threshold,) = rig.shard.thresholds()
    assert 0 < threshold.warm_up < 1
    assert not threshold.HasField("notional")


@pytest.mark.parametrize("kind", [PRINT_KIND_INSURANCE_FUND, PRINT_KIND_AUTO_DELEVERAGING])
def test_print_that_is_no_market_trade_is_kept_out(kind: int) -> None:
    """An insurance fund's takeover is nobody's parent order."""
    rig = known()
    made = batch([later()])
    made.trades[0].print = kind  # type: ignore[assignment]
    rig.trades([made, *closed()])
    assert rig.alerts == []
    assert rig.ignored("no_market_print") == 1


def test_trade_behind_the_mark_is_kept_out() -> None:
    """Late is against the source's own mark."""
    rig = known()
    rig.trades([batch([later(ts_ms=-5_000)]), *closed()])
    assert rig.alerts == []
    assert rig.ignored("late") == 1


def test_repeated_trade_counts_once() -> None:
    """A hand-over writes a trade twice."""
    rig = known()
    fills = [later(), later(sequence=NEXT + 1)]
    rig.trades([batch(fills), batch(fills), *closed()])
    assert rig.alerts[-1].fills == 2
    assert rig.ignored("repeated") == 2


def test_trades_of_a_hand_over_in_two_orders_all_count() -> None:
    """What the old writer says after the new one fills the hole that it left."""
    rig = known()
    first, second, third = (later(sequence=NEXT + n) for n in range(3))
    rig.trades([batch([first]), batch([third]), batch([second, third]), *closed()])
    assert rig.alerts[-1].fills == 3


def test_batch_of_an_older_writer_is_kept_out() -> None:
    """A fenced owner's trades do not count."""
    rig = known()
    rig.trades([batch([later(size=1)], epoch=3), batch([later(sequence=NEXT + 1)]), *closed()])
    assert rig.alerts == []
    assert rig.ignored("older_epoch") == 1


@pytest.mark.parametrize(
    ("fill", "cause"),
    [
        (replace(later(), price=600_000_000), "mis_scaled_price"),
        (replace(later(), price=60_000), "mis_scaled_price"),
        (replace(later(), size=10**14), "mis_scaled_size"),
    ],
)
def test_mis_scaled_print_is_kept_out_and_named(fill: Fill, cause: str) -> None:
    """A price or a size of another scale makes no whale."""
    rig = known()
    rig.trades([batch([fill]), *closed()])
    assert rig.alerts == []
    assert rig.ignored(cause) == 1


def test_price_that_stays_elsewhere_is_believed_in_the_end() -> None:
    """A real move is no error for ever."""
    rig = known()
    fills = [replace(later(200_000 + n, sequence=NEXT + n, size=5), price=99) for n in range(30)]
    rig.trades([batch(fills), *closed()])
    assert rig.ignored("mis_scaled_price") == 19
    assert rig.shard.desks["binance", BTC].fills.last_price == 99


def test_halted_instrument_ends_its_parents_and_bridges_nothing() -> None:
    """Marks go on where no trade comes: an order before a halt and one after it are two."""
    rig = known()
    rig.trades([batch([later()]), mark(END_MS + 3_600_000, [BTC])])
    rig.trades(
        [
            batch([later(7_200_000, sequence=NEXT + 1)]),
            mark(END_MS + 7_300_000, [BTC]),
        ]
    )
    last: dict[str, WhaleAlert] = {alert.id: alert for alert in rig.alerts}
    assert len(last) == 2
    assert all(alert.is_closed and alert.fills == 1 for alert in last.values())


def test_change_of_exponents_in_mid_order_changes_no_value() -> None:
    """The same fills in finer units add up to the same notional."""
    plain, finer = known(), known()
    fills = [Fill(NEXT + n, END_MS + 200_000, 1, 6_000_000 + n, WHALE) for n in range(4)]
    plain.trades([batch(fills), *closed()])
    second = batch(
        [replace(one, price=one.price * 100, size=one.size * 1_000) for one in fills[2:]]
    )
    second.price_exponent, second.size_exponent = -4, -8
    finer.trades([batch(fills[:2]), second, *closed()])
    coarse, fine = plain.alerts[-1], finer.alerts[-1]
    assert fine.id == coarse.id
    assert (fine.price_exponent, fine.size_exponent, fine.quote_exponent) == (-4, -8, -12)
    assert fine.notional == coarse.notional * 10**5
    assert abs(fine.vwap - coarse.vwap * 100) <= 50


def test_books_that_never_come_leave_the_impact_unset() -> None:
    """What is missing is left out and counted, once the topic has been silent long enough."""
    rig = known()
    before = missing_in(rig)
    rig.trades([batch([later()]), *closed()])
    alert = rig.alerts[-1]
    assert alert.is_closed
    assert not alert.impacts
    assert not alert.HasField("depth_share")
    assert missing_in(rig) == before + 2


def missing_in(rig: Rig) -> float:
    value = rig.metrics.registry.get_sample_value(
        "teleglas_whale_books_missing_total", {"venue": "binance"}
    )
    return value or 0.0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.ClearField("venue"),
        lambda made: made.ClearField("trades"),
        lambda made: setattr(made, "price_exponent", 99),
        lambda made: setattr(made, "instrument", "X" * 500),
    ],
)
def test_batch_that_cannot_be_is_poison(spoil: object) -> None:
    """It goes to the dead letters and the partition goes on."""
    rig = known()
    made = batch([later()])
    spoil(made)  # type: ignore[operator]
    rig.trades([made])
    assert len(rig.poison) == 1
    rig.trades([batch([later()])])
    assert len(rig.alerts) == 1


def test_piece_that_was_announced_by_itself_goes_on_as_its_parent() -> None:
    """One id, growing revisions, and in the end the whole parent order."""
    rig = known()
    size = 60_000
    pieces = [later(200_000 + n * 900, sequence=NEXT + n, size=size) for n in range(12)]
    for piece in pieces:
        rig.trades([batch([piece]), mark(piece.ts_ms + 500, [BTC])])
    rig.trades(closed())
    first = [one for one in rig.alerts if one.first_trade_id == str(NEXT)]
    assert first[0].kind == WHALE_KIND_BLOCK
    assert first[-1].kind == WHALE_KIND_SLICED
    assert first[-1].fills == 12
    assert first[-1].notional == sum(one.price * one.size for one in pieces)
    revisions = [one.revision for one in first]
    assert revisions == sorted(set(revisions))
