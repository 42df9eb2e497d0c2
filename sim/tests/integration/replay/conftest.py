"""The recorded captures, read once per session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from teleglas_common.testing.realdata import realdata
from teleglas_sim.replay.loading import load
from teleglas_sim.replay.timeline import Timeline


def binance_files(pattern: str) -> list[Path]:
    return sorted(realdata("captures", "binance").glob(pattern))


@pytest.fixture(scope="session")
def spot_files() -> list[Path]:
    return binance_files("spot_*.gz")


@pytest.fixture(scope="session")
def usdm_files() -> list[Path]:
    return binance_files("usdm_*.gz")


@pytest.fixture(scope="session")
def okx_files() -> list[Path]:
    return [realdata("captures", "venues", "OKX.ws.1.0")]


@pytest.fixture(scope="session")
def binance_timeline(spot_files: list[Path], usdm_files: list[Path]) -> Iterator[Timeline]:
    with load([*spot_files, *usdm_files]) as timeline:
        yield timeline


@pytest.fixture(scope="session")
def okx_timeline(okx_files: list[Path]) -> Iterator[Timeline]:
    with load(okx_files) as timeline:
        yield timeline
