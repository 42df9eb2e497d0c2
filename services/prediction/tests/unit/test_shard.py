"""The service on a bus in memory: forecasts, crashes, replays, repeats, poison."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prediction_rig import BEGIN_NS, Rig, candle, candles, digest, ledger_of, raw

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.prediction.v1.prediction_pb2 import DIRECTION_ABSTAIN
from teleglas_common.bus import tracing
from teleglas_common.bus.encode import TRACEPARENT, header
from teleglas_common.bus.testing import read_all
from teleglas_contracts import topics
from teleglas_prediction import shard
from teleglas_prediction.domain.features import FEATURES
from teleglas_prediction.domain.horizons import MAX_BARS
from teleglas_prediction.domain.models import Boosted
from teleglas_prediction.domain.trees import Trees
from teleglas_prediction.lineups import KnownModel, Lineups

MINUTE_NS = 60 * 10**9


async def test_forecasts_after_warm_up_are_published_and_in_the_ledger() -> None:
    """The first stands on the third bar; each has a reference, three intervals and a reason."""
    rig = Rig()
    await rig.create()
    bars = candles(30)
    await rig.send([raw(one) for one in bars])
    await rig.drain()
    found = ledger_of(rig.fake)
    assert len(found) == 28
    assert set(found) == set(await digest(rig.bus))
    first = min(found.values(), key=lambda one: one.ts_event)
    assert first.ts_event == BEGIN_NS + 3 * MINUTE_NS
    assert first.ts_target == first.ts_event + 5 * MINUTE_NS
    assert first.reference_price == pytest.approx(bars[2].close / 100)
    assert [one.coverage for one in first.intervals] == [0.5, 0.8, 0.9]
    lowers = [one.lower for one in first.intervals]
    assert lowers == sorted(lowers, reverse=True)
    assert first.direction == DIRECTION_ABSTAIN
    assert first.abstain_reason == "a random walk has no direction"
    assert len(rig.fake.resolved) == 23


async def test_crashes_on_the_way_change_no_forecast() -> None:
    """Killed again and again, topic, ledger and outcomes are those of a quiet run."""
    bars = [raw(one) for one in candles(250)]
    quiet, killed = Rig(), Rig(checkpoint_s=0.001)
    for rig in (quiet, killed):
        await rig.create()
        await rig.send(bars)
    await quiet.drain()
    for saves in (1, 2, 1, 3, 1):
        await killed.run_and_crash(saves)
    await killed.drain()
    assert await digest(killed.bus) == await digest(quiet.bus)
    assert killed.fake.issued == quiet.fake.issued
    assert killed.fake.resolved == quiet.fake.resolved
    assert killed.fake.states == quiet.fake.states


async def test_repeated_and_revised_candles_change_no_forecast() -> None:
    """What a crash of market-data sends again, and what a late trade revises, came too late."""
    bars = candles(60)
    revised = [candle(at, 4_000_000) for at in range(20, 40)]
    for one in revised:
        one.revision = 1
    plain, noisy = Rig(), Rig()
    for rig, sent in (
        (plain, bars),
        (noisy, [*bars[:45], *revised, *bars[10:45], *bars[45:], *bars]),
    ):
        await rig.create()
        await rig.send([raw(one) for one in sent])
        await rig.drain()
    assert await digest(noisy.bus) == await digest(plain.bus)
    assert noisy.fake.resolved == plain.fake.resolved


async def test_a_long_hole_voids_open_forecasts_and_warms_up_again() -> None:
    """Nothing is invented: no outcome, and no forecast before three new bars."""
    rig = Rig()
    await rig.create()
    bars = candles(25)
    later = [candle(100 + at, 5_000_000 + at) for at in range(19)]
    await rig.send([raw(one) for one in [*bars, *later]])
    await rig.drain()
    assert len(rig.fake.issued) == 23 + 17
    voided = [one for one in rig.fake.resolved.values() if one[1] is None]
    assert len(voided) == 5
    ends = [(one.ts_event - BEGIN_NS) // MINUTE_NS for one in ledger_of(rig.fake).values()]
    assert sorted(ends) == [*range(3, 26), *range(103, 120)]


async def test_other_venues_and_intervals_are_passed_over() -> None:
    """Only the composite at intervals that a horizon stands on."""
    rig = Rig()
    await rig.create()
    others = [*candles(30, interval="4h"), *candles(30)]
    for one in others[30:]:
        one.venue = "binance"
    await rig.send([raw(one) for one in others])
    await rig.drain()
    assert rig.fake.issued == {}
    assert (await dead_letters(rig)) == 0


def unaligned(one: Candle) -> None:
    one.ts_open += 1


def endless(one: Candle) -> None:
    one.ts_close = one.ts_open


def worthless(one: Candle) -> None:
    one.low = 0


def crossed(one: Candle) -> None:
    one.high = one.low - 1


def astronomic(one: Candle) -> None:
    one.price_exponent = 300


def negative(one: Candle) -> None:
    one.volume = -1


def overcomplete(one: Candle) -> None:
    one.completeness = float("nan")


def still_open(one: Candle) -> None:
    one.is_closed = False


def nameless(one: Candle) -> None:
    one.instrument = "BTC\0-USDT"


@pytest.mark.parametrize(
    "spoil",
    [
        unaligned, endless, worthless, crossed, astronomic, negative, overcomplete, still_open,
        nameless,
    ],
)  # fmt: skip
async def test_an_impossible_candle_is_buried_and_the_next_are_used(
    spoil: Callable[[Candle], None],
) -> None:
    """Poison goes to the dead letters with its cause; forecasts go on."""
    rig = Rig()
    await rig.create()
    bars = candles(25)
    bad = candle(24, 5_000_000)
    spoil(bad)
    await rig.send([*(raw(one) for one in bars[:24]), raw(bad), raw(bars[24])])
    await rig.drain()
    assert await dead_letters(rig) == 1
    assert len(rig.fake.issued) == 23


def boosted(*, beats_walk: bool) -> Lineups:
    """A model of one split: wider after a rise."""
    shift = Trees.of([0], [0, 0, 0], [0.0, 0.1, -0.1], [1, -1, -1], [2, -1, -1], features=1)
    spread = Trees.of([0], [0, 0, 0], [0.0, -0.3, 0.2], [1, -1, -1], [2, -1, -1], features=1)
    model = Boosted("abc", shift, spread)
    horizon_ns = 5 * MINUTE_NS
    return Lineups([KnownModel(model, horizon_ns, FEATURES, 1, 2, "0" * 64, {}, beats_walk)])


async def test_champion_is_published_and_the_other_only_kept() -> None:
    """Both are in the ledger and scored; the topic has one forecast a bar."""
    rig = Rig(lineups=boosted(beats_walk=True))
    await rig.create()
    await rig.send([raw(one) for one in candles(MAX_BARS + 10)])
    await rig.drain()
    published = await digest(rig.bus)
    by_boosted = [name for name in published if name.endswith("boosted-abc")]
    assert len(by_boosted) == 11
    assert len(published) == MAX_BARS + 10 - 2
    assert len(rig.fake.issued) == len(published) + 11
    assert len([name for name in rig.fake.resolved if name.endswith("boosted-abc")]) == 6


async def test_crashes_change_no_forecast_of_a_trained_model_either() -> None:
    """Its conformal widths and its skill are state like the random walk's."""
    bars = [raw(one) for one in candles(MAX_BARS + 250)]
    rigs = [Rig(lineups=boosted(beats_walk=True), checkpoint_s=0.001) for _ in range(2)]
    for rig in rigs:
        await rig.create()
        await rig.send(bars)
    quiet, killed = rigs
    await quiet.drain()
    for saves in (2, 3, 5):
        await killed.run_and_crash(saves)
    await killed.drain()
    assert await digest(killed.bus) == await digest(quiet.bus)
    assert killed.fake.resolved == quiet.fake.resolved
    assert killed.fake.states == quiet.fake.states


