"""The stream as a client meets it, over real sockets."""

from __future__ import annotations

import asyncio
import json
import struct

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from teleglas_common.bus.ports import TopicPartition
from teleglas_common.testing import eventually
from teleglas_contracts.topics import (
    MARKET_BOOKS_V1,
    MARKET_CANDLES_V1,
    MARKET_TRADES_V1,
)
from teleglas_gateway.domain.positions import decode_token, pack_seq
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.testing import (
    GRANT,
    book_delta,
    book_snapshot,
    candle,
    publish,
    trade_batch,
)


async def test_trades_arrive_in_order_with_a_chain_of_sequence_numbers(edge):
    """Every trade of a batch is a message, chained to the one before it."""
    async with edge.client() as client:
        await client.say("subscribe", channel="trades", symbol=["BTC-USDT"], venue=["binance"])
        answer = await client.hear("subscribed")
        assert answer["req_id"] == 1
        assert answer["subscriptions"] == [{"symbol": "BTC-USDT", "venue": "binance"}]
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 3), trade_batch(4, 1))
        heard = [await client.hear("trade") for _ in range(4)]
    assert [message["data"]["id"] for message in heard] == ["1", "2", "3", "4"]
    assert [m["prev_seq"] for m in heard] == [None, *(m["seq"] for m in heard[:-1])]
    assert heard[0]["data"]["price"] == "60000.01"
    assert heard[0]["data"]["amount"] == "0.01001"
    assert heard[3]["seq"] == pack_seq(1, 0)


async def test_no_venue_means_every_listing_where_there_is_no_composite(edge):
    """Bare BTC on trades is BTC-USDT on both venues."""
    async with edge.client() as client:
        await client.say("subscribe", channel="trades", symbol="BTC")
        answer = await client.hear("subscribed")
    assert [row["venue"] for row in answer["subscriptions"]] == ["binance", "okx"]


async def test_no_venue_means_the_composite_where_there_is_one(edge):
    """Candles without a venue are the composite's."""
    async with edge.client() as client:
        await client.say("subscribe", channel="candles", symbol="BTC", interval=["1m"])
        assert (await client.hear("subscribed"))["subscriptions"] == [
            {"symbol": "BTC-USDT", "venue": "composite", "interval": "1m"}
        ]
        await publish(edge.bus, MARKET_CANDLES_V1, candle(0))
        heard = await client.hear("candle")
    assert heard["data"]["close"] == "60000.50"
    assert heard["data"]["open_time"] == "2026-01-01T00:00:00.000Z"


async def test_one_bad_symbol_spoils_only_itself(edge):
    """The good symbol of a command is subscribed, the bad one named."""
    async with edge.client() as client:
        await client.say("subscribe", 7, channel="trades", symbol=["NOPE", "ETH-USDT"])
        answer = await client.hear("subscribed")
        assert [row["symbol"] for row in answer["subscriptions"]] == ["ETH-USDT"]
        assert [row["code"] for row in answer["errors"]] == ["unknown_symbol"]
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1, instrument="ETH-USDT"))
        assert (await client.hear("trade"))["symbol"] == "ETH-USDT"


async def test_one_bad_venue_spoils_only_itself(edge):
    """The venues that list a symbol are subscribed, the others named."""
    async with edge.client() as client:
        await client.say("subscribe", channel="trades", symbol="ETH", venue=["binance", "okx"])
        answer = await client.hear("subscribed")
    assert [row["venue"] for row in answer["subscriptions"]] == ["binance"]
    assert [(row["venue"], row["code"]) for row in answer["errors"]] == [("okx", "unknown_venue")]


async def test_snapshot_comes_before_the_first_live_message(edge):
    """The first live trade chains to the snapshot's seq."""
    await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 60))
    await eventually(lambda: edge.streams.hub.positions[_trades_partition()] == 1)
    async with edge.client() as client:
        await client.say(
            "subscribe", channel="trades", symbol="BTC-USDT", venue="binance", snapshot=True
        )
        await client.hear("subscribed")
        snapshot = await client.hear()
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(61, 1))
        live = await client.hear()
    assert snapshot["type"] == "snapshot"
    assert len(snapshot["data"]) == 50
    assert snapshot["data"][-1]["id"] == "60"
    assert live["prev_seq"] == snapshot["seq"]


