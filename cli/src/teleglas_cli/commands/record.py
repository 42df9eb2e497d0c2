"""`teleglas record`: keep what a venue sends, in files that `teleglas replay` serves."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path

import click

from teleglas_sim.replay.capture_writer import CaptureWriter
from teleglas_sim.replay.record_plan import DEFAULT_URLS, PREFIXES, default_streams, plan
from teleglas_sim.replay.recorder import Recorder, RecorderOptions

__all__ = ["record"]

_MEGABYTE = 1 << 20
_PROGRESS_EVERY_S = 1.0


@click.command()
@click.option("--venue", type=click.Choice(sorted(DEFAULT_URLS)), required=True)
@click.option(
    "--symbol", "symbols", multiple=True, help="The venue's own name; trades, book, best quote."
)
@click.option("--stream", "streams", multiple=True, help="btcusdt@trade; OKX: trades-all:BTC-USDT.")
@click.option("--ws-url", help="Base URL without a path. Default: the venue's own.")
@click.option("--rest-url", help="Base URL without a path. Default: the venue's own.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), show_default=True
)
@click.option("--rotate-mb", type=click.IntRange(min=1), default=1024, show_default=True)
@click.option("--snapshot-every", "snapshot_every_s", type=float, default=600.0, show_default=True)
@click.option("--for", "duration_s", type=float, help="Stop after so many seconds.")
def record(
    venue: str,
    symbols: tuple[str, ...],
    streams: tuple[str, ...],
    ws_url: str | None,
    rest_url: str | None,
    out: Path,
    rotate_mb: int,
    snapshot_every_s: float,
    duration_s: float | None,
) -> None:
    """Record public streams of a VENUE until Ctrl-C, one compressed file per instrument and day."""
    names = [*streams, *(name for symbol in symbols for name in default_streams(venue, symbol))]
    if not names:
        raise click.UsageError("expected at least one --symbol or --stream, there was none")
    out.mkdir(parents=True, exist_ok=True)
    default_ws, default_rest = DEFAULT_URLS[venue]
    writer = CaptureWriter(out, PREFIXES[venue], rotate_mb * _MEGABYTE)
    recorder = Recorder(
        RecorderOptions(venue, ws_url or default_ws, rest_url or default_rest, snapshot_every_s),
        plan(venue, list(dict.fromkeys(names))),
        writer,
        time.time_ns,
    )
    asyncio.run(_until_stopped(recorder, duration_s))
    for path in writer.paths:
        click.echo(str(path))
    click.echo(
        f"{recorder.frames:,} frames, {recorder.answers} REST answers, "
        f"{recorder.failed_answers} failed, {recorder.reconnects} reconnects"
    )


async def _until_stopped(recorder: Recorder, duration_s: float | None) -> None:
    recording = asyncio.create_task(recorder.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, recording.cancel)
    if duration_s is not None:
        loop.call_later(duration_s, recording.cancel)
    while not recording.done():
        await asyncio.wait({recording}, timeout=_PROGRESS_EVERY_S)
        click.echo(f"{recorder.frames:,} frames, {recorder.answers} REST answers")
    with suppress(asyncio.CancelledError):
        await recording
