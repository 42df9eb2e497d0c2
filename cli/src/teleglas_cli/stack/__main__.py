"""`python -m teleglas_cli.stack --state DIR`: the three servers alone, for tests and experiments.

Prints their addresses as one line of JSON when all are ready, writes the same to DIR/stack.json,
and stops on SIGINT or SIGTERM. Tests use a running one when TELEGLAS_TEST_STACK names that file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from teleglas_cli.stack.jars import JarProgress
from teleglas_cli.stack.local import LocalStack


def show_progress(step: JarProgress) -> None:
    print(
        f"Apache Kafka: {step.done_jars}/{step.total_jars} jars, "
        f"{step.done_bytes / 1e6:.1f} of {step.total_bytes / 1e6:.1f} MB",
        file=sys.stderr,
    )


def write_state(path: Path, text: str) -> None:
    """Put the file there as a whole, readable by its owner alone (it holds passwords)."""
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.touch(mode=0o600)
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


async def run(state_dir: Path) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    state_file = state_dir / "stack.json"
    began = time.monotonic()
    stack = LocalStack(state_dir, progress=show_progress)
    starting = asyncio.ensure_future(stack.start())
    stopping = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        await starting
        text = json.dumps({**stack.addresses.as_dict(), "pid": os.getpid()})
        write_state(state_file, text + "\n")
        print(text, flush=True)
        print(f"ready in {time.monotonic() - began:.1f} s, {stack.rss_mb()} MB", file=sys.stderr)
        await stopping
    finally:
        state_file.unlink(missing_ok=True)
        starting.cancel()
        stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await stack.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m teleglas_cli.stack", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory of data and logs")
    state_dir: Path = parser.parse_args().state.absolute()
    state_dir.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(state_dir))


if __name__ == "__main__":
    main()
