"""Fixtures that the tests of every package share, and how tests share the processors."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ("teleglas_cli.testing",)

settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=1_000, deadline=None)
settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers: whole products run in one, one after the other; all else by file."""
    for item in items:
        file = item.nodeid.partition("::")[0]
        name = "e2e" if item.get_closest_marker("e2e") else file
        item.add_marker(pytest.mark.xdist_group(name))
