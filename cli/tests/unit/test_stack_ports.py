"""Choosing loopback ports."""

from __future__ import annotations

import random
import socket

import pytest

from teleglas_cli.stack import ports
from teleglas_cli.stack.ports import LOOPBACK, NoFreePortError, free_ports, is_free


def test_chosen_ports_are_distinct_and_bindable() -> None:
    """Several ports at once never collide."""
    chosen = free_ports(10)
    assert len(set(chosen)) == 10
    assert all(is_free(port) for port in chosen)


def test_taken_port_is_passed_over() -> None:
    """A port on which something listens is not chosen, even when the draw falls on it."""
    (first,) = free_ports(1, random.Random(7))
    with socket.create_server((LOOPBACK, first)):
        assert not is_free(first)
        assert free_ports(1, random.Random(7)) != [first]


def test_ports_stay_below_those_for_outgoing_connections() -> None:
    """A restarted server must not find its port taken by a client's connection."""
    assert max(free_ports(20)) < 32_768


def test_full_range_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is free the error says how many were wanted and found."""
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(NoFreePortError, match=r"expected 2 free ports .* found 0"):
        free_ports(2)
