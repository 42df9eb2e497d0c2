"""What the REST API is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from teleglas_common.health import Health
from teleglas_gateway.access import KeyAccess
from teleglas_gateway.domain.limits import Quota
from teleglas_gateway.domain.symbols import Catalogue
from teleglas_gateway.ports import Authorizer, Backends, Limiter, MarketData, Tickets
from teleglas_gateway.rest.models import StreamHealth

__all__ = ["RestContext"]


@dataclass(frozen=True, slots=True)
class RestContext:
    """`scored` are the instruments that have had a score lately."""

    catalogue: Catalogue
    market_data: MarketData
    backends: Backends
    access: KeyAccess
    authorizer: Authorizer
    limiter: Limiter
    tickets: Tickets
    quota: Quota
    refused_quota: Quota
    ticket_ttl_s: int
    health: Health
    stream_facts: Callable[[], StreamHealth]
    scored: Callable[[], list[str]]
    metrics: Callable[[str], tuple[bytes, str]]
    now_ns: Callable[[], int]
