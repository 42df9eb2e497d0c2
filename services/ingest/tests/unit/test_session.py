"""What a socket can throw at us: named, counted, survived."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teleglas_ingest.domain.events import Channel, Event, Trade
from teleglas_ingest.domain.progress import SourceClock, VenueClock
from teleglas_ingest.domain.silence import Silent
from teleglas_ingest.pipeline.session import MAX_AHEAD, Session, Wired
from teleglas_ingest.ports import Failure, Stream
from teleglas_ingest.testing import FakeRest, linear_swap, spot, usdm
from teleglas_ingest.venues import VENUES

NOW = 1_721_347_023_000_000_000
MARKETS = {"binance": spot(), "binance-usdm": usdm(), "okx": linear_swap()}


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refused: Counter[str] = Counter()
        self.silents: list[Silent] = []
        self.failures: list[Failure] = []
        self.notices: list[str] = []

    def take(self, event: Event, session: Session) -> None:  # noqa: ARG002
        self.events.append(event)

    def refuse(self, frame: bytes, stream: Stream | None, reason: str, detail: str) -> None:  # noqa: ARG002
        self.refused[reason] += 1

    def silent(self, session: Session, stream: Stream, silent: Silent) -> None:  # noqa: ARG002
        self.silents.append(silent)

    def failed(self, session: Session, failure: Failure) -> None:  # noqa: ARG002
        self.failures.append(failure)

    def closing(self, session: Session, notice: str) -> None:  # noqa: ARG002
        self.notices.append(notice)


def session_of(name: str, now_ns: list[int] | None = None) -> tuple[Session, Kept]:
    market = MARKETS[name]
    venue = VENUES[name](FakeRest(), "ws://x")
    streams = venue.streams(market, list(Channel))
    routes = venue.routes(streams, {market.instrument.venue_symbol: market})
    kept, clock = Kept(), now_ns or [0]
    session = Session(
        venue,
        streams,
        {key: Wired(stream, route) for key, (stream, route) in routes.items()},
        kept,
        SourceClock(VenueClock(), slack_ns=0, skew_ns=0),
        wall_ns=lambda: NOW,
        monotonic_ns=lambda: clock[0],
        standby=False,
    )
    return session, kept


SPOT_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022999,"s":"BTCUSDT","t":7,'
    b'"p":"61837.63000000","q":"0.02000000","T":1721347022956,"m":true,"M":true}}'
)
USDM_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022999,"T":1721347022956,'
    b'"s":"BTCUSDT","t":7,"p":"61837.63","q":"0.020","X":"MARKET","m":true}}'
)
OKX_TRADE = (
    b'{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
    b'"tradeId":"7","px":"61837.6","sz":"2","side":"sell","source":"0","ts":"1721347022956"}]}'
)
TRADES = {"binance": SPOT_TRADE, "binance-usdm": USDM_TRADE, "okx": OKX_TRADE}


@pytest.mark.parametrize("name", sorted(VENUES))
@settings(max_examples=50, deadline=None)
@given(frame=st.binary(max_size=200))
def test_any_bytes_are_survived_and_named(name: str, frame: bytes) -> None:
    """Noise makes no event and no exception; it is refused by name or read as a control message."""
    session, kept = session_of(name)
    session.on_frame(frame)
    session.on_frame(TRADES[name])
    assert len(kept.events) == 1


@pytest.mark.parametrize("name", sorted(VENUES))
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_frame_never_stops_the_next_one(name: str, data: st.DataObject) -> None:
    """Cut, doubled and overwritten frames in between change nothing for good ones."""
    session, kept = session_of(name)
    frame = TRADES[name]
    start = data.draw(st.integers(0, len(frame)))
    end = data.draw(st.integers(start, len(frame)))
    damaged = frame[:start] + data.draw(st.binary(max_size=20)) + frame[end:]
    session.on_frame(damaged)
    before = len(kept.events)
    session.on_frame(frame)
    assert len(kept.events) == before + 1
    for event in kept.events:
        assert event.ts_event <= NOW + 3_600_000_000_000


@pytest.mark.parametrize("name", sorted(VENUES))
@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "undecodable"),
        (b"[" * 200_000, "undecodable"),
        (b'{"a":' * 100_000, "undecodable"),
        (b'{"stream":"nobody@trade","data":{}}', "unknown_stream"),
        (b"\xff\xfe{}", "undecodable"),
        (b'"' + b"x" * 2_000_000 + b'"', "undecodable"),
    ],
)
def test_hostile_frames_are_refused_by_name(name: str, frame: bytes, reason: str) -> None:
    """Truncated, deeply nested, huge, of an unknown stream, not even text."""
    session, kept = session_of(name)
    session.on_frame(frame)
    assert kept.events == []
    assert list(kept.refused) == [reason]


@pytest.mark.parametrize("time_ms", [b"1721347028001", b"1900000000000"])
@pytest.mark.parametrize("name", sorted(VENUES))
def test_an_event_from_the_future_does_not_move_the_venues_time(name: str, time_ms: bytes) -> None:
    """One wrong time would close every candle, or freeze its partition: it is refused instead."""
    session, kept = session_of(name)
    session.on_frame(TRADES[name].replace(b"1721347022956", time_ms))
    assert kept.refused == Counter({"future_time": 1})
    assert session._source.newest == 0


@pytest.mark.parametrize("name", sorted(VENUES))
def test_a_clock_of_ours_that_is_behind_refuses_nothing(name: str) -> None:
    """A second or two between two clocks is ordinary; a replayed year is none of ours."""
    for time_ms in (b"1500000000000", b"1721347025000"):
        session, kept = session_of(name)
        session.on_frame(TRADES[name].replace(b"1721347022956", time_ms))
        assert kept.refused == Counter()
        assert session._source.newest == int(time_ms) * 1_000_000


def test_an_acknowledged_subscription_that_stays_silent_is_named() -> None:
    """The acknowledgement starts the clock; only data stops it."""
    now = [0]
    session, kept = session_of("binance-usdm", now)
    session.pending[1] = session.streams
    session.on_frame(b'{"result":null,"id":1}')
    now[0] = 31_000_000_000
    session.watch()
    assert {s.stream for s in kept.silents} == {
        "btcusdt@depth@100ms",
        "btcusdt@ticker",
        "btcusdt@markPrice@1s",
    }
    assert all(s.never_spoke for s in kept.silents)


def test_refusals_notices_and_pongs_reach_their_places() -> None:
    """Control messages are no events."""
    session, kept = session_of("okx")
    session.on_frame(b'{"id":"3","event":"error","code":"60012","msg":"bad","connId":"a"}')
    session.on_frame(b'{"event":"notice","code":"64008","msg":"soon","connId":"a"}')
    session.pong_due_ns = 5
    session.on_frame(b"pong")
    due: int | None = session.pong_due_ns
    assert [f.code for f in kept.failures] == ["60012"]
    assert kept.notices == ["soon"]
    assert due is None
    assert kept.events == []


def test_a_session_offers_again_what_it_was_told_to_hold_and_holds_only_so_much() -> None:
    """What still runs ahead may be held again; beyond the bound it is a hole after all."""
    session, kept = session_of("binance")
    trade = Trade(MARKETS["binance"], 7, 1, 1, 1, NOW, NOW)
    assert session.hold(trade)
    session.offer()
    assert kept.events == [trade]
    assert session.ahead == []
    assert all(session.hold(trade) for _ in range(MAX_AHEAD))
    assert not session.hold(trade)
