"""RFC 9457 answers for every refusal, ours and the framework's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from teleglas_gateway.domain.problems import Code, Problem

__all__ = ["install", "problem_response"]

MEDIA_TYPE = "application/problem+json"
_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: Code.MALFORMED_BODY,
    HTTPStatus.NOT_FOUND: Code.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: Code.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Code.FRAME_TOO_LARGE,
}
_LOG = structlog.get_logger(__name__)


def problem_response(request: Request, problem: Problem) -> Response:
    headers = dict(getattr(request.state, "limit_headers", {}))
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    if problem.code.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="teleglas"'
    return Response(
        msgspec.json.encode(problem.body(request.url.path)),
        status_code=problem.code.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


async def _on_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise TypeError(f"expected a Problem, was {error!r}")
    return problem_response(request, error)


async def _on_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise TypeError(f"expected a validation error, was {error!r}")
    parts = [
        f"{'.'.join(str(place) for place in fault['loc'])}: {fault['msg']}"
        for fault in error.errors()[:8]
    ]
    return problem_response(request, Problem(Code.VALIDATION_FAILED, "; ".join(parts)))


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError(f"expected an HTTP error, was {error!r}")
    code = _BY_STATUS.get(HTTPStatus(error.status_code), Code.INTERNAL)
    response = problem_response(request, Problem(code, f"{request.method} {request.url.path}"))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _on_crash(request: Request, error: Exception) -> Response:
    _LOG.error("request_failed", path=request.url.path, exc_info=error)
    return problem_response(request, Problem(Code.INTERNAL, "the fault is ours and was logged"))


def install(app: FastAPI) -> None:
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        Problem: _on_problem,
        RequestValidationError: _on_validation,
        HTTPException: _on_http,
        Exception: _on_crash,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
