"""The rules of Prometheus, made of the objectives and the causes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.observability.causes import CAUSES, Cause
from scripts.observability.slos import BURNS, RATIO_WINDOWS, SLOS, Slo
from scripts.observability.windows import Windows

__all__ = ["RUNBOOKS", "alerts", "rules"]

Rule = dict[str, Any]
RUNBOOKS = "docs/operations/runbooks.md"
BUDGET_PERIOD = "30d"


def rules(windows: Windows | None = None) -> dict[str, Any]:
    """The content of a rule file."""
    shrunk = windows or Windows()
    causes = shrunk.of_causes()
    return {
        "groups": [
            {"name": "teleglas-objectives", "rules": list(_objectives(shrunk))},
            {"name": "teleglas-burns", "rules": list(_burns(shrunk))},
            {
                "name": "teleglas-causes",
                "rules": [_cause(one, causes) for one in CAUSES],
            },
        ]
    }


def alerts(content: dict[str, Any]) -> list[Rule]:
    """Those of its rules that are alerts."""
    return [rule for group in content["groups"] for rule in group["rules"] if "alert" in rule]


def _objectives(windows: Windows) -> Iterator[Rule]:
    """Bad and all events by the shortest window; longer ones are means of those, which cost little
    however long they are.
    """
    short = RATIO_WINDOWS[0]
    for slo in SLOS:
        labels = {"slo": slo.name}
        for kind, expr in (("bad", slo.bad), ("total", slo.total)):
            yield {
                "record": f"teleglas:slo_{kind}:rate{short}",
                "expr": expr.replace("$w", windows.of(short)),
                "labels": labels,
            }
        yield {
            "record": "teleglas:slo_objective:ratio",
            "expr": f"vector({slo.objective})",
            "labels": labels,
        }
    for window in (*RATIO_WINDOWS, BUDGET_PERIOD):
        yield {
            "record": f"teleglas:slo_errors:ratio{window}",
            "expr": _ratio(window, windows),
        }
    yield {
        "record": f"teleglas:slo_budget_left:ratio{BUDGET_PERIOD}",
        "expr": f"1 - teleglas:slo_errors:ratio{BUDGET_PERIOD}"
        " / (1 - teleglas:slo_objective:ratio)",
    }


def _ratio(window: str, windows: Windows) -> str:
    short = RATIO_WINDOWS[0]
    if window == short:
        return f"teleglas:slo_bad:rate{short} / (teleglas:slo_total:rate{short} > 0)"
    span = windows.of(window)
    return (
        f"sum_over_time(teleglas:slo_bad:rate{short}[{span}])"
        f" / (sum_over_time(teleglas:slo_total:rate{short}[{span}]) > 0)"
    )


def _burns(windows: Windows) -> Iterator[Rule]:
    for slo in SLOS:
        for severity in ("page", "ticket"):
            yield from _burn(slo, severity, windows)


def _burn(slo: Slo, severity: str, windows: Windows) -> Iterator[Rule]:
    for burn in (one for one in BURNS if one.severity == severity):
        limit = f"{burn.factor:g} * {slo.budget:g}"
        yield {
            "alert": f"{slo.name.capitalize()}BudgetBurns",
            "expr": (
                f'teleglas:slo_errors:ratio{burn.long}{{slo="{slo.name}"}} > {limit}\n'
                f'and teleglas:slo_errors:ratio{burn.short}{{slo="{slo.name}"}} > {limit}'
            ),
            "for": windows.hold(burn.hold),
            "labels": {"severity": severity, "slo": slo.name, "window": burn.long},
            "annotations": {
                "summary": (
                    f"{{{{ $value | humanizePercentage }}}} over {burn.long} are not what is"
                    f" promised: {slo.objective:.1%} {slo.promise}"
                ),
                "runbook": f"{RUNBOOKS}#{slo.runbook}",
            },
        }


def _cause(cause: Cause, windows: Windows) -> Rule:
    rule: Rule = {"alert": cause.name, "expr": windows.within(cause.expr)}
    if cause.hold != "0s":
        rule["for"] = windows.hold(cause.hold)
    return rule | {
        "labels": {"severity": cause.severity},
        "annotations": {"summary": cause.summary, "runbook": f"{RUNBOOKS}#{cause.runbook}"},
    }
