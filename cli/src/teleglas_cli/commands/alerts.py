"""`teleglas whales`, `signals` and `predictions`: what a person wants to read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

import click

from teleglas_cli.connect import gateway
from teleglas_cli.describe import forecast_line, ledger_line, signal_line, whale_line
from teleglas_cli.rest import ApiError, open_api
from teleglas_cli.streaming import StreamRefusedError, messages, open_stream, subscribe

__all__ = ["predictions", "signals", "whales"]

Json = dict[str, Any]
Command = TypeVar("Command", bound=Callable[..., object])
SHOWN = 20
EVERY = "*"

symbols_option = click.option(
    "--symbol", "symbols", multiple=True, help="BTC, BTC-USDT-PERP; may be given several times."
)
follow_option = click.option("--follow", is_flag=True, help="Go on with what comes.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), help="At most so many; 20 if none, with --follow all."
)


@click.command()
@symbols_option
@click.option("--venue", help="Only this venue.")
@click.option(
    "--kind", type=click.Choice(["sweep", "block", "sliced", "liquidation_cascade"]), help="Only."
)
@click.option("--side", type=click.Choice(["buy", "sell"]), help="Only this side of the taker.")
@click.option("--min", "least", type=click.FloatRange(min=0), help="At least so much, in quote.")
@limit_option
@follow_option
@json_option
def whales(
    symbols: tuple[str, ...],
    venue: str | None,
    kind: str | None,
    side: str | None,
    least: float | None,
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Large orders: who bought or sold how much, against what is usual there."""

    def wanted(row: Json) -> bool:
        return (
            kind in (None, row["kind"])
            and side in (None, row["side"])
            and float(row["notional"]) >= (least or 0)
        )

    show = _shower(whale_line, as_json)
    if follow:
        extra: Json = {} if venue is None else {"venue": [venue]}
        _run(_follow("whales", symbols, extra, wanted, show, limit))
        return
    params = {
        "venue": venue,
        "kind": kind,
        "side": side,
        "min_notional": None if least is None else str(least),
    }
    _run(_whales(symbols, params, limit or SHOWN, show))


@click.command()
@symbols_option
@click.option("--history", is_flag=True, help="Not only the latest; needs one symbol.")
@limit_option
@follow_option
@json_option
def signals(
    symbols: tuple[str, ...], history: bool, limit: int | None, follow: bool, as_json: bool
) -> None:
    """Scores from -100 to 100, with what each layer adds."""
    show = _shower(signal_line, as_json)
    if follow:
        _run(_follow("signals", symbols, {}, _all, show, limit))
    elif history:
        if len(symbols) != 1:
            raise click.UsageError(f"expected one --symbol with --history, were {len(symbols)}")
        params = {"symbol": symbols[0]}
        _run(_listed("/v1/signals/history", params, limit or SHOWN, show))
    else:
        _run(_listed_once("/v1/signals", {"symbol": symbols}, show))


@click.command()
@symbols_option
@click.option(
    "--horizon",
    "horizons",
    multiple=True,
    type=click.Choice(["5m", "15m", "1h", "4h", "24h"]),
    help="Only; may be given several times.",
)
@click.option("--ledger", is_flag=True, help="Those that were made, and what became of them.")
@limit_option
@follow_option
@json_option
def predictions(
    symbols: tuple[str, ...],
    horizons: tuple[str, ...],
    ledger: bool,
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Forecasts: the interval always, the direction only where there is skill."""
    if follow:
        extra: Json = {"interval": list(horizons)} if horizons else {}
        _run(_follow("predictions", symbols, extra, _all, _shower(forecast_line, as_json), limit))
    elif ledger:
        if len(symbols) > 1 or len(horizons) > 1:
            raise click.UsageError("expected at most one --symbol and one --horizon with --ledger")
        params = {"symbol": symbols, "horizon": horizons}
        show = _shower(ledger_line, as_json)
        _run(_listed("/v1/predictions/ledger", params, limit or SHOWN, show))
    else:
        params = {"symbol": symbols or ("BTC",), "horizon": horizons}
        _run(_listed_once("/v1/predictions", params, _shower(forecast_line, as_json)))


def _all(_row: Json) -> bool:
    return True


def _shower(line: Callable[[Json], str], as_json: bool) -> Callable[[Json], None]:
    def show(row: Json) -> None:
        click.echo(json.dumps(row, separators=(",", ":")) if as_json else line(row))

    return show


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except (ApiError, StreamRefusedError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        return


async def _whales(
    symbols: tuple[str, ...],
    params: Mapping[str, str | None],
    most: int,
    show: Callable[[Json], None],
) -> None:
    """The newest of all symbols together, the oldest of them first."""
    url, key = gateway()
    rows: list[Json] = []
    async with open_api(url, key) as api:
        for symbol in symbols or (None,):
            rows += [
                row async for row in api.rows("/v1/whales", {**params, "symbol": symbol}, most)
            ]
    newest = sorted(rows, key=lambda row: str(row["timestamp"]))[-most:]
    _show_all(newest, show, "no whale was seen yet")


async def _listed(
    path: str, params: Mapping[str, Any], most: int, show: Callable[[Json], None]
) -> None:
    url, key = gateway()
    async with open_api(url, key) as api:
        rows = [row async for row in api.rows(path, params, most)]
    _show_all(reversed(rows), show, "nothing is known yet")


async def _listed_once(path: str, params: Mapping[str, Any], show: Callable[[Json], None]) -> None:
    url, key = gateway()
    async with open_api(url, key) as api:
        found = await api.get(path, params)
    _show_all(found["data"], show, "nothing is known yet")


def _show_all(rows: Iterable[Json], show: Callable[[Json], None], nothing: str) -> None:
    shown = 0
    for row in rows:
        show(row)
        shown += 1
    if not shown:
        click.echo(nothing, err=True)


async def _follow(
    channel: str,
    symbols: tuple[str, ...],
    extra: Json,
    wanted: Callable[[Json], bool],
    show: Callable[[Json], None],
    limit: int | None,
) -> None:
    """What is known and then what comes, until interrupted."""
    url, key = gateway()
    shown = 0
    async with open_stream(url, key) as connection:
        await subscribe(connection, channel, symbols or (EVERY,), snapshot=True, **extra)
        async for row in _rows(messages(connection)):
            if wanted(row):
                show(row)
                shown += 1
            if shown == limit:
                return


async def _rows(stream: AsyncIterator[Json]) -> AsyncIterator[Json]:
    """Messages of a channel in the shape of REST's rows."""
    async for message in stream:
        match message["type"]:
            case "subscribed":
                for error in message["errors"]:
                    click.echo(f"{error['symbol']}: {error['detail']}", err=True)
            case "closing":
                raise StreamRefusedError(f"{message['code']}: {message['detail']}")
            case "snapshot":
                for part in message["data"]:
                    yield _row(message, part, part["timestamp"])
            case "whale_alert" | "signal" | "prediction":
                yield _row(message, message["data"], message["timestamp"])


def _row(message: Json, data: Json, timestamp: str) -> Json:
    return {
        "symbol": message["symbol"],
        "venue": message["venue"],
        **{name: value for name, value in data.items() if name != "exchange"},
        "timestamp": timestamp,
    }
