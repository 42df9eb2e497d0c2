"""`teleglas why ID`: why an alert, a score or a message came, in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import click

from teleglas_cli.connect import gateway
from teleglas_cli.describe import why_delivery, why_signal, why_whale
from teleglas_cli.rest import Api, ApiError, open_api

__all__ = ["why"]

Json = dict[str, Any]
NOT_HERE = frozenset(("unknown_id", "no_data", "not_found", "validation_failed"))
MOST_ROWS = 10_000
"""Deliveries and rules that are looked through."""


@click.command()
@click.argument("identity", metavar="ID")
def why(identity: str) -> None:
    """Say why an alert, a score or a message came: ID is an alert's, a score's or a delivery's."""
    found = asyncio.run(_why(identity))
    if not found:
        raise SystemExit(1)


async def _why(identity: str) -> bool:
    url, key = gateway()
    unheard: list[str] = []
    async with open_api(url, key) as api:
        for ask in (_event, _delivery):
            lines = [line async for line in ask(api, identity, unheard)]
            for line in lines:
                click.echo(line)
            if lines:
                return True
    click.echo(f"expected the id of an alert, a score or a delivery, was {identity!r}", err=True)
    for detail in unheard:
        click.echo(f"could not ask everyone: {detail}", err=True)
    return False


async def _event(api: Api, identity: str, unheard: list[str]) -> AsyncIterator[str]:
    """An alert or a score."""
    name = quote(identity, safe=":")
    alert = await _get(api, f"/v1/whales/{name}", unheard)
    if alert is not None:
        for line in why_whale(alert):
            yield line
        return
    told = await _get(api, f"/v1/signals/{name}/explain", unheard)
    if told is not None:
        for line in why_signal(told):
            yield line


async def _delivery(api: Api, identity: str, unheard: list[str]) -> AsyncIterator[str]:
    """What became of an event for a subscriber, then why there was the event."""
    try:
        row = await _row(api, "deliveries", identity, _subscriber(identity))
        row = row or await _row(api, "deliveries", identity, None)
        if row is None:
            return
        rule = await _row(api, "rules", row["rule_id"], row["subscriber_id"])
    except ApiError as error:
        if error.code not in NOT_HERE:
            unheard.append(str(error))
        return
    for line in why_delivery(row, rule):
        yield line
    async for line in _event(api, row["event_id"], unheard):
        yield f"  {line}"


def _subscriber(identity: str) -> str | None:
    """Whom a delivery is likely to be for: its id is tenant, subscriber, rule, event."""
    parts = identity.split(":")
    return parts[1] if len(parts) > 2 and parts[1] else None


async def _row(api: Api, kind: str, identity: str, subscriber: str | None) -> Json | None:
    params = {"subscriber": subscriber}
    async for row in api.rows(f"/v1/notifications/{kind}", params, MOST_ROWS):
        if row["id"] == identity:
            return row
    return None


async def _get(api: Api, path: str, unheard: list[str]) -> Json | None:
    try:
        return await api.get(path)
    except ApiError as error:
        if error.code not in NOT_HERE:
            unheard.append(str(error))
        return None
