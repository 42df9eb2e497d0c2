"""skaffold.yaml against its published schema and the chart."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = "TELEGLAS_SCHEMAS"


def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    return found


def test_skaffold_yaml_keeps_to_its_published_schema():
    """The folder of TELEGLAS_SCHEMAS holds the schemas of Skaffold's documentation."""
    version = config()["apiVersion"].removeprefix("skaffold/")
    path = Path(os.environ.get(SCHEMAS, "")) / f"{version}.json"
    if not path.is_file():
        pytest.skip(f"not judged: no {version}.json in the folder that {SCHEMAS} names")
    faults = Draft7Validator(json.loads(path.read_text())).iter_errors(config())
    assert not [f"{list(fault.path)}: {fault.message}" for fault in faults]


def test_skaffold_builds_every_image_that_the_chart_runs():
    """Each service of the chart, the tools and the simulator; the files that it names are there."""
    values = yaml.safe_load((ROOT / "deploy/helm/teleglas/values.yaml").read_text())
    built = {artifact["image"] for artifact in config()["build"]["artifacts"]}
    parts = (*values["services"], "tools", "simulator")
    assert built == {f"{values['image']['repository']}/{part}" for part in parts}
    (release,) = config()["deploy"]["helm"]["releases"]
    for named in (release["chartPath"], *release["valuesFiles"]):
        assert (ROOT / named).exists(), named
    assert {profile["name"] for profile in config()["profiles"]} == {"dev", "test", "full"}
