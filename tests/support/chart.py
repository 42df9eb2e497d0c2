"""What Helm makes of the chart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = ["CHART", "needs_helm", "rendered"]

CHART = Path(__file__).parents[2] / "deploy/helm/teleglas"
HELM = os.environ.get("TELEGLAS_HELM") or shutil.which("helm")
needs_helm = pytest.mark.skipif(
    HELM is None, reason="helm is neither on the PATH nor TELEGLAS_HELM"
)


@cache
def rendered(preset: str, *options: str) -> dict[str, list[dict[str, Any]]]:
    """A preset with the mesh on, by kind."""
    command = [str(HELM), "template", "teleglas", str(CHART), "--namespace", "here"]
    command += ["--kube-version", "1.34.0"]
    command += ["--values", str(CHART / preset), "--set", "mesh.enabled=true", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for document in yaml.safe_load_all(done.stdout):
        if document:
            found[document["kind"]].append(document)
    return found
