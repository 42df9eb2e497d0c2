"""The venue servers over real sockets, with a feed that says only what the test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from teleglas_common.testing import eventually
from teleglas_sim.server import (
    OKX_LIMITS,
    SPOT_LIMITS,
    USDM_LIMITS,
    BinanceSpotServer,
    BinanceUsdmServer,
    Fault,
    FaultBoard,
    FaultKind,
    Frame,
    FrameSink,
    OkxServer,
    RestAnswer,
    StreamHub,
    VenueServer,
)

NOW_MS = 1_700_000_000_000
Connect = Callable[[str], Awaitable[ClientWebSocketResponse]]


class ScriptedFeed:
    """Serves the named streams; `books:*` opens with a snapshot."""

    def __init__(self, faults: FaultBoard, *streams: str) -> None:
        self.hub = StreamHub(faults)
        self.names = frozenset(streams)

    def streams(self) -> Collection[str]:
        return self.names

    async def subscribe(self, stream: str, sink: FrameSink) -> None:
        if stream.startswith("books:"):
            sink.send(Frame(stream, b'{"action":"snapshot"}'))
        self.hub.add(stream, sink)

    async def unsubscribe(self, stream: str, sink: FrameSink) -> None:
        self.hub.remove(stream, sink)

    async def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        return RestAnswer(json.dumps({"path": path, **query}).encode())


class Bench:
    """One server and a client session."""

    def __init__(self, server: VenueServer, feed: ScriptedFeed, http: ClientSession) -> None:
        self.server = server
        self.feed = feed
        self._http = http

    async def connect(self, path: str) -> ClientWebSocketResponse:
        return await self._http.ws_connect(self.server.ws_url + path)

    async def get(self, path: str) -> tuple[int, Any, Mapping[str, str]]:
        async with self._http.get(self.server.rest_url + path) as answer:
            return answer.status, await answer.json(), answer.headers

    async def plant(self, fault: dict[str, Any]) -> tuple[int, Any]:
        url = self.server.rest_url + "/control/fault"
        async with self._http.post(url, json=fault) as answer:
            return answer.status, await answer.json()


Open = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def open_bench() -> AsyncIterator[Open]:
    servers: list[VenueServer] = []
    async with ClientSession() as http:

        async def open_one(kind: type[Any], *streams: str, **limits: Any) -> Bench:
            defaults = {
                BinanceSpotServer: SPOT_LIMITS,
                BinanceUsdmServer: USDM_LIMITS,
                OkxServer: OKX_LIMITS,
            }
            faults = FaultBoard(asyncio.get_running_loop().time)
            feed = ScriptedFeed(faults, *streams)
            server = kind(
                feed, faults=faults, now_ms=lambda: NOW_MS, limits=replace(defaults[kind], **limits)
            )
            await server.start()
            servers.append(server)
            return Bench(server, feed, http)

        yield open_one
        for server in servers:
            await server.stop()


async def hear(socket: ClientWebSocketResponse) -> Any:
    return json.loads(await socket.receive_str(timeout=5))


async def is_hung_up_on(socket: ClientWebSocketResponse) -> int | None:
    """Read until the end; gives the close code."""
    while True:
        message = await socket.receive(timeout=5)
        if message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}:
            return socket.close_code


async def followed(bench: Bench, stream: str) -> None:
    await eventually(lambda: bench.feed.hub.wanted(stream))


async def test_spot_serves_raw_and_combined_and_lists_subscriptions(open_bench: Open) -> None:
    """The URL's streams and later ones, acknowledged by id, in the form of the path."""
    bench = await open_bench(BinanceSpotServer, "btcusdt@trade", "btcusdt@bookTicker")
    combined = await bench.connect("/stream?streams=btcusdt@trade/nosuch@trade")
    raw = await bench.connect("/ws")
    await raw.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": "x1"})
    assert await hear(raw) == {"result": None, "id": "x1"}
    await eventually(lambda: len(bench.feed.hub.sinks("btcusdt@trade")) == 2)
    bench.feed.hub.publish("btcusdt@trade", b'{"t":1}')
    assert await hear(combined) == {"stream": "btcusdt@trade", "data": {"t": 1}}
    assert await hear(raw) == {"t": 1}
    await combined.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
    assert await hear(combined) == {"result": ["btcusdt@trade", "nosuch@trade"], "id": 3}
    await combined.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 4})
    assert await hear(combined) == {"result": None, "id": 4}
    await eventually(lambda: len(bench.feed.hub.sinks("btcusdt@trade")) == 1)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("{nonsense", 3),
        ('{"id":1}', 2),
        ('{"method":"SUBSCRIBE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[7],"id":1}', 2),
        ('{"method":"DANCE","id":1}', 2),
        ('{"method":"LIST_SUBSCRIPTIONS","id":1.5}', 2),
    ],
)
async def test_binance_names_what_is_wrong_with_a_request(
    open_bench: Open, said: str, code: int
) -> None:
    """An error has a code and a message, and the connection lives on."""
    bench = await open_bench(BinanceSpotServer, "btcusdt@trade")
    socket = await bench.connect("/ws")
    await socket.send_str(said)
    answer = await hear(socket)
    assert answer["code"] == code
    assert answer["msg"]
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 9})
    assert await hear(socket) == {"result": [], "id": 9}


