"""Whales, scores, forecasts and notifications over REST, with real gRPC servers behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from fastapi import FastAPI

from teleglas.market.v1 import types_pb2
from teleglas.notification.v1 import notification_pb2
from teleglas.whale.v1 import whale_pb2
from teleglas_common.clock import SystemClock
from teleglas_common.principal import METADATA_KEY, Signer
from teleglas_gateway.domain.keys import Scope, parse_scopes
from teleglas_gateway.testing import KEY, T0_NS, key_record
from teleglas_gateway.testing.intelligence import alert, delivery, score
from teleglas_gateway.testing.rest import SECRET

BEARER = {"Authorization": f"Bearer {KEY}"}
WEIGHTS = {"layers": [{"layer": "technical", "weight": 40.0}], "reason": "less trend"}
RULE = {"subscriber_id": "chat-1", "kinds": ["whale"], "min_notional": 1e6}
SUBSCRIBER = {"channel": "telegram", "address": "4711", "quiet_from": "22:30"}


@pytest.fixture
async def http(whole_api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(whole_api, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers=BEARER
    ) as client:
        yield client


async def test_whales_are_pages_under_their_filters(http, asked):
    """Filters go through, numbers are decimal strings, the next link leads on and ends."""
    query = "symbol=btc&venue=binance&kind=liquidation_cascade&side=buy&min_notional=1e6&from=1000"
    first = (await http.get(f"/v1/whales?{query}&limit=1")).json()
    assert (asked.request.venue, asked.request.instrument) == ("binance", "BTC-USDT")
    assert asked.request.kind == whale_pb2.WHALE_KIND_LIQUIDATION_CASCADE
    assert asked.request.side == types_pb2.SIDE_BUY
    assert (asked.request.min_notional, asked.request.ts_from) == (1e6, 1_000_000_000)
    row = first["data"][0]
    assert (row["notional"], row["vwap"], row["amount"]) == ("2250000.00", "45000.00", "50.00000")
    assert row["impacts"] == [{"horizon_ms": 1000, "basis_points": "3.5"}]
    assert (row["impact"], row["usd_basis"], row["is_closed"]) == ("medium", "par", True)
    last = (await http.get(first["next"])).json()
    assert asked.request.page_token == "2"
    assert last["next"] is None
    refused = await http.get(f"/v1/whales?symbol=ETH&cursor={first['next_cursor']}")
    assert refused.json()["code"] == "invalid_cursor"


async def test_an_alert_is_found_by_its_id_whatever_stands_in_it(http, asked):
    """Colons and slashes are part of an id; what nobody has is `unknown_id`."""
    answer = await http.get(f"/v1/whales/{alert().id}")
    assert answer.json()["trade_ids"] == ["1", "2"]
    missing = await http.get("/v1/whales/binance:BTC/USDT:buy%2F1:1")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_id")
    assert asked.request.id == "binance:BTC/USDT:buy/1:1"
    for wrong in ("a" * 257, "a%00b", "a%20b"):
        assert (await http.get(f"/v1/whales/{wrong}")).status_code == 422


async def test_thresholds_say_how_far_a_market_is(http):
    """A market that warms up has no threshold yet, and says how far it is."""
    known, warming = (await http.get("/v1/whales/thresholds")).json()["data"]
    assert (known["notional"], known["warm_up"]) == ("1500000.0", "1.0")
    assert (warming["notional"], warming["warm_up"]) == (None, "0.25")


async def test_the_predecessors_whales_keep_numbers(http, asked):
    """/gpt/whale has JSON numbers, the short symbol and the seven fields."""
    answer = (await http.get("/gpt/whale?symbol=BTC&limit=5")).json()
    assert (answer["symbol"], answer["count"], asked.request.page_size) == ("BTC", 1, 5)
    (row,) = answer["transactions"]
    assert (row["amount"], row["usd_value"], row["impact"]) == (50.0, 2_250_000.0, "medium")
    assert (row["transaction_id"], row["exchange"]) == ("1", "binance")


async def test_latest_scores_are_of_every_market_that_has_one(http):
    """A market without a score yet is left out, named ones too."""
    for path in ("/v1/signals", "/v1/signals?symbol=BTC&symbol=ETH"):
        (row,) = (await http.get(path)).json()["data"]
        assert (row["symbol"], row["venue"], row["score"]) == ("BTC-USDT", "composite", "34.5")
    total = sum(float(part["points"]) for part in row["contributions"])
    assert total == pytest.approx(float(row["score"]), abs=1e-9)


async def test_a_score_explains_itself(http):
    """Sentences, inputs and positions, by the id."""
    told = (await http.get(f"/v1/signals/{score().id}/explain")).json()
    assert told["sentences"] == ["technical adds 30.0: it reads 0.6 of 1, weight 50"]
    assert told["inputs"][0]["value"] == "61.5"
    assert told["positions"] == [{"topic": "market.candles", "partition": 3, "offset": 7}]
    missing = await http.get("/v1/signals/none/explain")
    assert missing.json()["code"] == "unknown_id"
    history = (await http.get("/v1/signals/history?symbol=BTC")).json()
    assert history["data"][0]["timestamp"] == "2026-01-01T00:00:00.000Z"


async def test_weights_change_only_for_administrators_of_scores(http, asked):
    """`all` does not open them; who asks is signed."""
    assert Scope.SIGNAL_ADMIN.value not in parse_scopes("all")
    assert (await http.get("/v1/signals/weights")).json()["version"] == 3
    changed = await http.put("/v1/signals/weights", json=WEIGHTS)
    assert changed.json()["version"] == 4
    assert asked.request.layers[0].weight == 40.0
    principal = Signer([SECRET.encode()], SystemClock()).verify(asked.metadata[METADATA_KEY])
    assert (principal.tenant_id, principal.principal_id) == ("default", "tester")


async def test_a_key_of_all_scopes_may_not_change_weights(http, asked, keys):
    """The demo key reads them only."""
    keys.records[KEY[3:11]] = key_record(KEY, parse_scopes("all"))
    assert (await http.get("/v1/signals/weights")).status_code == 200
    calls = asked.calls
    refused = await http.put("/v1/signals/weights", json=WEIGHTS)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert asked.calls == calls


@pytest.mark.parametrize(
    "body",
    [
        '{"layers": [{"layer": "a", "weight": NaN}], "reason": "x"}',
        '{"layers": [{"layer": "a", "weight": 1e999}], "reason": "x"}',
        '{"layers": [], "reason": "x"}',
        '{"layers": [{"layer": "\\ud800", "weight": 1}], "reason": "x"}',
        '{"layers": [{"layer": "a\\u0000", "weight": 1}], "reason": "x"}',
        '{"layers": [{"layer": "a", "weight": 1}], "reason": "x", "more": 1}',
        "[" * 20_000,
        "\xff",
        "",
    ],
)
async def test_bodies_that_make_no_sense_are_refused(http, asked, body):
    """None of them reaches the service."""
    answer = await http.put("/v1/signals/weights", content=body.encode("latin-1"))
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert asked.calls == 0


async def test_a_huge_body_is_refused_while_it_comes(http, asked):
    """64 KiB are enough for everything that this API takes, with a length or in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    for content in (b"x" * 70_000, pieces()):
        answer = await http.put("/v1/signals/weights", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "frame_too_large")
    assert asked.calls == 0


