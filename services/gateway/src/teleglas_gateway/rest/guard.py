"""What stands before every route that needs a key: the key, the scope, the quota."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.domain.limits import Quota, Verdict
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.rest.context import RestContext

__all__ = ["context_of", "guarded"]

_BEARER = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer tg_…`")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key")


def context_of(request: Request) -> RestContext:
    context = request.app.state.context
    if not isinstance(context, RestContext):
        raise TypeError(f"expected a RestContext, was {context!r}")
    return context


def guarded(scope: Scope) -> Callable[..., Awaitable[Grant]]:
    """A dependency that lets holders of a scope pass, as often as their quota allows."""

    async def guard(
        request: Request,
        response: Response,
        context: Annotated[RestContext, Depends(context_of)],
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        header: Annotated[str | None, Security(_HEADER)],
    ) -> Grant:
        key = bearer.credentials if bearer is not None else header
        grant = await _identify(request, context, key)
        verdict = await context.limiter.take(f"key:{grant.key_id}", context.quota)
        _show(request, response, context.quota, verdict)
        context.authorizer.check(grant, scope, request.url.path)
        return grant

    return guard


async def _identify(request: Request, context: RestContext, key: str | None) -> Grant:
    """Failures count against the address, so that keys cannot be guessed at leisure."""
    try:
        return await context.access.by_key(key or "")
    except Problem as problem:
        if problem.code is Code.AUTH_UNAVAILABLE:
            raise
        address = request.client.host if request.client is not None else "unknown"
        verdict = await context.limiter.take(f"address:{address}", context.refused_quota)
        _show(request, Response(), context.refused_quota, verdict)
        raise


def _show(request: Request, response: Response, quota: Quota, verdict: Verdict) -> None:
    headers = {
        "RateLimit-Policy": quota.policy_header(),
        "RateLimit": verdict.limit_header(quota),
    }
    request.state.limit_headers = headers
    response.headers.update(headers)
    if not verdict.allowed:
        raise Problem(
            Code.RATE_LIMITED,
            f"expected at most {quota.requests} requests in {quota.window_s} s",
            retry_after_s=verdict.retry_after_s,
        )
