"""Fixtures of the replay's unit tests."""

from pathlib import Path

import pytest

from teleglas_sim.replay.testing import CaptureMaker


@pytest.fixture
def captures(tmp_path: Path) -> CaptureMaker:
    return CaptureMaker(tmp_path)
