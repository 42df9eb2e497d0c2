"""`python -m teleglas_sim.botapi --port N --token TOKEN`: one JSON line with its URLs, then it runs
until it is told to stop. TELEGLAS_BOTAPI_HOST, TELEGLAS_BOTAPI_PORT and TELEGLAS_BOTAPI_TOKEN are
read as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from teleglas_sim.botapi.server import BotApiServer

__all__ = ["main", "serve"]

DEFAULT_TOKEN = "110201543:local-chat-without-any-account"  # noqa: S105 - opens nothing


def parsed(argv: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="teleglas_sim.botapi", description=__doc__)
    parser.add_argument(
        "--host",
        default=environment.get("TELEGLAS_BOTAPI_HOST") or "127.0.0.1",
        help="address to listen on",
    )
    parser.add_argument(
        "--port", type=int, default=int(environment.get("TELEGLAS_BOTAPI_PORT") or 0)
    )
    parser.add_argument(
        "--token", default=environment.get("TELEGLAS_BOTAPI_TOKEN") or DEFAULT_TOKEN
    )
    parser.add_argument(
        "--no-newcomer", action="store_true", help="begin without a chat that has sent /start"
    )
    return parser.parse_args(argv)


def main() -> None:
    """Run with the flags of the command line."""
    given = parsed(sys.argv[1:], os.environ)
    server = BotApiServer(given.token, host=given.host, port=given.port)
    if not given.no_newcomer:
        server.chats.greet()
    asyncio.run(serve(server))


async def serve(server: BotApiServer) -> None:
    """Run until SIGTERM or SIGINT."""
    await server.start()
    ready = {"ready": True, "pid": os.getpid(), "api": server.url, "page": f"{server.url}/"}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        await stopped.wait()
    finally:
        await server.stop()
