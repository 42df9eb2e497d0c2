"""`POST /v1/stream/tickets`: a key becomes a ticket that may stand in a browser's first message."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.domain.numbers import iso_ms
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of, guarded
from teleglas_gateway.rest.models import TicketAnswer

__all__ = ["STREAM_PATHS", "router"]

router = APIRouter(prefix="/v1/stream", tags=["stream"])
STREAM_PATHS = ("/v1/stream", "/ws")
NS_PER_S = 1_000_000_000


@router.post("/tickets", status_code=201)
async def issue_ticket(
    context: Annotated[RestContext, Depends(context_of)],
    grant: Annotated[Grant, Depends(guarded(Scope.STREAM_READ))],
) -> TicketAnswer:
    """A ticket for one connection."""
    ticket = await context.tickets.issue(grant, context.ticket_ttl_s)
    return TicketAnswer(
        ticket=ticket,
        expires_in_s=context.ticket_ttl_s,
        expires_at=iso_ms(context.now_ns() + context.ticket_ttl_s * NS_PER_S),
        streams=list(STREAM_PATHS),
    )
