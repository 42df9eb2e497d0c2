"""The REST API put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from teleglas_common.telemetry import Metrics
from teleglas_gateway.domain.problems import Code
from teleglas_gateway.rest import (
    legacy,
    markets,
    notifications,
    operations,
    predictions,
    problems,
    signals,
    tickets,
    whales,
)
from teleglas_gateway.rest.bounded import BoundedBodies
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.measured import Measured
from teleglas_gateway.rest.models import ProblemBody

__all__ = ["build_api"]

_REFUSALS = (
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.VALIDATION_FAILED,
    Code.RATE_LIMITED,
    Code.INTERNAL,
    Code.AUTH_UNAVAILABLE,
)
_LOOKUP_REFUSALS = (Code.MALFORMED_BODY, Code.UNKNOWN_SYMBOL, Code.UPSTREAM_TIMEOUT)
_CHANGE_REFUSALS = (*_LOOKUP_REFUSALS, Code.CONFLICT, Code.FRAME_TOO_LARGE)
_PROBLEM_CONTENT = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
DESCRIPTION = """\
Prices, trades, books and candles of crypto venues, whale alerts, explained scores and forecasts
with their intervals. Exact numbers are decimal strings, times are
UTC. Refusals are `application/problem+json` with a stable `code`. Streams are WebSockets at
`/v1/stream`; a ticket for one comes from `POST /v1/stream/tickets`.
"""


def build_api(context: RestContext, measured: Metrics) -> FastAPI:
    app = FastAPI(title="Teleglas", version="1", description=DESCRIPTION, docs_url="/docs")
    app.state.context = context
    problems.install(app)
    app.add_middleware(BoundedBodies)
    app.add_middleware(Measured, metrics=measured)
    guarded_refusals = _responses(_REFUSALS)
    lookups = {**guarded_refusals, **_responses(_LOOKUP_REFUSALS)}
    app.include_router(markets.router, responses=lookups)
    app.include_router(legacy.router, responses=lookups)
    for router in (whales.router, whales.predecessor, predictions.router, predictions.predecessor):
        app.include_router(router, responses=lookups)
    changes = {**guarded_refusals, **_responses(_CHANGE_REFUSALS)}
    app.include_router(signals.router, responses=changes)
    app.include_router(notifications.router, responses=changes)
    app.include_router(tickets.router, responses=guarded_refusals)
    app.include_router(operations.router)
    _describe(app)
    return app


def _responses(codes: tuple[Code, ...]) -> dict[int | str, dict[str, Any]]:
    return {code.status: {"description": code.title, "content": _PROBLEM_CONTENT} for code in codes}


def _describe(app: FastAPI) -> None:
    """Name the problem body and the limit headers, which the framework does not know of."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemBody"] = ProblemBody.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for operation in _operations(document):
            if operation.get("security"):
                for response in operation["responses"].values():
                    response["headers"] = _LIMIT_HEADERS
        return document

    app.openapi = openapi  # type: ignore[method-assign]


_LIMIT_HEADERS: Mapping[str, Any] = {
    "RateLimit": {"schema": {"type": "string"}, "description": '`"default";r=99;t=1`'},
    "RateLimit-Policy": {"schema": {"type": "string"}, "description": '`"default";q=100;w=60`'},
}


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation
        for path in document.get("paths", {}).values()
        for operation in path.values()
        if isinstance(operation, dict)
    ]
