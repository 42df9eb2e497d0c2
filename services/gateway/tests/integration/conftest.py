"""Fixtures of the gateway's integration tests."""

from __future__ import annotations

import pytest
import uvloop


@pytest.fixture
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The loop that the service runs on."""
    return uvloop.EventLoopPolicy()
