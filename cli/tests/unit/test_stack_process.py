"""Supervision of child processes, tried on small Python programs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from teleglas_cli.stack.process import (
    Backoff,
    ManagedProcess,
    ProcessError,
    ProcessReport,
    Supervisor,
    launch_command,
    log_tail,
)

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
PARENT_OF_TWO = (
    "import subprocess, sys; "
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(p.pid, flush=True); p.wait()"
)


def child(
    tmp_path: Path, code: str, *, watch: bool = False, gives_way: bool = False, **options: float
) -> ManagedProcess:
    log_path = tmp_path / "logs" / "child.log"

    async def ready() -> bool:
        return log_path.is_file() and log_path.stat().st_size > 0

    return ManagedProcess(
        "child",
        [sys.executable, "-I", "-S", "-c", code],
        None,
        log_path,
        ready,
        watch=watch,
        gives_way=gives_way,
        ready_timeout_s=options.get("ready_timeout_s", 20.0),
    )


@asynccontextmanager
async def started(process: ManagedProcess) -> AsyncIterator[ManagedProcess]:
    await process.start()
    try:
        yield process
    finally:
        await process.kill9()


@pytest.mark.parametrize("watch", [False, True])
async def test_child_runs_until_it_is_stopped(tmp_path: Path, watch: bool) -> None:
    """A ready child has a pid and memory; a stopped one has neither and leaves no process."""
    async with started(child(tmp_path, SLEEPER, watch=watch)) as process:
        pid = process.pid
        assert pid is not None
        assert process.rss_mb() > 1
        await process.stop()
        assert not psutil.pid_exists(pid)
    assert (process.pid, process.rss_mb()) == (None, 0.0)
    assert process.returncode == -signal.SIGTERM % 256 or process.returncode == -signal.SIGTERM


async def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """The grace is bounded."""
    async with started(child(tmp_path, STUBBORN)) as process:
        assert await process.stop(grace_s=0.1) == -signal.SIGKILL


async def test_grandchildren_go_too(tmp_path: Path) -> None:
    """The whole group is ended, not only its first process."""
    async with started(child(tmp_path, PARENT_OF_TWO)) as process:
        grandchild = psutil.Process(int(process.log_path.read_text()))
        await process.stop(grace_s=1)
        psutil.wait_procs([grandchild], timeout=5)
        assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


async def test_who_gives_way_does_so_with_all_its_threads_and_children(tmp_path: Path) -> None:
    """Once it is ready: its start is not slowed down."""
    process = child(tmp_path, PARENT_OF_TWO, gives_way=True)
    async with started(process):
        assert process.pid is not None
        grandchild = int(process.log_path.read_text())
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in (process.pid, grandchild)] == [
            10,
            10,
        ]


async def test_exit_before_ready_shows_the_log(tmp_path: Path) -> None:
    """The error carries the exit code and the end of what the child said."""
    process = child(tmp_path, "raise SystemExit('no configuration')")
    process.log_path.parent.mkdir()
    process = ManagedProcess("child", process.argv, None, process.log_path, never)
    with pytest.raises(ProcessError, match=r"exited with 1(.|\n)*no configuration"):
        await process.start()


async def never() -> bool:
    return False


async def test_not_ready_in_time_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A child that hangs at its start is ended."""
    process = ManagedProcess(
        "child",
        [sys.executable, "-c", SLEEPER],
        None,
        tmp_path / "log",
        never,
        ready_timeout_s=0.2,
    )
    with pytest.raises(ProcessError, match=r"expected ready within 0.2 s"):
        await process.start()
    assert not process.running


async def test_restart_gives_a_new_process(tmp_path: Path) -> None:
    """The same object runs again under another pid."""
    async with started(child(tmp_path, SLEEPER)) as process:
        before = process.pid
        await process.restart()
        assert process.pid not in (None, before)


async def test_second_start_is_refused(tmp_path: Path) -> None:
    """One object never owns two processes."""
    async with started(child(tmp_path, SLEEPER)) as process:
        with pytest.raises(ProcessError, match="expected to be stopped"):
            await process.start()


@pytest.mark.parametrize("watch", [False, True])
def test_child_dies_with_its_parent(watch: bool) -> None:
    """Even when the parent is killed and can clean up nothing."""
    code = (
        "import subprocess, sys, time; "
        "from teleglas_cli.stack.process import launch_command; "
        f"command = launch_command([sys.executable, '-c', {SLEEPER!r}], "
        f"death_signal=9, watch={watch}); "
        "p = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True); "
        "p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        launched = psutil.Process(int(parent.stdout.readline()))
        family = [launched, *launched.children()]
        parent.kill()
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert len(gone) + len(alive) == (2 if watch else 1)


def test_launch_command_names_its_parent() -> None:
    """The launcher compares this with who its parent is, in case we died meanwhile."""
    command = launch_command(["/bin/true", "--flag"], death_signal=15, unprivileged=True)
    assert command[command.index("--parent") + 1] == str(os.getpid())
    assert "--unprivileged" in command
    assert command[-3:] == ["--", "/bin/true", "--flag"]


def test_log_tail_is_bounded(tmp_path: Path) -> None:
    """Only the end of a long log is shown."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert log_tail(log, lines=2) == "line 99998\nline 99999"
    assert log_tail(tmp_path / "none") == "(no log)"


def test_backoff_doubles_up_to_its_limit() -> None:
    """The delays of a child that keeps dying."""
    backoff = Backoff(first_s=1, max_s=5)
    assert [backoff.delay_s(failures) for failures in (1, 2, 3, 4, 400)] == [1, 2, 4, 5, 5]
    assert backoff.delay_s(1, jitter=1.0) == pytest.approx(1.2)


async def test_dead_child_is_restarted_and_reported(tmp_path: Path) -> None:
    """The supervisor says that it died and that it runs again."""
    reports: asyncio.Queue[ProcessReport] = asyncio.Queue(maxsize=10)
    async with started(child(tmp_path, SLEEPER)) as process:
        supervisor = Supervisor(process, reports.put_nowait, backoff=Backoff(first_s=0.01))
        task = asyncio.create_task(supervisor.run())
        try:
            await process.kill9()
            seen = [await asyncio.wait_for(reports.get(), 10) for _ in range(2)]
            assert [report.event for report in seen] == ["died", "restarted"]
            assert seen[0].detail == "exit code -9"
            assert process.running
        finally:
            task.cancel()


async def test_child_that_cannot_start_is_tried_again(tmp_path: Path) -> None:
    """Each failed restart is reported, and the supervisor goes on."""
    reports: asyncio.Queue[ProcessReport] = asyncio.Queue(maxsize=10)
    flag = tmp_path / "broken"
    code = f"import os; os.path.exists({str(flag)!r}) and os._exit(3); {SLEEPER}"
    async with started(child(tmp_path, code)) as process:
        supervisor = Supervisor(process, reports.put_nowait, backoff=Backoff(first_s=0.01))
        task = asyncio.create_task(supervisor.run())
        try:
            flag.touch()
            process.log_path.unlink()
            await process.kill9()
            seen = [await asyncio.wait_for(reports.get(), 10) for _ in range(3)]
            assert [r.event for r in seen] == ["died", "restart_failed", "restart_failed"]
            flag.unlink()
            while (await asyncio.wait_for(reports.get(), 10)).event != "restarted":
                pass
        finally:
            task.cancel()
