"""`teleglas replay CAPTURE...`: a recorded venue, served as if it were live."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path

import click

from teleglas_sim.replay import CaptureError, Ports, Replay, ReplayOptions, parse_speed

__all__ = ["replay"]

_PROGRESS_EVERY_S = 1.0


class _Speed(click.ParamType):
    name = "speed"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_speed(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Listen(click.ParamType):
    name = "venue:ws:rest"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Ports]:
        venue, _, ports = str(value).partition(":")
        ws, _, rest = ports.partition(":")
        if not (venue and ws.isdigit() and rest.isdigit()):
            self.fail(f"expected VENUE:WS_PORT:REST_PORT, was {value!r}", param, ctx)
        return venue, Ports(int(ws), int(rest))


@click.command()
@click.argument("captures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--speed", type=_Speed(), default="1", show_default=True, help="Factor, or max.")
@click.option(
    "--wait-for", type=click.IntRange(min=1), help="Start when so many streams are subscribed."
)
@click.option(
    "--settle",
    "settle_s",
    type=float,
    default=2.0,
    show_default=True,
    help="Without --wait-for: start so many seconds after the last new subscription.",
)
@click.option(
    "--pause-when-alone", is_flag=True, help="Hold the play while a lost client's streams are free."
)
@click.option(
    "--listen", "ports", type=_Listen(), multiple=True, help="Ports of a venue, e.g. binance:1:2."
)
@click.option("--exit-when-drained", is_flag=True, help="End when the last frame is out.")
@click.option("--json", "as_json", is_flag=True, help="URLs and progress as JSON lines.")
def replay(
    captures: tuple[Path, ...],
    speed: float,
    wait_for: int | None,
    settle_s: float,
    pause_when_alone: bool,
    ports: tuple[tuple[str, Ports], ...],
    exit_when_drained: bool,
    as_json: bool,
) -> None:
    """Serve CAPTURES in the venue's own protocol over WebSocket and REST.

    Several files of one instrument play as one stream, different instruments are merged in time
    order. Progress stands at /replay/status of every REST address.
    """
    options = ReplayOptions(
        speed=speed,
        wait_for=wait_for,
        settle_s=settle_s,
        pause_when_alone=pause_when_alone,
        ports=dict(ports),
    )
    try:
        asyncio.run(_serve(list(captures), options, stop_at_end=exit_when_drained, as_json=as_json))
    except CaptureError as error:
        raise click.ClickException(str(error)) from None


async def _serve(
    captures: list[Path], options: ReplayOptions, *, stop_at_end: bool, as_json: bool
) -> None:
    if not as_json:
        click.echo("reading the captures …", err=True)
    running = Replay.of(captures, options)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await running.start()
    try:
        _show_addresses(running, as_json=as_json)
        await _follow(running, stopped, stop_at_end=stop_at_end, as_json=as_json)
    finally:
        await running.stop()


async def _follow(
    running: Replay, stopped: asyncio.Event, *, stop_at_end: bool, as_json: bool
) -> None:
    ending = asyncio.create_task(running.drained())
    stopping = asyncio.create_task(stopped.wait())
    awaited = {ending, stopping}
    while not stopping.done():
        await asyncio.wait(awaited, timeout=_PROGRESS_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        _show_progress(running, as_json=as_json)
        if ending in awaited and ending.done():
            await ending
            awaited.discard(ending)
            if stop_at_end:
                break
            await stopping
    for task in (ending, stopping):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _show_addresses(running: Replay, *, as_json: bool) -> None:
    if as_json:
        venues = {
            venue: {
                "ws": server.ws_url,
                "rest": server.rest_url,
                "instruments": running.instruments(venue),
            }
            for venue, server in running.servers.items()
        }
        click.echo(json.dumps({"venues": venues, "frames": running.timeline.total}))
        return
    for venue, server in running.servers.items():
        click.echo(f"{venue:<13} {server.ws_url}  {server.rest_url}  /replay/status")
        click.echo(f"{'':<13} {' '.join(running.instruments(venue))}")
    for note in running.timeline.notes:
        click.echo(note)


def _show_progress(running: Replay, *, as_json: bool) -> None:
    status = running.status()
    if as_json:
        progress = {"position": status.position, "total": status.total, "sent": status.sent}
        click.echo(json.dumps({"state": status.state.value, **progress}))
    else:
        share = 100 * status.position / status.total
        click.echo(
            f"{status.state.value}: {status.position:,} of {status.total:,} frames "
            f"({share:.0f} %), {status.sent:,} sent"
        )
