"""Market data that stays outside the repository, for tests that measure against the real thing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["REALDATA_VARIABLE", "realdata", "realdata_root"]

REALDATA_VARIABLE = "TELEGLAS_REALDATA"
_PROJECT = Path(__file__).parents[5]


def realdata_root() -> Path:
    """The folder that TELEGLAS_REALDATA names; by default it lies beside the project."""
    return Path(os.environ.get(REALDATA_VARIABLE) or _PROJECT / "../shared/data").resolve()


def realdata(*parts: str) -> Path:
    """A file or folder of the real data; skips the test, with the reason, where it is missing."""
    path = realdata_root().joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} in {REALDATA_VARIABLE} ({realdata_root()})")
    return path