async def test_forecasts_are_of_symbols_and_horizons(http, asked):
    """Champions come in one call; a named model is asked for each horizon."""
    rows = (await http.get("/v1/predictions?symbol=BTC&symbol=ETH&horizon=5m&horizon=24h")).json()
    assert [(row["symbol"], row["horizon"]) for row in rows["data"]] == [
        *(("BTC-USDT", "5m"), ("BTC-USDT", "24h")),
        *(("ETH-USDT", "5m"), ("ETH-USDT", "24h")),
    ]
    assert asked.calls == 1
    assert rows["data"][0]["intervals"][1]["upper"] == "94310.0"
    assert rows["data"][0]["direction"] == "abstain"
    named = await http.get("/v1/predictions?symbol=BTC&model=random-walk")
    assert (len(named.json()["data"]), asked.calls) == (5, 6)
    assert (await http.get("/v1/predictions?symbol=BTC&model=lstm")).status_code == 404
    both = await http.get("/v1/predictions?symbol=BTC&symbol=ETH&model=random-walk")
    assert both.json()["code"] == "validation_failed"


async def test_the_ledger_tells_what_became_of_forecasts(http, asked):
    """One that is still open has no outcome."""
    page = await http.get("/v1/predictions/ledger?symbol=BTC&horizon=5m")
    waiting, resolved = page.json()["data"]
    assert asked.request.horizon_ns == 300 * 10**9
    assert (waiting["outcome_price"], waiting["resolved_time"]) == (None, None)
    assert (resolved["outcome_price"], resolved["covered"]) == ("94020.0", [True, True])
    (model,) = (await http.get("/v1/predictions/models")).json()["data"]
    assert (model["champion"], model["metrics"][0]["value"]) == (True, None)


async def test_the_predecessors_predictions_end_within_the_periods(http, asked):
    """Periods are hours; the widest interval is shown, in JSON numbers."""
    answer = (await http.get("/ml/predict/BTC?periods=4")).json()
    assert [point["horizon"] for point in answer["predictions"]] == ["5m", "15m", "1h", "4h"]
    point = answer["predictions"][0]
    assert (point["predicted_price"], point["lower"], point["coverage"]) == (94010.5, 93700.0, 0.9)
    assert answer["current_price"] == 94_000.0
    assert (await http.get("/ml/predict/BTC/USDT?model_type=ensemble")).json()["symbol"] == "BTC"
    calls = asked.calls
    batch = (await http.get("/ml/predict/batch?symbols=BTC,DOGGE,ETH&periods=1")).json()
    assert [one["symbol"] for one in batch["results"]] == ["BTC", "ETH"]
    assert batch["errors"][0]["code"] == "unknown_symbol"
    assert asked.calls == calls + 1


