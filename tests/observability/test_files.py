"""Rules, configurations and dashboards by the programs that will read them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scripts.observability.dashboards import dashboards
from scripts.observability.rules import alerts, rules
from scripts.observability.windows import Windows
from tests.observability.tools import AMTOOL, PROMTOOL, ran, tool
from tests.observability.unit_cases import CASES, Case

pytestmark = [pytest.mark.observability, pytest.mark.timeout(900)]

SOURCES = Path(__file__).parents[2] / "deploy/observability"


def test_prometheus_reads_its_configuration_and_rules() -> None:
    """promtool finds nothing wrong with either."""
    promtool, folder = tool(PROMTOOL), SOURCES / "prometheus"
    assert "SUCCESS" in ran([promtool, "check", "config", "prometheus.yml"], folder)
    said = ran([promtool, "check", "rules", "rules/teleglas.yml"], folder)
    print(said.strip())


def test_alertmanager_reads_its_configuration(tmp_path: Path) -> None:
    """amtool finds nothing wrong; one older than 0.26 is shown addresses instead of their files."""
    amtool = tool(AMTOOL)
    text = (SOURCES / "alertmanager/alertmanager.yml").read_text()
    version = re.search(r"version (\d+)\.(\d+)", ran([amtool, "--version"]))
    assert version is not None
    if (int(version[1]), int(version[2])) < (0, 26):
        text = re.sub(r"url_file: (\S+)", "url: http://127.0.0.1:9/", text)
    path = tmp_path / "alertmanager.yml"
    path.write_text(text)
    assert "SUCCESS" in ran([amtool, "check-config", str(path)])
    for labels, receiver in (
        (("severity=page", "alertname=KafkaUnreachable"), "page"),
        (("severity=ticket", "alertname=DeadLetters"), "ticket"),
        (("severity=none", "alertname=Watchdog"), "watchdog"),
    ):
        argv = [amtool, "config", "routes", "test", f"--config.file={path}", *labels]
        assert ran(argv).split()[0] == receiver


def test_every_alert_fires_and_clears_at_its_real_windows(tmp_path: Path) -> None:
    """promtool plays a history for each alert: it fires, and it clears when the fault is over."""
    expected = {rule["alert"] for rule in alerts(rules())}
    assert {case.alert for case in CASES} == expected
    burns = {(r["alert"], r["labels"].get("window", "")) for r in alerts(rules())}
    assert {(case.alert, case.window) for case in CASES} == burns
    paths = [written(tmp_path, alert) for alert in sorted(expected)]
    ran([tool(PROMTOOL), "test", "rules", *paths], tmp_path)
    print(f"{len(CASES)} histories of {len(expected)} alerts: each fires and clears")


def test_every_alert_is_fired_by_a_fault_too() -> None:
    """The files of faults name every alert."""
    source = "".join(
        path.read_text() for path in sorted(Path(__file__).parent.glob("test_faults*"))
    )
    named = set(re.findall(r'"([A-Z][A-Za-z]+)"', source))
    assert {rule["alert"] for rule in alerts(rules())} <= named


def written(folder: Path, alert: str) -> str:
    """A file of promtool's for one alert, with the rules that it stands on and no others: all of
    them at every step would take minutes.
    """
    groups = [
        {
            "name": group["name"],
            "rules": [rule for rule in group["rules"] if rule.get("alert", alert) == alert],
        }
        for group in rules()["groups"]
    ]
    is_burn = alert.endswith("BudgetBurns")
    used = [group for group in groups if is_burn or "objectives" not in group["name"]]
    (folder / f"{alert}.rules.yml").write_text(yaml.safe_dump({"groups": used}))
    cases = [case for case in CASES if case.alert == alert]
    content = {
        "rule_files": [f"{alert}.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "name": alert,
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in cases[0].series
                ],
                "promql_expr_test": [point for case in cases for point in points(case)],
            }
        ],
    }
    (folder / f"{alert}.yml").write_text(yaml.safe_dump(content))
    return f"{alert}.yml"


def points(case: Case) -> list[dict[str, object]]:
    """When it must fire, and when it must not any more."""
    window = f',window="{case.window}"' if case.window else ""
    expr = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"{window}}})'
    if case.alert == "ServiceDown":
        expr = expr.replace("}", ',service="prediction"}')
    fires: dict[str, object] = {
        "eval_time": f"{case.fires_at}m",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    clears: dict[str, object] = {"eval_time": f"{case.clears_at}m", "exp_samples": []}
    return [{"expr": expr, **fires}, *([{"expr": expr, **clears}] if case.clears_at else [])]


def test_every_query_of_every_dashboard_is_one(tmp_path: Path) -> None:
    """promtool parses each as a rule, the mesh's among them."""
    queries = {
        target["expr"].replace("$__rate_interval", "5m")
        for model in dashboards().values()
        for panel in model["panels"]
        for target in panel.get("targets", ())
    }
    made = [{"record": f"q:{number}", "expr": text} for number, text in enumerate(sorted(queries))]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": made}]}))
    ran([tool(PROMTOOL), "check", "rules", str(path)])
    print(f"{len(queries)} queries of {len(dashboards())} dashboards parse")


def test_shrunk_rules_are_rules(tmp_path: Path) -> None:
    """What the live test loads differs in lengths only."""
    shrunk = rules(Windows(scale=1 / 180, least_s=5))
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(shrunk))
    ran([tool(PROMTOOL), "check", "rules", str(path)])
    assert [rule["alert"] for rule in alerts(shrunk)] == [r["alert"] for r in alerts(rules())]
