"""Dashboards, rules and runbooks speak of what there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from scripts.observability.__main__ import SOURCES, outputs
from scripts.observability.causes import SERVICES
from scripts.observability.dashboards import dashboards
from scripts.observability.rules import RUNBOOKS, alerts, rules
from teleglas_cli.up.services import TABLE
from teleglas_common.telemetry.registry import MetricSpec, registered
from teleglas_ingest.venues import VENUES

PROJECT = Path(__file__).parents[2]
INFRASTRUCTURE = {"service", "instance", "job", "pod", "namespace", "le", "slo"}
SERIES = re.compile(r"\b(teleglas_[a-z0-9_]+)(\{[^}]*\})?")


def expressions() -> Iterator[str]:
    for group in rules()["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]
    for model in dashboards().values():
        for panel in model["panels"]:
            for target in panel.get("targets", ()):
                yield target["expr"]


def spec_of(series: str) -> MetricSpec | None:
    base = re.sub(r"_(bucket|count|sum)$", "", series)
    found = registered().get(series) or registered().get(base)
    if found is None or (series != found.name and found.type != "histogram"):
        return None
    return found


def test_queries_ask_for_registered_metrics_and_their_labels() -> None:
    """A renamed metric, label or label value is found before a panel stays empty."""
    asked = set()
    for expression in expressions():
        for series, selector in SERIES.findall(expression):
            spec = spec_of(series)
            assert spec is not None, f"{series} is not in the registry: {expression}"
            asked.add(spec.name)
            for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
                assert label in {*spec.labels, *INFRASTRUCTURE}, f"{series} has no {label}"
                known = spec.values.get(label)
                if known and operator == "=":
                    assert value in known, f"{series}: {label} is never {value}"
        single = {series for series, _ in SERIES.findall(expression)}
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        if len(single) == 1 and (spec := spec_of(single.pop())):
            for label in (one.strip() for group in grouped for one in group.split(",")):
                assert label in {*spec.labels, *INFRASTRUCTURE}, f"{spec.name} has no {label}"
    assert registered().keys() - asked == set(), "expected each metric on a dashboard"


def test_each_alert_has_a_runbook_a_summary_and_a_severity() -> None:
    """Whoever is woken finds the section that the alert names."""
    lines = (PROJECT / RUNBOOKS).read_text(encoding="utf-8").splitlines()
    anchors = {
        re.sub(r"[^\w -]", "", line[3:].lower()).replace(" ", "-")
        for line in lines
        if line.startswith("## ")
    }
    for rule in alerts(rules()):
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (page, anchor in anchors) == (RUNBOOKS, True), rule["annotations"]["runbook"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "ticket", "none")


def test_rules_and_dashboards_are_fresh() -> None:
    """What is committed is what the tables make."""
    stale = [str(path) for path, text in outputs().items() if path.read_text("utf-8") != text]
    assert not stale, "run `make observability`"


def test_dashboards_can_be_laid_out() -> None:
    """Panels have ids of their own, lie beside each other, and ask the chosen data source."""
    uids = [model["uid"] for model in dashboards().values()]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)
    for model in dashboards().values():
        panels = model["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert at["x"] + at["w"] <= 24
            assert not cells & taken, f"{model['title']}: {panel['title']} lies on another"
            taken |= cells
            if panel["type"] != "row":
                assert panel["targets"]
                assert panel["datasource"]["uid"] == "${datasource}"


def test_every_service_is_scraped_and_has_a_dashboard() -> None:
    """A new service is not forgotten."""
    assert set(SERVICES) == {row.name for row in TABLE} <= dashboards().keys()
    targets = yaml.safe_load((SOURCES / "prometheus/targets/compose.yml").read_text())
    assert set(SERVICES) <= {target["labels"]["service"] for target in targets}


def test_the_registry_knows_every_venue_and_every_cause_of_poison() -> None:
    """Counters stand at 0 for all of them from the start."""
    late = registered()["teleglas_market_late_trades_total"]
    assert set(late.values["venue"]) == set(VENUES)
    known = set(registered()["teleglas_bus_poison_total"].values["cause"])
    sources = [*PROJECT.glob("services/*/src/**/*.py"), *PROJECT.glob("libs/common/src/**/*.py")]
    assert {cause for path in sources for cause in causes(path)} == known


def causes(path: Path) -> Iterator[str]:
    """First arguments of PoisonError that are written out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "PoisonError":
            continue
        if node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)
