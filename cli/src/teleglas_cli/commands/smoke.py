"""`teleglas smoke`: whether a running product does its work, seen from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import click
from websockets.exceptions import WebSocketException

from teleglas_cli.connect import gateway
from teleglas_cli.rest import Api, ApiError, open_api
from teleglas_cli.streaming import StreamRefusedError, messages, open_stream, subscribe

__all__ = ["smoke"]

Json = dict[str, Any]
EVERY_S = 1.0
AWAY = (OSError, TimeoutError, aiohttp.ClientError, WebSocketException)
TROUBLES = (*AWAY, ApiError, StreamRefusedError)


class NotYetError(Exception):
    """What is looked for is not there so far."""


@click.command()
@click.option("--symbol", default="BTC-USDT", show_default=True)
@click.option("--venue", default="binance", show_default=True)
@click.option(
    "--chat", envvar="TELEGLAS_CHAT_URL", help="The local Bot API that an alert must reach."
)
@click.option("--within", type=float, default=60.0, show_default=True, help="Seconds a step has.")
@click.option("--alert-within", type=float, default=300.0, show_default=True)
def smoke(symbol: str, venue: str, chat: str | None, within: float, alert_within: float) -> None:
    """Follow a trade to the stream and to REST, and with --chat an alert into the chat.

    Asks the gateway of TELEGLAS_GATEWAY_URL with TELEGLAS_API_KEY, else the running local stack.
    """
    asyncio.run(_smoke(symbol, venue, chat, within, alert_within))


async def _smoke(
    symbol: str, venue: str, chat: str | None, within_s: float, alert_within_s: float
) -> None:
    url, key = gateway()
    trade = await _until("stream", within_s, lambda: _streamed(url, key, symbol, venue))
    async with open_api(url, key) as api:
        wanted = trade["data"]["id"]
        await _until("REST", within_s, lambda: _stored(api, symbol, venue, wanted))
        if chat:
            await _until("alert", alert_within_s, lambda: _told(api, chat))


async def _until(step: str, within_s: float, attempt: Callable[[], Awaitable[Json]]) -> Json:
    """What the first attempt that succeeds gives; each that fails is made again in time."""
    began_s = time.monotonic()
    deadline_s = began_s + within_s
    while True:
        try:
            async with asyncio.timeout(max(EVERY_S, deadline_s - time.monotonic())):
                found = await attempt()
        except (NotYetError, *TROUBLES) as error:
            if time.monotonic() > deadline_s:
                raise click.ClickException(f"{step}: {error!s} ({type(error).__name__})") from None
            await asyncio.sleep(EVERY_S)
        else:
            click.echo(f"{step}: {found['shown']} ({time.monotonic() - began_s:.1f} s)")
            return found


async def _streamed(url: str, key: str, symbol: str, venue: str) -> Json:
    """A trade that the venue made after the subscription."""
    began_ns = time.time_ns()
    async with open_stream(url, key) as connection:
        await subscribe(connection, "trades", [symbol], venue=[venue], snapshot=False)
        async for message in messages(connection):
            if message["type"] == "subscribed" and message["errors"]:
                raise NotYetError(f"expected a subscription, was refused: {message['errors']}")
            if message["type"] == "trade" and int(message["data"]["ts_event"]) > began_ns:
                late_ms = (time.time_ns() - int(message["data"]["ts_event"])) / 1e6
                shown = f"trade {message['data']['id']}, {late_ms:.0f} ms after the venue's time"
                return {**message, "shown": shown}
    raise NotYetError("expected a trade, the stream ended")


async def _stored(api: Api, symbol: str, venue: str, wanted: str) -> Json:
    """The same trade in the database, and closed candles."""
    where = {"symbol": symbol, "venue": venue, "order": "desc", "limit": "1000"}
    trades = (await api.get("/v1/trades", where))["data"]
    if not any(trade["id"] == wanted for trade in trades):
        raise NotYetError(f"expected trade {wanted} among the newest {len(trades)}, was not")
    candles = (await api.get("/v1/candles", {**where, "interval": "1s", "limit": "10"}))["data"]
    if not candles:
        raise NotYetError("expected candles of 1s, found none")
    return {"shown": f"trade {wanted} and {len(candles)} candles"}


async def _told(api: Api, chat: str) -> Json:
    """An alert that was sent, and the chat that has it."""
    deliveries = (await api.get("/v1/notifications/deliveries", {"limit": "1000"}))["data"]
    sent = sum(one["status"] in ("sent", "edited") for one in deliveries)
    if not sent:
        raise NotYetError(f"expected a sent alert, found {len(deliveries)} deliveries")
    async with aiohttp.ClientSession() as session, session.get(f"{chat}/chat") as response:
        shown = (await response.json())["messages"]
    alerts = [one for one in shown if one["from_bot"] and one["keyboard"]]
    if not alerts:
        raise NotYetError(f"expected an alert among {len(shown)} messages of the chat")
    first_line = alerts[-1]["text"].partition("\n")[0]
    return {"shown": f"{sent} sent, the newest in the chat: {first_line}"}
