"""The programs that this suite runs: on the PATH, or where a variable says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["ALERTMANAGER", "AMTOOL", "JAEGER", "PROMETHEUS", "PROMTOOL", "ran", "tool"]

PROMETHEUS = ("TELEGLAS_PROMETHEUS", ("prometheus",))
PROMTOOL = ("TELEGLAS_PROMTOOL", ("promtool",))
ALERTMANAGER = ("TELEGLAS_ALERTMANAGER", ("alertmanager", "prometheus-alertmanager"))
AMTOOL = ("TELEGLAS_AMTOOL", ("amtool",))
JAEGER = ("TELEGLAS_JAEGER", ("jaeger",))
"""Jaeger 2 is an OpenTelemetry Collector with tail sampling too: it plays both parts."""


def tool(wanted: tuple[str, tuple[str, ...]]) -> str:
    """Where a program is; without it the test fails and says what to do."""
    variable, names = wanted
    named = os.environ.get(variable)
    if named and os.access(named, os.X_OK):
        return named
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None or named:
        where = f"at {named}" if named else "on the PATH"
        pytest.fail(
            f"make test-observability needs {names[0]}, and there is none {where}: install it"
            f" (Debian: apt-get install prometheus prometheus-alertmanager; Jaeger 2:"
            f" https://www.jaegertracing.io/download/) or let {variable} name it",
            pytrace=False,
        )
    return found


def ran(argv: Sequence[str], cwd: Path | None = None) -> str:
    """What a program says; fails with all of it when it does not end well."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr
