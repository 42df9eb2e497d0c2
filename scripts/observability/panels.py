"""Panels of a Grafana dashboard in its JSON model, laid out from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Panel", "Row", "dashboard", "quantiles", "rate", "rates", "state", "value"]

Json = dict[str, Any]
SCHEMA_VERSION = 39
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WINDOW = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries` are (expression, legend)."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    says: str = ""
    exemplars: bool = False
    stacked: bool = False
    thresholds: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A heading with the panels below it."""

    title: str
    panels: tuple[Panel, ...]


def rate(title: str, metric: str, by: str = "", unit: str = "short", **more: Any) -> Panel:
    """Events a second of a counter; `metric` may have a selector."""
    grouped = f" by ({by})" if by else ""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",")) if by else title
    return Panel(title, ((f"sum{grouped} (rate({metric}[{WINDOW}]))", legend),), unit, **more)


def rates(title: str, metrics: Mapping[str, str], by: str = "", unit: str = "eps") -> Panel:
    """Several counters in one panel, by what each is called."""
    grouped, label = (f" by ({by})", f"{{{{{by}}}}} ") if by else ("", "")
    queries = (
        (f"sum{grouped} (rate({metric}[{WINDOW}]))", f"{label}{name}")
        for name, metric in metrics.items()
    )
    return Panel(title, tuple(queries), unit)


def quantiles(
    title: str, metric: str, by: str = "", at: Sequence[float] = (0.5, 0.99), **more: Any
) -> Panel:
    """Quantiles of a histogram, with the traces that fell into its buckets."""
    name, _, selector = metric.partition("{")
    series = f"{name}_bucket" + (f"{{{selector}" if selector else "")
    grouped = f"{by}, le" if by else "le"
    labels = "".join(f" {{{{{label.strip()}}}}}" for label in by.split(",")) if by else ""
    queries = tuple(
        (
            f"histogram_quantile({q:g}, sum by ({grouped}) (rate({series}[{WINDOW}])))",
            f"p{q * 100:g}{labels}",
        )
        for q in at
    )
    return Panel(title, queries, "s", exemplars=True, **more)


def value(title: str, expr: str, legend: str, unit: str = "short", **more: Any) -> Panel:
    """Any expression over time."""
    return Panel(title, ((expr, legend),), unit, **more)


def state(title: str, expr: str, legend: str, unit: str = "short", **more: Any) -> Panel:
    """How it stands now, as numbers."""
    return Panel(title, ((expr, legend),), unit, kind="stat", **more)


def dashboard(uid: str, title: str, says: str, rows: Iterable[Row]) -> Json:
    """The whole JSON model; the same input gives the same bytes."""
    panels: list[Json] = []
    y = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        y += 1
        x = 0
        for panel in row.panels:
            height = 4 if panel.kind == "stat" else 8
            if x + panel.width > COLUMNS:
                x, y = 0, y + 8
            panels.append(_panel(panel, len(panels) + 1, x, y, height))
            x += panel.width
        y += 8
    return {
        "uid": f"teleglas-{uid}",
        "title": f"Teleglas: {title}",
        "description": says,
        "tags": ["teleglas"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": [_alerts()]},
        "links": [
            {
                "type": "dashboards",
                "title": "Teleglas",
                "tags": ["teleglas"],
                "asDropdown": True,
                "includeVars": False,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_source()]},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, x: int, y: int, height: int) -> Json:
    made: Json = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "gridPos": {"h": height, "w": panel.width, "x": x, "y": y},
    }
    if panel.says:
        made["description"] = panel.says
    made["datasource"] = SOURCE
    made["targets"] = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "editorMode": "code",
            "expr": expr,
            "legendFormat": legend,
            "range": panel.kind != "stat",
            "instant": panel.kind == "stat",
            "exemplar": panel.exemplars,
        }
        for index, (expr, legend) in enumerate(panel.queries)
    ]
    steps = [{"value": at, "color": color} for at, color in panel.thresholds]
    defaults: Json = {
        "unit": panel.unit,
        "min": 0 if panel.unit not in ("percentunit", "none") else None,
        "max": panel.maximum,
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        },
    }
    if panel.kind == "stat":
        del defaults["custom"]
        made["options"] = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background",
            "graphMode": "none",
            "textMode": "value_and_name",
        }
    else:
        made["options"] = {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    given = {key: found for key, found in defaults.items() if found is not None}
    return made | {"fieldConfig": {"defaults": given, "overrides": []}}


def _source() -> Json:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }


def _alerts() -> Json:
    """Alerts that fired, as marks on every panel."""
    return {
        "name": "Alerts",
        "enable": True,
        "datasource": SOURCE,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",alertname!="Watchdog"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{service}} {{venue}} {{topic}} {{channel}}",
    }
