"""The laptop preset on a real cluster: installed, upgraded, rolled back, evicted, killed."""

from __future__ import annotations

import os
import time

import pytest

from tests.cluster.release import PARTS, TAG, Release, installed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3_600)]

NEXT_TAG = os.environ.get("TELEGLAS_CLUSTER_NEXT_TAG", "")


async def assert_kept(release: Release) -> None:
    """No trade, no alert lost; every end of a stream was followed by a resume without a hole."""
    await release.settled()
    found = await release.probe("verdict", timeout_s=1_200)
    print({name: value for name, value in found.items() if name != "stream"})  # noqa: T201
    print({name: value for name, value in found["stream"].items() if value})  # noqa: T201
    assert found["missing_named"] == 0
    assert found["messages"] > 0
    assert found["stream"]["taken"] > 0
    assert not found["stream"]["faults"]
    assert not found["stream"]["unrecovered"]
    assert not found["stream"]["refused"]


async def timed(release: Release, what: str, part: str) -> None:
    began_s = time.monotonic()
    await (release.evict(part) if what == "evicted" else release.kill(part))
    await release.back()
    flow_s = await release.flows()
    took_s = time.monotonic() - began_s
    print(f"{part} {what}: all flows again after {took_s:.0f} s (the last {flow_s:.0f})")  # noqa: T201


async def test_the_laptop_preset_installs_and_passes_its_smoke_test():
    """Under Pod Security `restricted`: ready, then a frame is seen as stream, REST and alert."""
    async with installed() as release:
        said = await release.namespace.helm("test", "teleglas", "--logs", "--timeout", "400s")
        print(said)  # noqa: T201
        for step in ("stream: trade", "REST: trade", "alert: "):
            assert step in said


async def test_an_upgrade_and_its_rollback_lose_nothing():
    """Another image under load, and back."""
    if not NEXT_TAG:
        pytest.fail("expected TELEGLAS_CLUSTER_NEXT_TAG, another tag of the images on the node")
    async with installed() as release:
        await release.flows()
        began_s = time.monotonic()
        await release.helm("upgrade", "--set", f"image.tag={NEXT_TAG}")
        print(f"upgraded in {time.monotonic() - began_s:.0f} s")  # noqa: T201
        image = (await release.namespace.pod_of("gateway"))["spec"]["containers"][0]["image"]
        assert image.endswith(f":{NEXT_TAG}")
        await release.flows()
        began_s = time.monotonic()
        await release.rollback()
        print(f"rolled back in {time.monotonic() - began_s:.0f} s")  # noqa: T201
        image = (await release.namespace.pod_of("gateway"))["spec"]["containers"][0]["image"]
        assert image.endswith(f":{TAG}")
        await release.flows()
        await assert_kept(release)


@pytest.mark.parametrize("what", ["evicted", "killed"])
async def test_each_pod_may_go_under_load(what):
    """One after the other; all resume by themselves."""
    async with installed() as release:
        await release.flows()
        for part in PARTS:
            await timed(release, what, part)
        await assert_kept(release)
