"""Silent partitions are left out of most requests of a busy client, and never forgotten."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from teleglas_common.bus.kafka.sparing import ASKED_EVERY_S, SILENT_AFTER_S, Sparing

LOUD, SILENT, HELD = "loud", "silent", "held"


class Fetcher:
    """Asks for every partition that is not in hand, as aiokafka's does."""

    def __init__(self) -> None:
        self._records: dict[str, object] = {}

    def _get_actions_per_node(self, assignment: Any) -> tuple[list[str], list[str]]:
        return [name for name in assignment.tps if assignment.state_value(name)], []


class Client:
    """A busy client at a time that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.is_busy = True
        self.fetcher = Fetcher()
        client: Any = SimpleNamespace(_fetcher=self.fetcher)
        self.sparing = Sparing(client, lambda: self.is_busy, lambda: self.now_s)

    def asks_for(self) -> list[str]:
        assignment = SimpleNamespace(tps=[LOUD, SILENT, HELD], state_value=lambda _: True)
        return self.fetcher._get_actions_per_node(assignment)[0]


@pytest.fixture
def client() -> Client:
    """One that has just asked for all, when only one partition has spoken lately."""
    client = Client()
    client.now_s += SILENT_AFTER_S
    client.sparing.spoke([LOUD])
    assert client.asks_for() == [LOUD, SILENT, HELD]
    return client


def test_all_are_asked_for_until_it_is_known_who_speaks() -> None:
    client = Client()
    client.sparing.spoke([LOUD])
    client.now_s += SILENT_AFTER_S / 2
    assert client.asks_for() == [LOUD, SILENT, HELD]


def test_between_two_requests_for_all_only_those_that_speak_are_asked_for(client: Client) -> None:
    assert client.asks_for() == [LOUD]
    client.now_s += ASKED_EVERY_S
    assert client.asks_for() == [LOUD, SILENT, HELD]
    assert client.asks_for() == [LOUD]


def test_a_partition_speaks_until_it_was_silent_for_long(client: Client) -> None:
    client.sparing.spoke([SILENT])
    assert client.asks_for() == [LOUD, SILENT]
    client.now_s += SILENT_AFTER_S
    client.sparing.spoke([LOUD])
    client.asks_for()
    assert client.asks_for() == [LOUD]


def test_what_waits_in_hand_is_looked_at(client: Client) -> None:
    client.fetcher._records[HELD] = object()
    assert client.asks_for() == [LOUD, HELD]


def test_a_quiet_client_asks_for_all(client: Client) -> None:
    client.is_busy = False
    assert client.asks_for() == [LOUD, SILENT, HELD]


def test_where_none_speaks_all_are_asked_for(client: Client) -> None:
    client.now_s += SILENT_AFTER_S
    client.asks_for()
    assert client.asks_for() == [LOUD, SILENT, HELD]
