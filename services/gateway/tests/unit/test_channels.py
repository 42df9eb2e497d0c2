"""One suite that every channel passes."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.json_format import Parse

from teleglas.market.v1 import progress_pb2
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas_common.bus.ports import PoisonError
from teleglas_contracts.messages import MESSAGES
from teleglas_gateway.channels import BY_NAME, CHANNELS
from teleglas_gateway.channels.base import Channel, Policy
from teleglas_gateway.channels.tickers import merged
from teleglas_gateway.domain.commands import Subscribe
from teleglas_gateway.domain.symbols import Catalogue, Listing
from teleglas_gateway.domain.weight import impact_of
from teleglas_gateway.stream.expand import expand
from teleglas_gateway.stream.sequence import PartitionLog
from teleglas_gateway.stream.wire import LegacyWire, V1Wire, Wire
from teleglas_gateway.testing import book_delta, book_snapshot

EXAMPLES = Path(__file__).parents[4] / "proto" / "examples"
WIRES: tuple[Wire, ...] = (V1Wire(), LegacyWire(lambda name: name.partition("-")[0]))
ENVELOPE = {"type", "channel", "symbol", "venue", "timestamp", "seq", "prev_seq", "epoch", "data"}


@dataclass(frozen=True)
class Example:
    channel: Channel
    schema: str
    text: str

    def message(self) -> Any:
        return Parse(self.text, MESSAGES[self.schema]())


def example_of(channel: Channel) -> Example:
    """The example of the topic's manifest: what the channel must be able to show."""
    schema = next(name for name in channel.topic.schemas if not name.endswith("Progress"))
    topic = channel.topic.name.removeprefix("teleglas.")
    path = EXAMPLES / f"{topic}.{schema.rpartition('.')[2]}.json"
    return Example(channel, schema, path.read_text())


@pytest.fixture(params=CHANNELS, ids=lambda channel: channel.name)
def example(request) -> Example:
    return example_of(request.param)


def payload(frame: bytes | None) -> dict[str, Any]:
    assert frame is not None
    message: dict[str, Any] = json.loads(frame[4 if frame[1] == 126 else 2 :])
    return message


def test_the_manifests_example_becomes_one_numbered_message(example):
    """Its record gives one message at its offset, chained to nothing yet."""
    log = PartitionLog(example.channel, "e1")
    (event,) = log.read(7, example.message())
    assert (event.seq, event.prev_seq, event.epoch) == (7 << 10, None, "e1")
    (again,) = PartitionLog(example.channel, "e1").read(7, example.message())
    assert again.frame(WIRES[0]) == event.frame(WIRES[0])


def test_v1_messages_have_the_envelope_and_decimal_strings(example):
    """No float stands where an exact number is meant."""
    (event,) = PartitionLog(example.channel, "e1").read(7, example.message())
    message = payload(event.frame(WIRES[0]))
    extra = {"interval"} if example.channel.intervals else set()
    assert set(message) == ENVELOPE | extra
    assert message["type"] == example.channel.type
    assert not [name for name, value in _leaves(message["data"]) if isinstance(value, float)]


def test_legacy_messages_have_the_predecessors_envelope_and_numbers(example):
    """Prices are JSON numbers; the symbol is short."""
    (event,) = PartitionLog(example.channel, "e1").read(7, example.message())
    message = payload(event.frame(WIRES[1]))
    assert set(message) == {"type", "symbol", "timestamp", "seq", "epoch", "data"}
    assert message["symbol"] == "BTC"
    if "price" in message["data"]:
        assert isinstance(message["data"]["price"], float)


def test_a_message_is_encoded_once_a_format(example):
    """The second client of a format gets the very same bytes."""
    (event,) = PartitionLog(example.channel, "e1").read(7, example.message())
    for wire in WIRES:
        assert event.frame(wire) is event.frame(wire)


def test_progress_marks_are_no_messages(example):
    """Marks in band move nothing on the stream."""
    log = PartitionLog(example.channel, "e1")
    assert log.read(3, progress_pb2.Progress(venue="binance")) == []


