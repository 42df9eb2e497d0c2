"""The OpenAPI document is complete, and the API answers as it says."""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks, not_a_server_error

from teleglas_common.settings import HttpSection
from teleglas_gateway.domain.problems import Code
from teleglas_gateway.rest.http import HttpServer
from teleglas_gateway.testing import KEY
from teleglas_gateway.testing.rest import connected, make_api

load_all_checks()
CHECKED = [
    not_a_server_error,
    *CHECKS.get_by_names(
        ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
    ),
]


@pytest.fixture
def schema(market, keys, limiter, asked):
    """The API as it is served, with all four services behind it, on a loop of its own."""
    limiter.unlimited = True
    listening: queue.Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        async with connected(asked) as backends:
            api = make_api(market, keys, limiter, backends)
            http = HttpServer(HttpSection(), api, asyncio.Protocol)
            await http.start()
            done = asyncio.Event()
            listening.put((http.port, asyncio.get_running_loop(), done))
            await done.wait()
            await http.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, loop, done = listening.get(timeout=30)
    try:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(timeout=30)


def test_every_route_is_described_with_its_problems(api):
    """Each guarded operation names its refusals, its limit headers and its security."""
    document = api.openapi()
    guarded = 0
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if not path.startswith(("/v1", "/gpt", "/ml")):
                continue
            guarded += 1
            assert operation["security"], path
            for status in ("401", "403", "422", "429", "503"):
                answer = operation["responses"][status]
                assert "application/problem+json" in answer["content"], (path, status)
                assert "RateLimit" in answer["headers"]
    assert guarded == 28
    assert "ProblemBody" in document["components"]["schemas"]


def test_codes_are_stable_snake_case():
    """A code is a name that clients may switch on."""
    assert all(code.slug.replace("_", "").isalpha() for code in Code)
    assert len({code.slug for code in Code}) == len(Code)


def test_answers_conform_to_the_document(schema):
    """Whatever is asked, the status, the media type and the body are as described."""
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 32
    for operation in operations:

        @settings(
            max_examples=8,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def conforms(case):
            case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKED)

        conforms()


def test_the_guide_lists_every_problem_as_it_is():
    """The table that clients read is the table that is served."""
    guide = Path(__file__).parents[4] / "docs" / "guide" / "rest.md"
    rows = [line for line in guide.read_text().splitlines() if line.startswith("| `")]
    listed = [row for row in rows if row.split(" | ")[1].isdigit()]
    assert listed == [f"| `{code.slug}` | {code.status} | {code.title} |" for code in Code]
