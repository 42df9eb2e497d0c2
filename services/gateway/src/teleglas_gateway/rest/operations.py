"""Health, readiness and metrics: the paths that need no key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of
from teleglas_gateway.rest.models import HealthAnswer, StreamHealth

__all__ = ["router"]

router = APIRouter(tags=["operations"])
Context = Annotated[RestContext, Depends(context_of)]


@router.get("/health", responses={503: {"model": HealthAnswer}})
async def health(context: Context, response: Response) -> HealthAnswer:
    """The process can do its work; 503 when a restart would help."""
    report = context.health.liveness()
    response.status_code = 200 if report.ok else 503
    return HealthAnswer.model_validate(report.as_dict())


@router.get("/ready", responses={503: {"model": HealthAnswer}})
async def ready(context: Context, response: Response) -> HealthAnswer:
    """The process can serve now: every part behind it answers."""
    report = await context.health.readiness()
    response.status_code = 200 if report.ok else 503
    return HealthAnswer.model_validate(report.as_dict())


@router.get("/metrics", response_class=Response)
async def metrics(context: Context, request: Request) -> Response:
    """Prometheus metrics; in OpenMetrics, with exemplars, if that is asked for."""
    body, media_type = context.metrics(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": media_type})


@router.get("/ws/health", responses={503: {"model": StreamHealth}})
async def stream_health(context: Context, response: Response) -> StreamHealth:
    """How the stream server fares."""
    facts = context.stream_facts()
    response.status_code = 200 if facts.status == "ok" else 503
    return facts