async def test_usdm_acknowledges_the_wrong_path_and_stays_silent(open_bench: Open) -> None:
    """`/public` and `/market` each serve their own streams; the old path is `/public`."""
    bench = await open_bench(BinanceUsdmServer, "btcusdt@trade", "btcusdt@markPrice@1s")
    sockets = {}
    for path in ("/public/ws", "/market/ws", "/ws"):
        socket = sockets[path] = await bench.connect(path)
        streams = ["btcusdt@trade", "btcusdt@markPrice@1s"]
        await socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
        assert await hear(socket) == {"result": None, "id": 1}
    await eventually(lambda: len(bench.feed.hub.sinks("btcusdt@trade")) == 2)
    await followed(bench, "btcusdt@markPrice@1s")
    bench.feed.hub.publish("btcusdt@markPrice@1s", b'{"e":"markPriceUpdate"}')
    bench.feed.hub.publish("btcusdt@trade", b'{"e":"trade"}')
    assert await hear(sockets["/market/ws"]) == {"e": "markPriceUpdate"}
    assert await hear(sockets["/public/ws"]) == {"e": "trade"}
    assert await hear(sockets["/ws"]) == {"e": "trade"}
    await sockets["/market/ws"].send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
    answer = await hear(sockets["/market/ws"])
    assert answer["result"] == ["btcusdt@trade", "btcusdt@markPrice@1s"]


async def test_okx_acknowledges_each_argument_and_refuses_the_wrong_path(open_bench: Open) -> None:
    """Ack, then snapshot; `trades-all` lives on the business path only."""
    bench = await open_bench(OkxServer, "books:BTC-USDT", "trades-all:BTC-USDT")
    public = await bench.connect("/ws/v5/public")
    books = {"channel": "books", "instId": "BTC-USDT"}
    fills = {"channel": "trades-all", "instId": "BTC-USDT"}
    await public.send_json({"id": "15", "op": "subscribe", "args": [books, fills]})
    ack = await hear(public)
    assert (ack["id"], ack["event"], ack["arg"]) == ("15", "subscribe", books)
    assert ack["connId"]
    heard = [await hear(public), await hear(public)]
    assert {"action": "snapshot"} in heard
    refusal = next(frame for frame in heard if "event" in frame)
    assert (refusal["event"], refusal["code"], refusal["id"]) == ("error", "60018", "15")
    business = await bench.connect("/ws/v5/business")
    await business.send_json({"op": "subscribe", "args": [fills]})
    assert (await hear(business))["arg"] == fills
    await business.send_str("ping")
    assert await business.receive_str(timeout=5) == "pong"
    await business.send_json({"op": "unsubscribe", "args": [fills]})
    assert (await hear(business))["event"] == "unsubscribe"
    await business.send_str("{broken")
    assert (await hear(business))["code"] == "60012"


