"""Which topics are not waited for."""

from __future__ import annotations

from teleglas_common.clock import ManualClock
from teleglas_common.silences import IDLE_S, Silences


async def test_a_topic_is_idle_when_only_the_others_speak() -> None:
    clock = ManualClock()
    silences = Silences(clock)
    silences.heard("books")
    for _ in range(int(IDLE_S) + 1):
        assert not silences.is_idle("books")
        silences.heard("trades")
        await clock.advance(1.0)
    assert silences.is_idle("books")
    assert not silences.is_idle("trades")
    silences.heard("books")
    assert not silences.is_idle("books")


async def test_a_topic_that_was_never_heard_is_waited_for_as_long() -> None:
    clock = ManualClock()
    silences = Silences(clock)
    assert not silences.is_idle("books")
    for _ in range(int(IDLE_S) + 1):
        silences.heard("trades")
        await clock.advance(1.0)
    assert silences.is_idle("books")


async def test_after_a_pause_of_all_the_first_does_not_make_the_others_idle() -> None:
    clock = ManualClock()
    silences = Silences(clock)
    silences.heard("books")
    await clock.advance(1.0)
    silences.heard("trades")
    await clock.advance(2 * IDLE_S)
    silences.heard("trades")
    assert not silences.is_idle("books")
    for _ in range(int(IDLE_S)):
        await clock.advance(1.0)
        silences.heard("trades")
    assert silences.is_idle("books")


async def test_while_nothing_comes_at_all_nothing_is_waited_for() -> None:
    clock = ManualClock()
    silences = Silences(clock)
    silences.heard("books")
    silences.heard("trades")
    await clock.advance(IDLE_S + 1.0)
    assert silences.is_idle("trades")


async def test_a_topic_is_idle_although_the_others_speak_rarely() -> None:
    """A market that stands still is marked every three seconds."""
    clock = ManualClock()
    silences = Silences(clock)
    silences.heard("books")
    for _ in range(6):
        await clock.advance(3.0)
        silences.heard("trades")
    assert silences.is_idle("books")
    assert not silences.is_idle("trades")