async def test_book_snapshot_is_the_fold_of_all_changes(edge):
    """A subscriber gets the book as it is now, then what changes."""
    await publish(
        edge.bus,
        MARKET_BOOKS_V1,
        book_snapshot(1, [(100, 5), (99, 5)], [(101, 5)]),
        book_delta(2, bids=[(100, 0), (98, 7)], asks=[(102, 3)]),
    )
    async with edge.client() as client:
        await client.say(
            "subscribe", channel="books", symbol="BTC-USDT", venue="binance", snapshot=True
        )
        await client.hear("subscribed")
        snapshot = await client.hear("snapshot")
        await publish(edge.bus, MARKET_BOOKS_V1, book_delta(3, asks=[(101, 0)]))
        delta = await client.hear("book")
    (book,) = snapshot["data"]
    assert book["bids"] == [["0.99", "0.00005"], ["0.98", "0.00007"]]
    assert book["asks"] == [["1.01", "0.00005"], ["1.02", "0.00003"]]
    assert delta["data"]["kind"] == "delta"
    assert delta["prev_seq"] == snapshot["seq"]


async def test_legacy_stream_keeps_numbers_and_short_symbols(edge):
    """/ws speaks as the predecessor did: JSON numbers, BTC for BTC-USDT."""
    async with edge.client("/ws") as client:
        await client.say("subscribe", channel="trade", symbol="BTC", venue=["binance"])
        await client.hear("subscribed")
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
        heard = await client.hear("trade")
    assert heard["symbol"] == "BTC"
    assert heard["data"]["price"] == 60000.01
    assert "prev_seq" not in heard


async def test_a_ticket_opens_a_connection_once(edge):
    """A ticket is good for one connection; the second is refused and closed."""
    edge.tickets.open["once"] = GRANT
    async with edge.client(key=None) as client:
        await client.say("auth", ticket="once")
        assert (await client.hear("authenticated"))["req_id"] == 1
    async with edge.client(key=None) as client:
        await client.say("auth", ticket="once")
        closing = await client.hear("closing")
        assert closing["code"] == "invalid_ticket"
        with pytest.raises(ConnectionClosed) as closed:
            await client.hear()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_commands_before_auth_are_refused(edge):
    """Nothing can be subscribed without a key or ticket."""
    async with edge.client(key=None) as client:
        await client.say("subscribe", 9, channel="trades", symbol="BTC")
        error = await client.hear("error")
    assert (error["code"], error["req_id"]) == ("unauthenticated", 9)


async def test_a_wrong_key_in_the_handshake_closes_by_name(edge):
    """A forged key is told so and closed."""
    async with edge.client(key="tg_" + "A" * 8 + "_" + "c" * 40) as client:
        assert (await client.hear("closing"))["code"] == "unauthenticated"


async def test_unknown_methods_and_broken_json_are_answered(edge):
    """A command that cannot be understood is answered and the session goes on."""
    async with edge.client() as client:
        await client.socket.send("{")
        assert (await client.hear("error"))["code"] == "malformed_body"
        await client.say("dance", "x")
        error = await client.hear("error")
        assert (error["code"], error["req_id"]) == ("unknown_method", "x")
        await client.socket.send('{"method":"ping","req_id":3}')
        assert (await client.hear("pong"))["req_id"] == 3


async def test_heartbeats_count_while_idle(edge):
    """An idle client hears a heartbeat a period, counted."""
    async with edge.client() as client:
        first, second = await client.hear("heartbeat"), await client.hear("heartbeat")
    assert second["counter"] == first["counter"] + 1


async def test_unsubscribe_ends_a_stream(edge):
    """After unsubscribe nothing more comes; doing it again is an error by name."""
    async with edge.client() as client:
        await client.say("subscribe", channel="trades", symbol="BTC", venue="binance")
        await client.hear("subscribed")
        await client.say("unsubscribe", channel="trades", symbol="BTC", venue="binance")
        assert (await client.hear("unsubscribed"))["errors"] == []
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
        await client.say("unsubscribe", channel="trades", symbol="BTC", venue="binance")
        assert (await client.hear())["errors"][0]["code"] == "not_subscribed"


async def test_conflated_book_shows_the_newest_state(edge):
    """A conflated subscriber gets whole states at its own pace."""
    async with edge.client() as client:
        await client.say(
            "subscribe", channel="books", symbol="BTC", venue="binance", conflate_ms=50
        )
        await client.hear("subscribed")
        await publish(
            edge.bus,
            MARKET_BOOKS_V1,
            book_snapshot(1, [(100, 5)], [(101, 5)]),
            *(book_delta(number, bids=[(100, number)]) for number in range(2, 12)),
        )
        message = await client.hear("book")
        while message["data"]["sequence"] < 11:
            message = await client.hear("book")
    assert message["data"]["kind"] == "snapshot"
    assert message["data"]["bids"] == [["1.00", "0.00011"]]
    assert message["prev_seq"] is None


