"""The chart's values against what the services really read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, needs_helm, rendered

ROOT = Path(__file__).resolve().parents[2]
FILES = ("values.yaml", "values-laptop.yaml", "values-small.yaml", "values-production.yaml")


def values(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / name).read_text())
    return found


def settings() -> dict[str, set[str]]:
    """Variables of each service, as the generated page lists them."""
    page = (ROOT / "docs/operations/settings.md").read_text()
    found: dict[str, set[str]] = {}
    for part in page.split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        found[title.strip()] = set(re.findall(r"^\| `(TELEGLAS_[A-Z0-9_]+)`", text, re.MULTILINE))
    common = found.pop("Every service")
    return {name: own | common for name, own in found.items()}


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_a_setting_of_its_service(name):
    """`env`, `secrets` and `targets` name nothing that a service would not read."""
    known = settings()
    every = set.union(*known.values())
    given = values(name)
    for scope in (given.get("env", {}), given.get("defaults", {}).get("env", {})):
        assert set(scope) <= every
    for service, own in given["services"].items():
        named = {*own.get("env", {}), *own.get("secrets", ()), *own.get("targets", {})}
        assert named <= known[service], (service, named - known[service])


def test_the_chart_runs_every_service_that_has_settings():
    """None is forgotten, none made up."""
    assert set(values("values.yaml")["services"]) == set(settings())


@needs_helm
@pytest.mark.parametrize(
    ("preset", "copies"), [("values-laptop.yaml", "1"), ("values-small.yaml", "3")]
)
def test_what_the_gateway_is_told_of_its_surroundings(preset, copies):
    """Whose X-Forwarded-For counts, and how many copies a topic has."""
    options = ("--set", "edge.trustedProxies={10.0.0.0/8,192.0.2.7}")
    found = [
        one["data"]
        for one in rendered(preset, *options)["ConfigMap"]
        if "TELEGLAS_EDGE__TRUSTED_PROXIES" in one.get("data", {})
    ]
    assert len(found) == 1
    told = found[0]
    assert told["TELEGLAS_EDGE__TRUSTED_PROXIES"] == "127.0.0.1,127.0.0.6,10.0.0.0/8,192.0.2.7"
    assert told["TELEGLAS_KAFKA__REPLICATION_FACTOR"] == copies
