"""The gRPC service Whales."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from teleglas.whale.v1 import whale_pb2 as pb
from teleglas.whale.v1.whale_pb2_grpc import WhalesServicer
from teleglas_common.grpc_server import call_limit
from teleglas_common.paging import CursorError, decode_cursor, encode_cursor, page_size
from teleglas_common.principal import Authenticate, PrincipalError
from teleglas_whale_detector.ports import AlertFilter, AlertStore, Thresholds

__all__ = ["ERRORS", "InvalidRequestError", "NotFoundError", "WhalesService"]

Context = grpc.aio.ServicerContext[Any, Any]

MAX_NAME = 64
MAX_ID = 256
MAX_TS = (1 << 63) - 1


class InvalidRequestError(ValueError):
    """The request can never be answered as it is."""


class NotFoundError(LookupError):
    """Nothing is known of what was asked for."""


ERRORS: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    CursorError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    PrincipalError: grpc.StatusCode.UNAUTHENTICATED,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class WhalesService(WhalesServicer):
    """History comes from the database; thresholds from the shards here, where they are newer."""

    def __init__(
        self,
        store: AlertStore,
        live: Thresholds,
        authenticate: Authenticate,
        default_deadline_s: float,
    ) -> None:
        self._store = store
        self._live = live
        self._authenticate = authenticate
        self._default_deadline_s = default_deadline_s

    async def ListAlerts(  # noqa: N802
        self, request: pb.ListAlertsRequest, context: Context
    ) -> pb.ListAlertsResponse:
        async with self._call(context):
            scope = _scope(request)
            size = page_size(request.page_size)
            wanted = AlertFilter(
                _name(request.venue),
                _name(request.instrument),
                _among(request.kind, 4, "kind"),
                _among(request.side, 2, "side"),
                _amount(request.min_notional),
                *_range(request.ts_from, request.ts_to),
                _mark(scope, request.page_token),
            )
            found = await self._store.alerts(wanted, size + 1)
            token = ""
            if len(found) > size:
                last = found[size - 1]
                token = encode_cursor(scope, (last.ts_first_fill, last.id))
            return pb.ListAlertsResponse(alerts=found[:size], next_page_token=token)

    async def GetAlert(  # noqa: N802
        self, request: pb.GetAlertRequest, context: Context
    ) -> pb.GetAlertResponse:
        async with self._call(context):
            if not 0 < len(request.id) <= MAX_ID or "\0" in request.id:
                raise InvalidRequestError(
                    f"expected an alert's id of 1 to {MAX_ID} characters, was"
                    f" {request.id[:MAX_NAME]!r}"
                )
            found = await self._store.alert(request.id)
            if found is None:
                raise NotFoundError(f"expected a known alert, was {request.id!r}")
            return pb.GetAlertResponse(alert=found)

    async def ListThresholds(  # noqa: N802
        self, request: pb.ListThresholdsRequest, context: Context
    ) -> pb.ListThresholdsResponse:
        async with self._call(context):
            venue, instrument = _name(request.venue), _name(request.instrument)
            known = {
                (one.venue, one.instrument): one
                for one in await self._store.thresholds(venue, instrument)
            }
            for one in self._live.thresholds():
                if venue in ("", one.venue) and instrument in ("", one.instrument):
                    known[one.venue, one.instrument] = one
            return pb.ListThresholdsResponse(thresholds=[known[key] for key in sorted(known)])

    @asynccontextmanager
    async def _call(self, context: Context) -> AsyncIterator[None]:
        """One query: who asks is checked, and it ends when its caller does not wait any more."""
        self._authenticate(context)
        async with call_limit(context, self._default_deadline_s):
            yield


def _name(text: str) -> str:
    if len(text) > MAX_NAME or "\0" in text:
        raise InvalidRequestError(
            f"expected a name of up to {MAX_NAME} characters, was {text[:MAX_NAME]!r}"
        )
    return text


def _among(value: int, most: int, what: str) -> int:
    if not 0 <= value <= most:
        raise InvalidRequestError(f"expected a {what} from 0 to {most}, was {value}")
    return value


def _amount(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise InvalidRequestError(f"expected a notional of 0 or more, was {value}")
    return value


def _range(ts_from: int, ts_to: int) -> tuple[int, int]:
    if ts_from < 0 or ts_to < 0 or ts_from > (ts_to or MAX_TS):
        raise InvalidRequestError(f"expected 0 <= from <= to, was {ts_from} and {ts_to}")
    return ts_from, ts_to


def _scope(request: pb.ListAlertsRequest) -> str:
    return (
        f"alerts:{request.venue}:{request.instrument}:{request.kind}:{request.side}:"
        f"{request.min_notional!r}:{request.ts_from}:{request.ts_to}"
    )


def _mark(scope: str, token: str) -> tuple[int, str] | None:
    if not token:
        return None
    match decode_cursor(scope, token):
        case (int(ts), str(alert_id)) if 0 <= ts <= MAX_TS and "\0" not in alert_id:
            return ts, alert_id
    raise CursorError("expected a cursor of this list, was one of another")
