"""The chat that alerts go to: a Bot API server on this machine, or Telegram with a token."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teleglas_cli.stack.process import ManagedProcess
from teleglas_cli.up.services import Layout, answers

__all__ = ["Chat", "chat_of"]

TOKEN_VARIABLE = "TELEGRAM_TOKEN"  # noqa: S105  # the name of a variable
WATCH_VARIABLE = "TELEGLAS_TELEGRAM__DEFAULT_WATCH"
READY_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Chat:
    """What notification must know. `process` serves the chat where it is a local one."""

    settings: Mapping[str, str]
    url: str
    process: ManagedProcess | None


def chat_of(layout: Layout, logs: Path, environment: Mapping[str, str] = os.environ) -> Chat:
    """The real Telegram if the environment has a token, else a chat of our own.

    A token goes from environment to environment only: command lines are for everyone to read.
    """
    token = environment.get(TOKEN_VARIABLE, "")
    if token:
        return Chat({"TELEGLAS_TELEGRAM__TOKEN": token}, "", None)
    number, secret = 10**9 + secrets.randbelow(10**9), secrets.token_hex(18)[:35]
    token = f"{number}:{secret}"
    url = layout.chat_url
    process = ManagedProcess(
        "botapi",
        [sys.executable, "-m", "teleglas_sim.botapi", "--port", str(layout.chat_port)],
        {**environment, "PYTHONUNBUFFERED": "1", "TELEGLAS_BOTAPI_TOKEN": token},
        logs / "botapi.log",
        lambda: answers(f"{url}/ready"),
        ready_timeout_s=READY_TIMEOUT_S,
    )
    settings = {
        "TELEGLAS_TELEGRAM__TOKEN": token,
        "TELEGLAS_TELEGRAM__API_URL": url,
        "TELEGLAS_TELEGRAM__DEFAULT_WATCH": environment.get(WATCH_VARIABLE, "whale,liquidation"),
    }
    return Chat(settings, url, process)
