"""The REST API over fakes: answers, refusals by code, limits, pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from teleglas_gateway.domain.keys import Scope
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.testing import (
    KEY,
    T0_NS,
    key_record,
)

BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def http(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers=BEARER
    ) as client:
        yield client


async def test_candles_are_pages_with_a_cursor_that_leads_on(http, market):
    """The next link of a page gives the rest, then ends."""
    first = (await http.get("/v1/candles?symbol=btc&interval=1m&limit=1")).json()
    assert market.asked.venue == "composite"
    assert first["data"][0]["volume"] == "1.23456"
    assert first["data"][0]["is_closed"] is True
    last = (await http.get(first["next"])).json()
    assert market.asked.page_token == "2"
    assert last["data"][0]["open_time"] == "2026-01-01T00:01:00.000Z"
    assert (last["next"], last["next_cursor"]) == (None, None)


async def test_a_cursor_of_another_query_is_refused(http):
    """A cursor holds only for the parameters that it was made with."""
    first = (await http.get("/v1/candles?symbol=BTC")).json()
    for query in (f"symbol=BTC&interval=1h&cursor={first['next_cursor']}", "symbol=BTC&cursor=?"):
        answer = await http.get(f"/v1/candles?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize(
    ("given", "from_ns"),
    [
        ("2026-01-01T00:00:00Z", T0_NS),
        ("2026-01-01T01:00:00%2B01:00", T0_NS),
        (str(T0_NS // 1_000_000), T0_NS),
    ],
)
async def test_times_are_rfc3339_or_milliseconds(http, market, given, from_ns):
    """Both ways of writing a time mean the same."""
    assert (await http.get(f"/v1/candles?symbol=BTC&from={given}")).status_code == 200
    assert market.asked.ts_from == from_ns


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/candles", 422, "validation_failed"),
        ("/v1/candles?symbol=BTC&from=yesterday", 422, "validation_failed"),
        ("/v1/candles?symbol=BTC&from=2026-01-01T00:00:00", 422, "validation_failed"),
        ("/v1/candles?symbol=BTC&interval=2m", 422, "validation_failed"),
        ("/v1/candles?symbol=BTC&limit=1001", 422, "validation_failed"),
        ("/v1/candles?symbol=DOGE", 404, "unknown_symbol"),
        ("/v1/candles?symbol=BTC&venue=kraken", 404, "unknown_venue"),
        ("/v1/book?symbol=BTC&venue=composite", 404, "unknown_venue"),
        ("/v1/nothing", 404, "not_found"),
    ],
)
async def test_refusals_are_problems_with_stable_codes(http, path, status, code):
    """Every refusal is problem+json with its code."""
    answer = await http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:teleglas:problem:{code}"


async def test_trades_and_books_without_a_venue_are_the_first_listing(http, market):
    """Where there is no composite, the answer names the venue that it is of."""
    trades = (await http.get("/v1/trades?symbol=BTC-USDT")).json()["data"]
    assert [(row["id"], row["venue"]) for row in trades] == [("1", "binance"), ("2", "binance")]
    book = (await http.get("/v1/book?symbol=BTC&depth=10")).json()
    assert (book["venue"], market.asked.depth) == ("binance", 10)
    assert book["bids"] == [["1.00", "0.00005"]]


async def test_tickers_show_summary_and_the_venues_own_fields(http):
    """Decimal strings keep their digits, negative ones too."""
    (row,) = (await http.get("/v1/tickers?symbol=BTC")).json()["data"]
    assert row["summary"]["price"] == "61837.63"
    assert row["summary"]["change_24h"] == "0.0123"
    assert row["ticker"]["funding_rate"] == "-0.0001"
    assert row["ticker"]["ask_price"] is None
    assert len((await http.get("/v1/tickers")).json()["data"]) == 1
    assert (await http.get("/v1/markets")).json()["data"][0]["tick_size"] == "0.01"


async def test_the_predecessors_path_keeps_numbers(http):
    """/gpt/raw answers JSON numbers and the short symbol."""
    answer = (await http.get("/gpt/raw?symbol=BTC")).json()
    assert (answer["symbol"], answer["price"], answer["spread"]) == ("BTC", 61837.63, 0.01)


async def test_limits_are_counted_and_told(http, limiter):
    """The headers count down; over the limit there is a Retry-After; time restores."""
    for left in (4, 3, 2, 1, 0):
        answer = await http.get("/v1/markets")
        assert answer.headers["RateLimit"].startswith(f'"default";r={left};')
        assert answer.headers["RateLimit-Policy"] == '"default";q=5;w=60'
    refused = await http.get("/v1/markets")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "12"
    limiter.now_ns += 12_000_000_000
    assert (await http.get("/v1/markets")).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer tg_x"}, {"X-API-Key": "no"}])
async def test_nothing_is_open_without_a_key_but_operations(api, headers):
    """Without a good key only health, readiness and metrics answer."""
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.get("/v1/markets", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        for path in ("/health", "/ready", "/metrics", "/ws/health"):
            assert (await client.get(path)).status_code == 200


async def test_guessing_keys_runs_into_a_limit(api):
    """Wrong keys count against their address."""
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        codes = [(await client.get("/v1/markets")).json()["code"] for _ in range(4)]
    assert codes == ["unauthenticated"] * 3 + ["rate_limited"]


async def test_a_key_in_the_header_of_its_own_is_as_good(api):
    """X-API-Key is taken too."""
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        assert (await client.get("/v1/markets", headers={"X-API-Key": KEY})).status_code == 200


async def test_a_key_without_the_scope_is_forbidden(http, keys):
    """Scopes are checked for each path."""
    keys.records[KEY[3:11]] = key_record(KEY, [Scope.MARKET_READ.value])
    answer = await http.post("/v1/stream/tickets")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_ticket_is_issued_for_a_connection(http):
    """A key becomes a ticket with an end."""
    answer = await http.post("/v1/stream/tickets")
    assert answer.status_code == 201
    assert answer.json()["expires_at"] == "2026-01-01T00:00:30.000Z"


async def test_upstream_faults_keep_their_code(http, market):
    """A slow or missing market-data is told apart."""
    market.failure = Problem(Code.UPSTREAM_TIMEOUT, "market-data: too late")
    answer = await http.get("/v1/markets")
    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")


async def test_a_fault_of_ours_is_a_problem_without_detail(http, market):
    """What broke inside stays inside."""
    market.failure = RuntimeError("secret")
    answer = await http.get("/v1/markets")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


async def test_keys_stay_good_for_a_while_when_their_store_is_away(http, keys):
    """A key seen recently outlives an outage of the store; an unknown one does not get in."""
    assert (await http.get("/v1/markets")).status_code == 200
    keys.away = True
    assert (await http.get("/v1/markets")).status_code == 200
    stranger = {"Authorization": "Bearer tg_" + "Z" * 8 + "_" + "b" * 40}
    answer = await http.get("/v1/markets", headers=stranger)
    assert (answer.status_code, answer.json()["code"]) == (503, "auth_unavailable")
