"""`python -m teleglas_sim`: one JSON line with the URLs, then it runs until it is told to stop."""

import asyncio
import gc
import json
import os
import signal
import sys
import time

import uvloop

from teleglas_sim.settings import Settings, parse_settings
from teleglas_sim.simulator import Simulator

__all__ = ["main", "serve"]


def main() -> None:
    """Run with the flags of the command line."""
    try:
        settings = parse_settings(sys.argv[1:], os.environ)
    except ValueError as error:
        sys.exit(f"teleglas_sim: {error}")
    # Books and histories live long: by default the collector walks through them all the time.
    gc.set_threshold(100_000, 20, 20)
    uvloop.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until the market fails."""
    simulator = Simulator(settings, clock_ms=lambda: time.time_ns() // 1_000_000)
    await simulator.start()
    ready = {"ready": True, "pid": os.getpid(), "seed": settings.seed, "venues": simulator.urls()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    waits = [asyncio.create_task(stopped.wait()), asyncio.create_task(simulator.wait())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in waits:
            task.cancel()
        await simulator.stop()