async def test_forecast_is_published_within_the_candles_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the candle's span to the forecast's header by parents; no trace begins here."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(tracing, "_tracer", tracer)
    monkeypatch.setattr(shard, "_tracer", tracer)
    rig = Rig()
    await rig.create()
    *plain, last = candles(21)
    with tracer.start_as_current_span("publish candles") as produced:
        traced = raw(last)
    await rig.send([*(raw(one) for one in plain), traced])
    await rig.drain()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {
        "publish candles",
        "process teleglas.market.candles.v1",
        "publish forecasts",
    }
    processed, published = spans["process teleglas.market.candles.v1"], spans["publish forecasts"]
    assert processed.parent is not None
    assert processed.parent.span_id == produced.get_span_context().span_id
    assert published.parent is not None
    assert published.parent.span_id == processed.context.span_id
    found = await read_all(rig.bus, topics.PREDICTION_FORECASTS_V1.name)
    headers = [header(one.headers, TRACEPARENT) for many in found.values() for one in many]
    traced_headers = [one for one in headers if one is not None]
    assert len(headers) == 19
    assert [f"{published.context.span_id:016x}".encode() in one for one in traced_headers] == [True]


async def test_two_instruments_do_not_touch_each_other() -> None:
    """A series is a pure function of its own candles."""
    both, alone = Rig(), Rig()
    btc, eth = candles(40), candles(40, seed=2, instrument="ETH-USDT")
    mixed = [one for pair in zip(btc, eth, strict=True) for one in pair]
    for rig, sent in ((both, mixed), (alone, btc)):
        await rig.create()
        await rig.send([raw(one) for one in sent])
        await rig.drain()
    of_both = {name: one for name, one in (await digest(both.bus)).items() if "BTC" in name}
    assert of_both == await digest(alone.bus)
    assert len(both.fake.issued) == 2 * len(of_both)


async def dead_letters(rig: Rig) -> int:
    name = topics.MARKET_CANDLES_V1.dead_letter
    assert name is not None
    return sum(len(records) for records in (await read_all(rig.bus, name)).values())
