"""Who must be there before the play begins."""

import asyncio

import pytest

from teleglas_sim.replay.audience import Audience
from teleglas_sim.server import Frame


class Sink:
    """A client that nobody sends anything."""

    closed = False

    def send(self, frame: Frame) -> None:
        raise AssertionError(f"expected no frame, was {frame.payload!r}")

    async def drain(self) -> None:
        """Never full."""


async def test_the_start_waits_for_so_many_streams() -> None:
    """Two clients of one stream are one stream."""
    audience = Audience(lambda: 0.0, wait_for=2, settle_s=0.0, pause_when_alone=False)
    ready = asyncio.create_task(audience.ready())
    audience.join(1, Sink())
    audience.join(1, Sink())
    await asyncio.sleep(0)
    assert not ready.done()
    audience.join(2, Sink())
    await ready


async def test_the_start_waits_until_subscriptions_settle() -> None:
    """Each new subscription begins the settle time anew."""
    now = [0.0]
    audience = Audience(lambda: now[0], wait_for=None, settle_s=1.0, pause_when_alone=False)
    audience.join(1, Sink())
    now[0] = 0.9
    audience.join(2, Sink())
    now[0] = 1.5
    assert audience._missing_s() == pytest.approx(0.4)
    now[0] = 1.9
    await audience.ready()