async def test_trades_cannot_be_conflated(edge):
    """A channel that never drops a message says so."""
    async with edge.client() as client:
        await client.say("subscribe", channel="trades", symbol="BTC", conflate_ms=100)
        assert (await client.hear("error"))["code"] == "conflation_unsupported"


async def test_a_frame_of_ten_megabytes_closes_the_connection(edge):
    """A hostile frame is refused by its length, not read."""
    async with edge.client() as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.send_until_closed("x" * 10_000_000)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_an_unknown_path_is_a_problem_not_a_stream(edge):
    """A handshake elsewhere is answered with problem+json."""
    with pytest.raises(InvalidStatus) as refused:
        async with edge.client("/v2/stream"):
            pass
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["code"] == "not_found"


async def test_an_unmasked_frame_breaks_only_its_own_connection(edge):
    """Protocol violations close by code 1002; other clients go on."""
    async with edge.client() as good, edge.client() as bad:
        await good.say("subscribe", channel="trades", symbol="BTC", venue="binance")
        await good.hear("subscribed")
        bad.socket.transport.write(struct.pack("!BB", 0x81, 2) + b"{}")
        await asyncio.wait_for(bad.socket.wait_closed(), 10)
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
        assert (await good.hear("trade"))["data"]["id"] == "1"


async def test_shutdown_tells_clients_where_to_resume(edge):
    """A planned stop names itself and gives a resume token."""
    async with edge.client() as client:
        await client.say("subscribe", channel="trades", symbol="BTC", venue="binance")
        await client.hear("subscribed")
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 2))
        last = [await client.hear("trade") for _ in range(2)][-1]
        edge.streams.server.say_goodbye()
        closing = await client.hear("closing")
    assert closing["code"] == "shutting_down"
    ((subject, position),) = decode_token(closing["resume"]).items()
    assert str(subject) == "trades:binance:BTC-USDT"
    assert position == (last["epoch"], last["seq"])


async def test_a_revoked_key_ends_its_streams(edge_with):
    """Streams of a key that was revoked are closed at the next check."""
    settings = StreamSettings(heartbeat_s=0.02, recheck_keys_s=0.02)
    async with edge_with(settings) as edge, edge.client() as client:
        await client.hear("authenticated")
        edge.keys.records.clear()
        assert (await client.hear("closing"))["code"] == "key_revoked"


async def test_no_ticket_in_time_closes_the_connection(edge_with):
    """A client that never says who it is is let go."""
    settings = StreamSettings(heartbeat_s=0.02, auth_deadline_s=0.05)
    async with edge_with(settings) as edge, edge.client(key=None) as client:
        assert (await client.hear("closing"))["code"] == "auth_deadline"


async def test_limits_are_refused_by_name(edge_with):
    """Connections a key, connections in all and subscriptions each have a limit with a name."""
    settings = StreamSettings(max_connections=2, max_connections_per_key=1, max_subscriptions=1)
    async with edge_with(settings) as edge, edge.client() as first:
        await first.hear("authenticated")
        await first.say("subscribe", channel="trades", symbol="BTC")
        answer = await first.hear("subscribed")
        assert len(answer["subscriptions"]) == 1
        assert answer["errors"][0]["code"] == "subscription_limit"
        async with edge.client() as second:
            assert (await second.hear("closing"))["code"] == "connection_limit"
        async with edge.client(key=None):
            with pytest.raises(InvalidStatus) as refused:
                async with edge.client():
                    pass
        assert refused.value.response.status_code == 429


async def test_a_client_that_answers_no_ping_is_dropped(edge_with):
    """A half-open connection is cut after the drop time, pings notwithstanding."""
    settings = StreamSettings(heartbeat_s=0.02, ping_s=0.02, drop_after_s=0.1, auth_deadline_s=60)
    async with edge_with(settings) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.http.port)
        writer.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"101" in head
        assert len(edge.streams.server) == 1
        await eventually(lambda: len(edge.streams.server) == 0)
        writer.close()


def _trades_partition():
    return TopicPartition(MARKET_TRADES_V1.name, MARKET_TRADES_V1.partition("BTC-USDT"))
