"""Writes rules and dashboards below deploy/, and what the chart carries of deploy/observability."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml

from scripts.observability.dashboards import dashboards
from scripts.observability.rules import rules

__all__ = ["main", "outputs"]

PROJECT = Path(__file__).parents[2]
SOURCES = PROJECT / "deploy/observability"
CHART = PROJECT / "deploy/helm/teleglas/files/observability"
CARRIED = ("collector.yaml", "jaeger.yaml")
HEADER = "# Made by `make observability` of scripts/observability.\n"


def outputs() -> dict[Path, str]:
    """Every generated file with its content. helm reads inside the chart's folder only, so the
    chart has copies.
    """
    rule_file = HEADER + yaml.safe_dump(rules(), sort_keys=False, width=100)
    made = {
        SOURCES / "prometheus/rules/teleglas.yml": rule_file,
        CHART / "rules.yml": rule_file,
    }
    for name, model in dashboards().items():
        text = json.dumps(model, indent=1, ensure_ascii=False) + "\n"
        made[SOURCES / f"grafana/dashboards/{name}.json"] = text
        made[CHART / f"dashboards/{name}.json"] = json.dumps(model, separators=(",", ":")) + "\n"
    for name in CARRIED:
        made[CHART / name] = (SOURCES / name).read_text(encoding="utf-8")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    check = parser.parse_args().check
    stale = [path for path, text in outputs().items() if _current(path) != text]
    known = set(outputs())
    folders = (SOURCES / "grafana/dashboards", SOURCES / "prometheus/rules", CHART)
    stale += [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path not in known
    ]
    if check and stale:
        names = ", ".join(str(path.relative_to(PROJECT)) for path in stale)
        sys.exit(f"stale: {names}; run `make observability`")
    if check:
        return
    for path in stale:
        if path not in known:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(outputs()[path], encoding="utf-8")


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    main()