async def test_okx_closes_an_idle_connection(open_bench: Open) -> None:
    """Nobody says anything for the idle time: the server hangs up."""
    bench = await open_bench(OkxServer, "books:BTC-USDT", idle_close_s=0.2)
    socket = await bench.connect("/ws/v5/public")
    await is_hung_up_on(socket)
    await eventually(lambda: not bench.server.connections)


async def test_unknown_paths_are_not_found(open_bench: Open) -> None:
    """A handshake elsewhere is refused."""
    bench = await open_bench(OkxServer)
    with pytest.raises(WSServerHandshakeError) as refused:
        await bench.connect("/ws")
    assert refused.value.status == 404


async def test_handshakes_above_the_limit_are_refused(open_bench: Open) -> None:
    """The third connection within the window gets 429."""
    bench = await open_bench(BinanceSpotServer, connects=2)
    await bench.connect("/ws")
    await bench.connect("/ws")
    with pytest.raises(WSServerHandshakeError) as refused:
        await bench.connect("/ws")
    assert refused.value.status == 429


async def test_a_client_that_talks_too_much_is_hung_up_on(open_bench: Open) -> None:
    """The sixth message within a second ends the connection with 1008."""
    bench = await open_bench(BinanceSpotServer)
    socket = await bench.connect("/ws")
    for number in range(6):
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert await is_hung_up_on(socket) == 1008


async def test_too_many_streams_end_the_connection(open_bench: Open) -> None:
    """The limit of streams holds over all subscriptions of a connection."""
    bench = await open_bench(BinanceSpotServer, streams_per_connection=2)
    socket = await bench.connect("/stream?streams=a@trade/b@trade")
    await socket.send_json({"method": "SUBSCRIBE", "params": ["c@trade"], "id": 1})
    assert await is_hung_up_on(socket) == 1008


async def test_pings_come_and_a_life_ends(open_bench: Open) -> None:
    """The server pings, waits for the pong, and closes the connection when its life is over."""
    bench = await open_bench(
        BinanceSpotServer, ping_interval_s=0.3, pong_timeout_s=30.0, connection_life_s=0.8
    )
    socket = await bench.connect("/ws")
    assert await is_hung_up_on(socket) == 1001


async def test_a_missing_pong_ends_the_connection(open_bench: Open) -> None:
    """A client that does not answer pings is hung up on."""
    bench = await open_bench(BinanceSpotServer, ping_interval_s=0.05, pong_timeout_s=0.1)
    async with ClientSession() as http:
        url = bench.server.ws_url + "/ws"
        async with http.ws_connect(url, autoping=False) as socket:
            kinds = set()
            while (message := await socket.receive(timeout=5)).type is WSMsgType.PING:
                kinds.add(message.type)
            assert kinds == {WSMsgType.PING}
    await eventually(lambda: not bench.server.connections)


