"""Child processes: started in a session of their own, logged to a file, ended as a whole tree."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

__all__ = [
    "Backoff",
    "ManagedProcess",
    "ProcessError",
    "ProcessReport",
    "Supervisor",
    "launch_command",
    "log_tail",
    "tree_rss_mb",
]

_LAUNCHER: Final = Path(__file__).with_name("launch.py")
_POLL_S: Final = 0.05
_POLITE: Final = 10
"""The niceness of who gives way: a tenth of what others get, while they want it."""

Ready = Callable[[], Awaitable[bool]]


class ProcessError(RuntimeError):
    """A child did not start, did not become ready in time, or did not end."""


def launch_command(
    argv: Sequence[str], *, death_signal: int, unprivileged: bool = False, watch: bool = False
) -> list[str]:
    """Wrap a command so that it ends with this process; see `launch.py`."""
    command = [sys.executable, "-I", "-S", str(_LAUNCHER), "--parent", str(os.getpid())]
    command += ["--signal", str(int(death_signal))]
    if unprivileged:
        command.append("--unprivileged")
    if watch:
        command.append("--watch")
    return [*command, "--", *argv]


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    if not path.is_file():
        return "(no log)"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        text = file.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def tree_rss_mb(pid: int) -> float:
    """Resident memory of a process and everything below it, in MB.

    On Linux a page that several processes hold counts in each by its share, so that sums over
    processes are what the machine has really given them; elsewhere it counts in each as a whole.
    """
    total_bytes = 0
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            total_bytes += _proportional_bytes(member.pid) or member.memory_info().rss
    return total_bytes / 1e6


def _proportional_bytes(pid: int) -> int:
    """The kernel's proportional set size; 0 where it does not tell."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _give_way(pid: int) -> None:
    """Every thread there is; what they start inherits it."""
    with contextlib.suppress(psutil.NoSuchProcess, OSError):
        root = psutil.Process(pid)
        for member in [root, *root.children(recursive=True)]:
            for thread in member.threads():
                os.setpriority(os.PRIO_PROCESS, thread.id, _POLITE)


class ManagedProcess:
    """One child program.

    `ready` is asked until it says yes; an exit before that, or `ready_timeout_s`, raises
    `ProcessError` with the end of the log. `stop` sends `stop_signal` and, after its grace, SIGKILL
    to the whole process group. `death_signal` is what the child gets when this process dies. Who
    `gives_way` yields the processor to the others once it is ready.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        log_path: Path,
        ready: Ready | None = None,
        *,
        cwd: Path | None = None,
        ready_timeout_s: float = 30.0,
        stop_signal: int = signal.SIGTERM,
        death_signal: int = signal.SIGKILL,
        unprivileged: bool = False,
        watch: bool = False,
        gives_way: bool = False,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.env = None if env is None else dict(env)
        self.log_path = log_path
        self.ready_s = 0.0
        self._ready = ready
        self._cwd = cwd
        self._ready_timeout_s = ready_timeout_s
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._unprivileged = unprivileged
        self._watch = watch
        self._gives_way = gives_way
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.running and self._process is not None else None

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.returncode

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the program and wait until it is ready."""
        if self.running:
            raise ProcessError(f"{self.name}: expected to be stopped, runs as {self.pid}")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        command = launch_command(
            self.argv,
            death_signal=self._death_signal,
            unprivileged=self._unprivileged,
            watch=self._watch,
        )
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=self.env,
                cwd=self._cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            await self._wait_ready()
        except BaseException:
            await self.kill9()
            raise
        if self._gives_way and self.pid is not None:
            _give_way(self.pid)
        self.ready_s = time.monotonic() - began

    async def _wait_ready(self) -> None:
        if self._ready is None:
            return
        deadline = time.monotonic() + self._ready_timeout_s
        while True:
            is_ready = await self._ready()
            if not self.running:
                raise ProcessError(
                    f"{self.name}: expected to become ready, exited with {self.returncode}; "
                    f"{self.log_path} ends:\n{log_tail(self.log_path)}"
                )
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise ProcessError(
                    f"{self.name}: expected ready within {self._ready_timeout_s:g} s, was not; "
                    f"{self.log_path} ends:\n{log_tail(self.log_path)}"
                )
            await asyncio.sleep(_POLL_S)

    async def wait(self) -> int:
        """Wait until the program ends and return its exit code (negative: the signal)."""
        if self._process is None:
            raise ProcessError(f"{self.name}: expected to have been started, was not")
        return await self._process.wait()

    async def stop(self, grace_s: float = 10.0) -> int | None:
        """Ask the program to end, insist after `grace_s`; returns its exit code."""
        if self._process is None:
            return None
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self._stop_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
        await self.kill9()
        return self.returncode

    async def kill9(self) -> None:
        """SIGKILL the whole process group and wait until it is gone."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def restart(self, grace_s: float = 10.0) -> None:
        await self.stop(grace_s)
        await self.start()

    def rss_mb(self) -> float:
        """Memory of the program and its children in MB; 0 when it does not run."""
        pid = self.pid
        return 0.0 if pid is None else tree_rss_mb(pid)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between restarts: doubled up to `max_s`, forgotten after `healthy_s` of running."""

    first_s: float = 0.5
    max_s: float = 15.0
    healthy_s: float = 30.0

    def delay_s(self, failures: int, jitter: float = 0.0) -> float:
        """Wait before the restart that follows the given number of failures in a row (from 1)."""
        base_s = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 16))
        return float(base_s * (1.0 + 0.2 * jitter))


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What happened to a supervised child: `died`, `restarted` or `restart_failed`."""

    name: str
    event: str
    detail: str
    restarts: int


class Supervisor:
    """Restarts a child that dies, with back-off, and reports each step."""

    def __init__(
        self,
        process: ManagedProcess,
        report: Callable[[ProcessReport], None],
        *,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._process = process
        self._report = report
        self._backoff = backoff or Backoff()
        self._rng = rng or random.Random()
        self.restarts = 0

    async def run(self) -> None:
        """Watch a started child until cancelled; stopping the child is left to the caller."""
        failures = 0
        while True:
            began = time.monotonic()
            code = await self._process.wait()
            healthy = time.monotonic() - began >= self._backoff.healthy_s
            failures = 1 if healthy else failures + 1
            self._say("died", f"exit code {code}")
            while not await self._try_restart(failures):
                failures += 1

    async def _try_restart(self, failures: int) -> bool:
        await asyncio.sleep(self._backoff.delay_s(failures, self._rng.random()))
        self.restarts += 1
        try:
            await self._process.restart()
        except (ProcessError, OSError) as error:
            self._say("restart_failed", str(error))
            return False
        self._say("restarted", f"after {failures} failure(s)")
        return True

    def _say(self, event: str, detail: str) -> None:
        self._report(ProcessReport(self._process.name, event, detail, self.restarts))