def test_a_replaced_writers_record_is_left_out(example):
    """After a newer writer of the same source an older one has no say."""
    message = example.message()
    if "writer_epoch" not in message.DESCRIPTOR.fields_by_name:
        pytest.skip("derived topics have one writer by construction")
    log = PartitionLog(example.channel, "e1")
    message.source, message.writer_epoch = "s", 9
    assert len(log.read(1, message)) == 1
    late = example.message()
    late.source, late.writer_epoch = "s", 8
    for trade in getattr(late, "trades", ()):
        trade.id, trade.sequence = "1", trade.sequence + 1
    if example.channel.name == "gaps":
        pytest.skip("gaps are shown as they were written")
    assert log.read(2, late) == []


@pytest.mark.parametrize(
    "damage",
    [{"venue": ""}, {"instrument": "../etc"}, {"price_exponent": 2_000_000_000}],
    ids=str,
)
def test_impossible_records_are_poison_not_a_crash(example, damage):
    """Names and scales that make no sense are refused by cause."""
    message = example.message()
    for name, value in damage.items():
        if name not in message.DESCRIPTOR.fields_by_name:
            pytest.skip(f"has no {name}")
        setattr(message, name, value)
    with pytest.raises(PoisonError):
        PartitionLog(example.channel, "e1").read(1, message)


def test_states_can_be_shown_whole_and_events_cannot(example):
    """LATEST channels have a newest state to conflate to; lossless ones have none."""
    log = PartitionLog(example.channel, "e1")
    message = example.message()
    if example.channel.name == "books":
        message.kind = 1
    (event,) = log.read(1, message)
    current = log.fold.current(event.subject)
    assert (current is not None) == (example.channel.policy is Policy.LATEST)


def test_prev_seq_never_reaches_further_back_than_the_lookback(example):
    """So a pod that starts anywhere numbers as every other does."""
    log = PartitionLog(example.channel, "e1")
    numbered = []
    for step, offset in enumerate((5, 6, 6 + example.channel.lookback + 1)):
        message = example.message()
        for trade in message.trades if example.channel.name == "trades" else ():
            trade.id, trade.sequence = str(step), trade.sequence + step
        if "id" in message.DESCRIPTOR.fields_by_name:
            message.id = str(step)
        numbered += [(event.prev_seq, event.chain_prev) for event in log.read(offset, message)]
    assert numbered == [(None, None), (5 << 10, 5 << 10), (None, 6 << 10)]


def test_names_and_aliases_are_unambiguous():
    """Every name leads to one channel, every type is its own."""
    assert len(BY_NAME) == sum(1 + len(channel.aliases) for channel in CHANNELS)
    assert len({channel.type for channel in CHANNELS}) == len(CHANNELS)
    assert all("gateway" in channel.topic.consumers for channel in CHANNELS)


def test_a_tickers_change_of_zero_replaces_what_was():
    """A funding rate that falls to zero is zero, not what it was before."""
    whole, change = Ticker(), Ticker()
    whole.funding_rate.mantissa, whole.funding_rate.exponent = 5, -4
    whole.last_price = 100
    change.funding_rate.mantissa, change.funding_rate.exponent = 0, -4
    after = merged(whole, change)
    assert (after.funding_rate.mantissa, after.last_price) == (0, 100)
    assert whole.funding_rate.mantissa == 5


def test_a_ticker_does_not_grow_by_its_changes():
    """Some hundred a second come for months."""
    whole = Ticker()

    def merge(count: int) -> None:
        nonlocal whole
        for number in range(count):
            whole = merged(whole, Ticker(source=f"binance/0/tickers-{number:040}"))

    merge(5_000)
    before = psutil.Process().memory_info().rss
    merge(50_000)
    assert psutil.Process().memory_info().rss - before < 1 << 20


def _leaves(value: object, name: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, key)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner, name)]
    return [(name, value)]


