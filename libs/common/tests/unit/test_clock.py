import asyncio
import random

import pytest

from teleglas_common.clock import ManualClock, SystemClock
from teleglas_common.retry import Backoff, retry
from teleglas_common.testing import eventually


async def test_sleepers_wake_when_a_manual_clock_reaches_them() -> None:
    """A test moves time on; who is due runs, who is not waits."""
    clock, woken = ManualClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (10, 30)]
    await asyncio.sleep(0)
    began_ns = clock.now_ns()
    await clock.advance(10)
    assert woken == [10]
    await clock.advance(25)
    await asyncio.gather(*tasks)
    assert woken == [10, 30]
    assert clock.now_ns() - began_ns == 35_000_000_000


async def test_a_system_clock_moves_by_itself() -> None:
    """Both of its times go on while somebody sleeps."""
    clock = SystemClock()
    wall_ns, elapsed_s = clock.now_ns(), clock.monotonic_s()
    await clock.sleep(0.001)
    assert clock.now_ns() > wall_ns
    assert clock.monotonic_s() > elapsed_s


def test_waits_double_up_to_their_bound() -> None:
    """Full jitter: anything from nothing to the whole wait."""
    backoff = Backoff(tries=9, first_s=0.1, max_s=1.0)
    assert [backoff.wait_s(n, 0.999_999) for n in (1, 2, 3, 9)] == pytest.approx(
        [0.1, 0.2, 0.4, 1.0], rel=1e-5
    )
    assert backoff.wait_s(5, 0.0) == 0.0


async def test_retries_wait_on_the_clock_that_they_are_given() -> None:
    """Nothing is tried again before its time, and a success ends it."""
    clock, tries = ManualClock(), []

    async def attempt() -> str:
        tries.append(clock.monotonic_s())
        if len(tries) < 3:
            raise OSError("down")
        return "up"

    backoff = Backoff(tries=5, first_s=10.0, max_s=10.0)
    running = asyncio.create_task(
        retry(attempt, OSError, backoff=backoff, clock=clock, rng=random.Random(7))
    )
    await eventually(lambda: len(tries) == 1)
    for _ in range(20):
        await clock.advance(1.0)
    assert await running == "up"
    assert len(tries) == 3
    assert 0 < tries[1] <= 11
    assert tries[1] <= tries[2] <= tries[1] + 11


async def test_eventually_gives_what_it_waited_for_and_says_what_was_missing() -> None:
    """The last failure of the assertion comes out, not a bare timeout."""
    seen = iter([0, 0, 7])
    assert await eventually(lambda: next(seen)) == 7

    def never() -> None:
        raise AssertionError("expected 5 trades, found 3")

    with pytest.raises(AssertionError, match="found 3"):
        await eventually(never, timeout_s=0.05)
