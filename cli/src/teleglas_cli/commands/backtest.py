"""`teleglas backtest`: the scorer's own command, over the past that one names."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import click

from teleglas_cli.commands.tools import PASS_ON, hand_on
from teleglas_cli.running import NotRunningError, Running
from teleglas_cli.up.live import Flow
from teleglas_cli.up.options import Options, Source
from teleglas_cli.up.play import QUIET_TICKS, caught_up, played
from teleglas_cli.up.product import Product

__all__ = ["backtest"]

MODULE = "teleglas_signal_scorer.backtest"
SOURCES = ("--kafka", "--candles", "--help", "-h")
"""Who says one of these knows where the data is, or wants to."""
NOT_NEEDED = ("signal-scorer", "prediction", "notification")
"""Nobody reads the scores here, and the engine runs in the command."""


@click.command(context_settings=PASS_ON)
@click.option("--capture", "captures", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def backtest(captures: tuple[Path, ...], arguments: tuple[str, ...]) -> None:
    """Run the scorer's own engine over the past: `teleglas backtest --help`.

    Over candle files, over the topics of a product (by default those of the running one), or, with
    --capture, over what ingest, market-data and whale-detector make of a recording: they are
    started for it and stopped again, and the scores are those of a live run over it.
    """
    if captures:
        raise SystemExit(asyncio.run(_of_captures(captures, arguments)))
    raise SystemExit(hand_on(MODULE, (*_source(arguments), *arguments)))


def _source(arguments: Sequence[str]) -> tuple[str, ...]:
    """The running stack's log, where no argument names another source."""
    named = any(argument.partition("=")[0] in SOURCES for argument in arguments)
    if named or any(Path(argument).exists() for argument in arguments):
        return ()
    try:
        return ("--kafka", Running.read().kafka_bootstrap)
    except NotRunningError:
        return ()


async def _of_captures(captures: tuple[Path, ...], arguments: Sequence[str]) -> int:
    async with _topics_of(captures) as bootstrap:
        return await asyncio.to_thread(hand_on, MODULE, ("--kafka", bootstrap, *arguments))


@asynccontextmanager
async def _topics_of(captures: tuple[Path, ...]) -> AsyncIterator[str]:
    """Play captures through a product of its own; yields where its topics are."""
    with tempfile.TemporaryDirectory(prefix="teleglas-backtest-") as folder:
        options = Options(
            state_dir=Path(folder) / Source.CAPTURE.value,
            source=Source.CAPTURE,
            captures=captures,
            without=NOT_NEEDED,
        )
        product = Product(options, lambda text: print(text, file=sys.stderr))
        await product.start()
        try:
            async with aclosing(Flow(product.bus, product.services)) as flow:
                await played(product, flow)
                await product.stop_part("ingest")
                if not await caught_up(product, flow, QUIET_TICKS):
                    raise click.ClickException("services had not caught up with the capture")
            yield product.stack.kafka_bootstrap
        finally:
            await product.stop()