async def test_a_client_that_cannot_follow_is_dropped_and_others_go_on(open_bench: Open) -> None:
    """The bound in bytes holds per client."""
    bench = await open_bench(BinanceSpotServer, "btcusdt@trade", max_pending_bytes=1 << 20)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(bench.server.ws_url[-5:]))
    writer.write(
        b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    await followed(bench, "btcusdt@trade")
    payload = b'{"x":"%b"}' % (b"y" * 100_000)

    def push() -> bool:
        bench.feed.hub.publish("btcusdt@trade", payload)
        return bench.server.slow_clients_dropped == 1

    await eventually(push, every_s=0.0)
    writer.close()
    healthy = await bench.connect("/ws/btcusdt@trade")
    await followed(bench, "btcusdt@trade")
    bench.feed.hub.publish("btcusdt@trade", b'{"t":2}')
    assert await hear(healthy) == {"t": 2}


async def test_rest_counts_weight_and_refuses_above_the_limit(open_bench: Open) -> None:
    """Depth of 1,000 levels costs 50; above the minute's limit comes 429 with `Retry-After`."""
    bench = await open_bench(BinanceSpotServer, weight_per_minute=90)
    status, body, headers = await bench.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
    assert (status, body["symbol"], headers["X-MBX-USED-WEIGHT-1M"]) == (200, "BTCUSDT", "50")
    status, body, headers = await bench.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
    assert (status, body["code"]) == (429, -1003)
    assert 0 < int(headers["Retry-After"]) <= 60


async def test_okx_rest_has_a_limit_per_two_seconds(open_bench: Open) -> None:
    """The eleventh `time` within two seconds is too many."""
    bench = await open_bench(OkxServer)
    codes = [(await bench.get("/api/v5/public/time"))[0] for _ in range(11)]
    assert codes == [200] * 10 + [429]


async def test_faults_by_the_control_endpoint(open_bench: Open) -> None:
    """REST errors, dropped frames and acknowledged silence, each for its count."""
    bench = await open_bench(BinanceSpotServer, "btcusdt@trade", "ethusdt@trade")
    assert (await bench.plant({"kind": "rest", "match": "*/depth", "count": 1, "status": 429}))[
        0
    ] == 200
    status, body, headers = await bench.get("/api/v3/depth?symbol=BTCUSDT")
    assert (status, body["code"], headers["Retry-After"]) == (429, -1003, "1")
    assert (await bench.get("/api/v3/depth?symbol=BTCUSDT"))[0] == 200
    await bench.plant({"kind": "silence", "match": "btcusdt@*", "count": 1})
    socket = await bench.connect("/ws/btcusdt@trade/ethusdt@trade")
    await followed(bench, "ethusdt@trade")
    assert not bench.feed.hub.wanted("btcusdt@trade")
    await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
    await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
    await followed(bench, "btcusdt@trade")
    await bench.plant({"kind": "drop", "match": "btcusdt@trade", "count": 1})
    for number in (1, 2):
        bench.feed.hub.publish("btcusdt@trade", b'{"t":%d}' % number)
    heard = [await hear(socket) for _ in range(3)]
    assert [frame for frame in heard if "t" in frame] == [{"t": 2}]
    status, answer = await bench.plant({"kind": "drop"})
    assert status == 400
    assert "expected" in answer["error"]


async def test_disconnect_hits_the_followers_of_a_stream(open_bench: Open) -> None:
    """Only connections with a matching stream are cut, without a close frame."""
    bench = await open_bench(BinanceSpotServer, "btcusdt@trade", "ethusdt@trade")
    victim = await bench.connect("/ws/btcusdt@trade")
    other = await bench.connect("/ws/ethusdt@trade")
    await followed(bench, "btcusdt@trade")
    await followed(bench, "ethusdt@trade")
    assert bench.server.inject(Fault(FaultKind.DISCONNECT, "btcusdt@*")) == 1
    assert await is_hung_up_on(victim) == 1006
    await eventually(lambda: not bench.feed.hub.wanted("btcusdt@trade"))
    bench.feed.hub.publish("ethusdt@trade", b'{"t":1}')
    assert await hear(other) == {"t": 1}


async def test_notices_announce_the_end(open_bench: Open) -> None:
    """Spot says `serverShutdown`, OKX notice 64008."""
    spot = await open_bench(BinanceSpotServer, "btcusdt@trade")
    socket = await spot.connect("/stream?streams=btcusdt@trade")
    await followed(spot, "btcusdt@trade")
    assert isinstance(spot.server, BinanceSpotServer)
    spot.server.announce_shutdown()
    heard = await hear(socket)
    assert heard == {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": NOW_MS}}
    okx = await open_bench(OkxServer, "books:BTC-USDT")
    socket = await okx.connect("/ws/v5/public")
    await eventually(lambda: okx.server.connections)
    assert isinstance(okx.server, OkxServer)
    okx.server.announce_upgrade()
    assert (await hear(socket))["code"] == "64008"