def test_numbers_in_json_are_exact():
    """A JSON number carries every digit of the mantissa."""
    message = example_of(CHANNELS[0]).message()
    message.trades[0].price = 123_456_789_012_345_678
    (event,) = PartitionLog(CHANNELS[0], "e1").read(1, message)
    frame = event.frame(WIRES[1])
    assert frame is not None
    assert b'"price":1234567890123456.78' in frame
    assert payload(frame)


def test_a_book_with_a_hole_has_no_state_until_the_next_snapshot():
    """A change that does not follow makes what is known of the book wrong: nothing is shown."""
    log = PartitionLog(BY_NAME["books"], "e1")
    (first,) = log.read(1, book_snapshot(10, [(100, 5)], [(110, 5)]))
    log.read(2, book_delta(11, [(101, 5)]))
    log.read(3, book_delta(13, [(103, 5)]))
    assert log.fold.current(first.subject) is None
    log.read(4, book_delta(14, [(104, 5)]))
    assert log.fold.current(first.subject) is None
    log.read(5, book_snapshot(15, [(104, 5)], [(110, 5)]))
    log.read(6, book_delta(16, [(105, 5)]))
    book = log.fold.current(first.subject)
    assert book is not None
    assert (book.sequence, list(book.bid_prices)) == (16, [105, 104])


def test_a_book_is_not_lost_to_a_repeated_change():
    """A change from before the newest one is in the book already."""
    log = PartitionLog(BY_NAME["books"], "e1")
    (first,) = log.read(1, book_snapshot(10, [(100, 5)], [(110, 5)]))
    log.read(2, book_delta(11, [(100, 7)]))
    log.read(3, book_delta(12, [(100, 9)]))
    log.read(4, book_delta(11, [(100, 7)]))
    book = log.fold.current(first.subject)
    assert book is not None
    assert (book.sequence, list(book.bid_sizes)) == (12, [9])


def test_revisions_of_an_alert_are_messages_and_repeats_are_not():
    """A detector that goes on after a crash says old revisions again: nobody hears them twice."""
    log = PartitionLog(BY_NAME["whales"], "e1")
    told = []
    for offset, revision in enumerate((0, 1, 0, 1, 2)):
        message = example_of(BY_NAME["whales"]).message()
        message.revision = revision
        told += [(event.seq, event.prev_seq) for event in log.read(offset, message)]
    assert told == [(0, None), (1 << 10, 0), (4 << 10, 1 << 10)]


@pytest.mark.parametrize("name", ["signals", "predictions"])
def test_a_repeated_score_or_forecast_is_one_message(name):
    """The id says which one it is."""
    log = PartitionLog(BY_NAME[name], "e1")
    message = example_of(BY_NAME[name]).message()
    assert len(log.read(1, message)) == 1
    assert log.read(2, message) == []
    message.id += "x"
    assert len(log.read(3, message)) == 1


@pytest.mark.parametrize("name", ["whales", "signals", "predictions"])
def test_pods_that_began_at_different_places_leave_out_the_same_repeats(name):
    """What counts as a repeat depends on the lookback alone, not on where a pod began."""
    channel = BY_NAME[name]
    old, young = PartitionLog(channel, "e1"), PartitionLog(channel, "e1")
    rng, end = random.Random(name), channel.lookback + 3_000
    for offset in range(end):
        message: Any = progress_pb2.Progress(venue="binance")
        if rng.random() < 0.2:
            message = example_of(channel).message()
            message.id = str(rng.randrange(max(1, offset - 6_000), offset + 2))
        begun = offset >= end - channel.lookback
        heard = [(event.seq, event.prev_seq) for event in old.read(offset, message)]
        also = (
            [(event.seq, event.prev_seq) for event in young.read(offset, message)] if begun else []
        )
        if offset >= end - 1_000:
            assert heard == also


