"""The venues that ingest connects to: the simulator, a capture, or the real ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from teleglas_cli.stack.process import ManagedProcess, ProcessError, log_tail
from teleglas_cli.up.options import Options, Source

__all__ = ["VenueUrls", "capture_drained", "source_process", "venue_urls"]

VenueUrls = dict[str, dict[str, str]]
"""Venue → {"ws": …, "rest": …}."""

PROBE_TIMEOUT_S = 5.0
URLS_TIMEOUT_S = 120.0
SETTLE_S = 3.0


def source_process(options: Options, env: Mapping[str, str], logs: Path) -> ManagedProcess | None:
    """What serves the venues' protocols on this machine; None when the real venues do."""
    log = logs / "venues.log"
    match options.source:
        case Source.LIVE:
            return None
        case Source.SIMULATOR:
            argv = [sys.executable, "-m", "teleglas_sim"]
            argv += ["--seed", str(options.seed), "--rate", str(options.rate)]
            argv += ["--truth", str(options.state_dir / "truth.jsonl"), "--truth-planted-only"]
        case Source.CAPTURE:
            argv = [sys.executable, "-m", "teleglas_cli.main", "replay", "--json"]
            argv += ["--speed", options.speed, "--settle", str(SETTLE_S), "--pause-when-alone"]
            argv += [str(path) for path in options.captures]
    log.unlink(missing_ok=True)
    return ManagedProcess(
        "venues",
        argv,
        env,
        log,
        lambda: _announced(log),
        ready_timeout_s=URLS_TIMEOUT_S,
    )


async def _announced(log: Path) -> bool:
    return await asyncio.to_thread(_announcement, log) is not None


def _announcement(log: Path) -> VenueUrls | None:
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("{") and '"venues"' in line and line.endswith("\n"):
                found: VenueUrls = json.loads(line)["venues"]
                return found
    return None


async def venue_urls(logs: Path) -> VenueUrls:
    """The addresses that the source printed when it was ready."""
    found = await asyncio.to_thread(_announcement, logs / "venues.log")
    if found is None:
        raise ProcessError(f"expected the venues' URLs, found:\n{log_tail(logs / 'venues.log')}")
    return found


async def capture_drained(urls: VenueUrls) -> bool:
    """Whether every frame of the capture has been sent."""
    rest = next(iter(urls.values()))["rest"]
    timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
    url = f"{rest}/replay/status"
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        status = await response.json()
    return bool(status["state"] == "drained")
