"""A client that stops reading, over a real socket, beside one that reads."""

from __future__ import annotations

import asyncio
import json
import socket

from teleglas_common.testing import eventually
from teleglas_contracts.topics import MARKET_BOOKS_V1, MARKET_TRADES_V1
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.outbox import OutboxLimits
from teleglas_gateway.testing import book_delta, book_snapshot, publish, trade_batch

HEADER = b"Authorization: Bearer tg_" + b"A" * 8 + b"_" + b"b" * 40


async def stalled_client(port: int, *commands: dict[str, object]) -> socket.socket:
    """A connected and subscribed client that reads no further than the handshake."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", port))
    request = (
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    await loop.sock_sendall(raw, request + HEADER + b"\r\n\r\n")
    await loop.sock_recv(raw, 100)
    for command in commands:
        await loop.sock_sendall(raw, masked_text(json.dumps(command).encode()))
    return raw


def masked_text(payload: bytes) -> bytes:
    assert len(payload) < 65_536
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


def subscribe(channel: str) -> dict[str, object]:
    params = {"channel": channel, "symbol": "BTC", "venue": "binance"}
    return {"method": "subscribe", "params": params}


async def test_a_stalled_trade_reader_is_closed_and_the_others_hear_everything(edge_with):
    """Trades never vanish silently: who cannot take them is cut off, healthy clients go on."""
    settings = StreamSettings(outbox=OutboxLimits(20_000, 10_000), close_grace_s=0.1)
    async with edge_with(settings) as edge, edge.client() as healthy:
        await healthy.say("subscribe", channel="trades", symbol="BTC", venue="binance")
        await healthy.hear("subscribed")
        stalled = await stalled_client(edge.http.port, subscribe("trades"))
        await eventually(lambda: _listeners(edge) == 2)
        total = 0
        while _listeners(edge) == 2:
            await publish(edge.bus, MARKET_TRADES_V1, trade_batch(total + 1, 500))
            total += 500
            for _ in range(500):
                message = await healthy.hear("trade")
            assert message["data"]["id"] == str(total)
        await eventually(lambda: len(edge.streams.server) == 1)
        closes = edge.metrics.counter("teleglas_gateway_closes_total", "slow_reader")
        assert closes._value.get() == 1
        stalled.close()


async def test_a_slow_book_reader_gets_a_notice_and_a_fresh_snapshot(edge_with):
    """Book changes make way; when the client reads again it learns the range and the book."""
    settings = StreamSettings(outbox=OutboxLimits(50_000, 40_000))
    async with edge_with(settings) as edge:
        slow = await stalled_client(edge.http.port, subscribe("books"))
        await eventually(lambda: bool(list(edge.streams.hub.wanted("books"))))
        levels = [(price, price) for price in range(1, 400)]
        await publish(edge.bus, MARKET_BOOKS_V1, book_snapshot(1, levels, [(9000, 1)]))
        (subject,) = edge.streams.hub.wanted("books")
        (outbox,) = next(iter(subject.audiences.values()))
        number = 1
        while outbox.writable:
            for _ in range(50):
                number += 1
                await publish(edge.bus, MARKET_BOOKS_V1, book_delta(number, bids=levels))
            await asyncio.sleep(0)
        await publish(edge.bus, MARKET_BOOKS_V1, book_delta(number + 1, bids=[(1, 0)]))
        await eventually(lambda: subject.last_seq == number << 10)
        await asyncio.wait_for(_read_until(slow, b'"type":"skipped"', b'"type":"snapshot"'), 10)
        assert outbox.waiting_bytes == 0
        skips = edge.metrics.counter("teleglas_gateway_skipped_total", "books")._value.get()
        conflated = edge.metrics.counter("teleglas_gateway_conflated_total", "books")._value.get()
        assert conflated >= skips > 0
        sent_bytes = edge.metrics.counter("teleglas_gateway_sent_bytes_total")._value.get()
        assert sent_bytes > 50_000
        slow.close()


async def _read_until(raw: socket.socket, *wanted: bytes) -> None:
    loop, seen, missing = asyncio.get_running_loop(), b"", set(wanted)
    while missing:
        seen = seen[-200:] + await loop.sock_recv(raw, 65_536)
        missing -= {part for part in missing if part in seen}


def _listeners(edge) -> int:
    return sum(
        len(audience)
        for subject in edge.streams.hub.wanted("trades")
        for audience in subject.audiences.values()
    )