def test_the_predecessors_whale_alert_has_its_seven_fields():
    """No more and no less, numbers as JSON numbers."""
    (event,) = PartitionLog(BY_NAME["whale"], "e1").read(1, example_of(BY_NAME["whales"]).message())
    message = payload(event.frame(WIRES[1]))
    assert (message["type"], message["symbol"]) == ("whale_alert", "BTC")
    assert message["data"] == {
        "id": "binance:BTC-USDT:buy:3735683259:1",
        "transaction_id": "3735683259",
        "amount": 50.0,
        "usd_value": 2_250_000.0,
        "side": "buy",
        "exchange": "binance",
        "impact": "medium",
    }
    whole = payload(event.frame(WIRES[0]))["data"]
    assert (whole["kind"], whole["vwap"], whole["threshold"]) == ("sweep", "45000.00", "1500000.00")
    assert (whole["usd_basis"], whole["percentile"], whole["is_closed"]) == ("par", "0.9991", False)


def test_an_alerts_own_rate_counts_before_par():
    """Where the market is quoted in something else, the value is by the rate that is named."""
    message = example_of(BY_NAME["whales"]).message()
    message.instrument = "ETH-BTC"
    (event,) = PartitionLog(BY_NAME["whales"], "e1").read(1, message)
    assert payload(event.frame(WIRES[0]))["data"]["usd_value"] is None
    message.id = "other"
    message.notional_usd.amount.mantissa = 77
    (event,) = PartitionLog(BY_NAME["whales"], "e1").read(1, message)
    data = payload(event.frame(WIRES[0]))["data"]
    assert (data["usd_value"], data["usd_basis"]) == ("77", "rate")


@pytest.mark.parametrize(
    ("notional", "threshold", "share", "impact"),
    [
        (100, 100, None, "low"),
        (150, 100, None, "medium"),
        (300, 100, None, "high"),
        (100, 100, 0.2, "medium"),
        (100, 100, 0.5, "high"),
        (100, 0, None, "low"),
    ],
)
def test_impact_is_by_threshold_or_by_depth(notional, threshold, share, impact):
    """Whichever says more."""
    assert impact_of(notional, threshold, share) == impact


def test_a_forecast_of_an_unknown_horizon_is_poison():
    """A subject that nobody could subscribe to is none."""
    message = example_of(BY_NAME["predictions"]).message()
    message.horizon_ns = 7
    with pytest.raises(PoisonError, match="bad_horizon"):
        PartitionLog(BY_NAME["predictions"], "e1").read(1, message)


def test_values_beyond_every_list_are_shown_as_unknown():
    """What a newer writer says is no reason to fall over."""
    gap = example_of(BY_NAME["gaps"]).message()
    gap.channel, gap.cause, gap.resolution = 70, 71, 72
    (event,) = PartitionLog(BY_NAME["gaps"], "e1").read(1, gap)
    shown = payload(event.frame(WIRES[0]))["data"]
    assert {shown[name] for name in ("feed", "cause", "resolution")} == {"unknown"}
    message = example_of(BY_NAME["whales"]).message()
    message.kind, message.side = 70, 71
    (event,) = PartitionLog(BY_NAME["whales"], "e1").read(1, message)
    data = payload(event.frame(WIRES[0]))["data"]
    assert (data["kind"], data["side"]) == ("unknown", "unknown")


def test_scores_and_forecasts_stand_on_the_composite():
    """No venue named means the composite, all horizons; a venue of its own has none."""
    catalogue = Catalogue("USDT")
    catalogue.add(Listing("binance", "BTC-USDT", "spot"))
    for name, count in (("signals", 1), ("predictions", 5)):
        found = expand(Subscribe(name, "BTC"), catalogue)
        assert {key.venue for key in found.subjects} == {"composite"}
        assert len(found.subjects) == count
        refused = expand(Subscribe(name, "BTC", venue="binance"), catalogue)
        assert [error["code"] for error in refused.errors] == ["unknown_venue"]
    (key,) = expand(Subscribe("forecasts", "BTC", interval="24h"), catalogue).subjects
    assert str(key) == "predictions:composite:BTC-USDT:24h"
    (whales,) = expand(Subscribe("whale_alert", "BTC"), catalogue).subjects
    assert whales.venue == "binance"