async def test_rules_and_subscribers_are_kept_for_the_tenant(http, asked):
    """The tenant is the key's, never the body's; optional bounds stay unset."""
    rule = (await http.put("/v1/notifications/rules/rule-1", json=RULE)).json()
    assert (rule["id"], rule["min_notional"], rule["min_percentile"]) == (
        *("rule-1", "1000000.0"),
        None,
    )
    assert asked.request.rule.tenant_id == "default"
    assert not asked.request.rule.HasField("min_abs_score")
    assert (await http.delete("/v1/notifications/rules/rule-1")).status_code == 204
    missing = await http.delete("/v1/notifications/rules/rule-2")
    assert missing.json()["code"] == "unknown_id"
    made = (await http.put("/v1/notifications/subscribers/chat-1", json=SUBSCRIBER)).json()
    assert (made["quiet_from"], made["budget_per_hour"], made["enabled"]) == ("22:30", 20, True)
    bad = {**SUBSCRIBER, "quiet_from": "25:00"}
    refused = await http.put("/v1/notifications/subscribers/chat-1", json=bad)
    assert refused.status_code == 422
    (listed,) = (await http.get("/v1/notifications/rules?subscriber=chat-1")).json()["data"]
    assert listed["kinds"] == ["whale"]
    assert len((await http.get("/v1/notifications/subscribers")).json()["data"]) == 1


async def test_deliveries_are_shown_and_sent_again(http, asked):
    """A resend is taken, not repeated; what cannot be resent is a conflict."""
    page = await http.get("/v1/notifications/deliveries?status=failed&subscriber=chat-1")
    assert asked.request.status == notification_pb2.DELIVERY_STATUS_FAILED
    (row,) = page.json()["data"]
    assert (row["status"], row["event_id"]) == ("sent", alert().id)
    again = await http.post(f"/v1/notifications/deliveries/{delivery().id}/resend")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    done = await http.post("/v1/notifications/deliveries/other/resend")
    assert (done.status_code, done.json()["code"]) == (409, "conflict")


PATHS = (
    "/v1/whales",
    "/gpt/whale",
    "/v1/signals",
    "/v1/predictions?symbol=BTC",
    "/ml/predict/BTC",
    "/v1/notifications/rules",
)


@pytest.mark.parametrize("path", PATHS)
async def test_a_service_that_is_not_deployed_says_so(api, path):
    """Its paths are there and answer 503 with a code of their own; strangers hear of the key."""
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.get(path, headers=BEARER)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_deployed")
        assert "TELEGLAS_" in answer.json()["detail"]
        assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.UNAVAILABLE, "upstream_unavailable"),
        (grpc.StatusCode.INTERNAL, "upstream_unavailable"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "upstream_timeout"),
        (grpc.StatusCode.INVALID_ARGUMENT, "validation_failed"),
        (grpc.StatusCode.PERMISSION_DENIED, "forbidden"),
    ],
)
async def test_faults_behind_the_gateway_keep_their_code(http, asked, path, status, code):
    """Whatever a service answers, clients get a problem that they can switch on."""
    asked.failure = status
    answer = await http.get(path)
    assert answer.json()["code"] == code


async def test_safe_calls_are_tried_again_and_a_resend_is_not(http, asked):
    """A service that restarts is not noticed by readers; nothing is sent twice."""
    asked.failure, asked.fail_times = grpc.StatusCode.UNAVAILABLE, 1
    assert (await http.get("/v1/whales")).status_code == 200
    assert asked.calls == 2
    asked.calls, asked.fail_times = 0, 1
    answer = await http.post(f"/v1/notifications/deliveries/{delivery().id}/resend")
    assert (answer.status_code, asked.calls) == (503, 1)


async def test_scopes_open_what_they_name(http, keys):
    """Signals need one scope, alerts two."""
    keys.records[KEY[3:11]] = key_record(KEY, ["alert:read"])
    assert (await http.get("/v1/notifications/rules")).status_code == 200
    for refused in (
        await http.get("/v1/whales"),
        await http.put("/v1/notifications/rules/r", content=json.dumps(RULE)),
        await http.delete("/v1/notifications/rules/rule-1"),
    ):
        assert refused.json()["code"] == "forbidden"


async def test_times_reach_the_services_in_nanoseconds(http, asked):
    """`as_of` is one."""
    await http.get("/v1/signals?symbol=BTC&as_of=2026-01-01T00:00:00Z")
    assert asked.request.as_of == T0_NS
