"""Frames name their stream, and their shape names their venue."""

import pytest

from teleglas_sim.replay.records import CaptureError, Kind, Recorded
from teleglas_sim.replay.streams import Channel, stream_key, stream_of, venue_of


def _frame(payload: bytes, url: str = "") -> Recorded:
    return Recorded(0, Kind.FRAME, url, payload)


@pytest.mark.parametrize(
    ("payload", "venue"),
    [
        (b'{"stream":"b@depth@100ms","data":{"e":"depthUpdate","U":1,"u":2,"b":[]}}', "binance"),
        (b'{"stream":"b@depth","data":{"e":"depthUpdate","U":1,"u":2,"pu":0}}', "binance-usdm"),
        (b'{"stream":"b@bookTicker","data":{"u":1,"s":"B"}}', "binance"),
        (b'{"stream":"b@bookTicker","data":{"e":"bookTicker","u":1}}', "binance-usdm"),
        (b'{"stream":"b@trade","data":{"e":"trade","t":1,"m":true,"M":true}}', "binance"),
        (b'{"stream":"b@trade","data":{"e":"trade","t":1,"X":"MARKET","m":true}}', "binance-usdm"),
        (b'{"stream":"b@markPrice","data":{"e":"markPriceUpdate","E":1}}', "binance-usdm"),
        (b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}', "okx"),
    ],
)
def test_venue_follows_from_fields_that_only_one_market_sends(payload: bytes, venue: str) -> None:
    """Spot and USD-M share an envelope, their events differ."""
    assert venue_of("x", [_frame(payload)]) == venue


def test_a_rest_snapshot_tells_the_market() -> None:
    """USD-M book snapshots carry times, spot ones do not."""
    spot = Recorded(0, Kind.ANSWER, "", b'{"lastUpdateId":1,"bids":[],"asks":[]}')
    usdm = Recorded(0, Kind.ANSWER, "", b'{"lastUpdateId":1,"E":1,"T":1,"bids":[],"asks":[]}')
    assert venue_of("x", [spot]) == "binance"
    assert venue_of("x", [usdm]) == "binance-usdm"


def test_an_unspoken_venue_is_refused_by_name() -> None:
    """A recording of Kraken cannot be served and says so."""
    with pytest.raises(CaptureError, match=r"was of ws\.kraken\.com"):
        venue_of("KRAKEN.ws.1.0", [_frame(b"[]", "wss://ws.kraken.com")])


def test_update_speed_is_no_part_of_the_family() -> None:
    """A diff stream at any speed is one family; partial books and other streams are not."""
    families = {
        name: stream_of("binance-usdm", name.encode()).family
        for name in ("a@depth@0ms", "a@depth", "a@depth20@100ms", "a@markPrice@1s", "a@trade")
    }
    assert families == {
        "a@depth@0ms": "a@depth",
        "a@depth": "a@depth",
        "a@depth20@100ms": "a@depth20@100ms",
        "a@markPrice@1s": "a@markPrice",
        "a@trade": "a@trade",
    }


def test_okx_streams_are_named_by_channel_and_instrument() -> None:
    """The argument of the frame names the stream."""
    key = stream_key(b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[]}')
    assert key is not None
    stream = stream_of("okx", key)
    assert (stream.name, stream.symbol, stream.channel) == (
        "books:BTC-USDT",
        "BTC-USDT",
        Channel.DEPTH,
    )


@pytest.mark.parametrize(
    "payload", [b'{"event":"subscribe","arg":{}}', b"pong", b'{"result":null}']
)
def test_acknowledgements_are_no_data(payload: bytes) -> None:
    """What a venue says to one client is not replayed to another."""
    assert stream_key(payload) is None
