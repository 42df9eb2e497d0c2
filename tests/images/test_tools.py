"""The tools' image and the simulator's: migrations, topics, a market, a chat."""

from __future__ import annotations

import json
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from scripts.containers import PYTHON, Engine, wait_until_ready
from scripts.image_runs import SERVICES, image_name, simulator, tools_settings
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_contracts import topics
from teleglas_whale_detector.adapters.faust_topics import INTERNAL

pytestmark = [pytest.mark.images, pytest.mark.timeout(300)]


async def test_migrate_brings_every_schema_up_to_date_once(
    docker: Engine, tag: str, stack: StackAddresses, database_dsn: str
) -> None:
    """The first run applies every schema's steps and says so, the second changes nothing."""
    env = {**tools_settings(stack), "TELEGLAS_POSTGRES__DSN": database_dsn}
    runs = [docker.run(image_name("tools", tag), env, "migrate") for _ in range(2)]
    assert [run.code for run in runs] == [0, 0], runs[0].err + runs[1].err
    first, second = (run.out.splitlines() for run in runs)
    assert [line.split()[0] for line in first] == [name.replace("-", "_") for name in SERVICES]
    assert all(" applied 1" in line for line in first)
    assert all(" nothing to apply" in line for line in second)


def test_topics_are_created_and_listed(docker: Engine, tag: str, prepared: StackAddresses) -> None:
    """Creating them again finds them there; each is listed under its name."""
    env = tools_settings(prepared)
    again = docker.run(image_name("tools", tag), env, "topics", "create")
    there = len(topics.ALL) + len(INTERNAL)
    assert (again.code, again.out.split()[0]) == (0, str(there)), again.err
    listed = docker.run(image_name("tools", tag), env, "topics")
    assert [line.split()[0] for line in listed.out.splitlines()] == [t.name for t in topics.ALL]


def test_migrate_that_may_not_in_ends_with_an_error(
    docker: Engine, tag: str, stack: StackAddresses
) -> None:
    """A hook that fails must fail loudly."""
    known = urlsplit(stack.postgres_dsn)
    stranger = known._replace(netloc=f"{known.username}:wrong@{known.hostname}:{known.port}")
    outcome = docker.run(
        image_name("tools", tag), {"TELEGLAS_POSTGRES__DSN": stranger.geturl()}, "migrate"
    )
    assert outcome.code == 1
    assert "password authentication failed" in outcome.err


def test_simulator_serves_a_market_and_ends_when_told(docker: Engine, tag: str) -> None:
    """Its REST answers like the venue's, from a read-only root; SIGTERM ends it with 0."""
    with simulator(docker, tag) as (container, venue):
        rest_port = venue.split(",")[1]
        with urlopen(f"http://{LOOPBACK}:{rest_port}/api/v3/exchangeInfo", timeout=5) as answer:
            assert "BTCUSDT" in {one["symbol"] for one in json.load(answer)["symbols"]}
        assert container.terminate(10) == 0, container.logs()


def test_local_bot_api_is_the_same_image(docker: Engine, tag: str) -> None:
    """A Telegram to send alerts to where there is none."""
    (port,) = free_ports(1)
    env = {"TELEGLAS_BOTAPI_HOST": LOOPBACK, "TELEGLAS_BOTAPI_PORT": str(port)}
    entry = ("-m", "teleglas_sim.botapi")
    with docker.started(image_name("simulator", tag), env, *entry, entrypoint=PYTHON) as container:
        wait_until_ready(container, f"http://{LOOPBACK}:{port}/ready", 30.0)
        assert container.terminate(10) == 0, container.logs()
