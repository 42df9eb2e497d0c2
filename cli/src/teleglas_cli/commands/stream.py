"""`teleglas stream CHANNEL`: what a client of the gateway sees."""

from __future__ import annotations

import asyncio
import json

import click

from teleglas_cli.running import Running
from teleglas_cli.streaming import StreamRefusedError, messages, open_stream, subscribe

__all__ = ["stream"]


@click.command()
@click.argument("channel")
@click.option("--symbol", "symbols", multiple=True, default=("BTC-USDT",), show_default=True)
@click.option("--venue", "venues", multiple=True, help="Default: the composite.")
@click.option("--interval", default="", help="For candles, e.g. 1m.")
@click.option("--limit", type=int, default=0, help="Stop after so many messages.")
def stream(
    channel: str, symbols: tuple[str, ...], venues: tuple[str, ...], interval: str, limit: int
) -> None:
    """Follow a channel of the stream: trades, books, candles, whales, signals, ..."""
    extra: dict[str, object] = {"snapshot": True}
    if venues:
        extra["venue"] = list(venues)
    if interval:
        extra["interval"] = interval
    try:
        asyncio.run(_stream(Running.read(), channel, symbols, extra, limit))
    except StreamRefusedError as error:
        raise click.ClickException(str(error)) from None


async def _stream(
    running: Running, channel: str, symbols: tuple[str, ...], extra: dict[str, object], limit: int
) -> None:
    shown = 0
    async with open_stream(running.gateway_url, running.demo_key) as connection:
        await subscribe(connection, channel, symbols, **extra)
        async for message in messages(connection):
            click.echo(json.dumps(message, separators=(",", ":")))
            shown += 1
            if shown == limit:
                return
