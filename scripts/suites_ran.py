"""Fail unless every promised suite ran: `suites_ran.py FOLDER` reads pytest's JUnit reports there.

Prints, last, one line in the form of pytest's own summary for all suites together.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

PROMISED = {
    "unit": ".tests.unit.",
    "integration of packages": ".tests.integration.",
    "contract": "tests.contract.",
    "end to end": "tests.e2e.",
    "chaos": "tests.chaos.",
}


def main() -> int:
    totals: Counter[str] = Counter()
    ran: Counter[str] = Counter()
    skipped: list[str] = []
    seconds = 0.0
    for path in sorted(Path(sys.argv[1]).glob("*.xml")):
        for case in ET.parse(path).getroot().iter("testcase"):  # noqa: S314  our own report
            name = f"{case.get('classname')}.{case.get('name')}"
            seconds += float(case.get("time", "0"))
            if case.find("skipped") is not None:
                totals["skipped"] += 1
                skipped.append(name)
                continue
            failed = case.find("failure") is not None or case.find("error") is not None
            totals["failed" if failed else "passed"] += 1
            ran.update(suite for suite, part in PROMISED.items() if part in name)
    missing = [suite for suite in PROMISED if not ran[suite]]
    for suite, count in ran.items():
        print(f"{suite}: {count} tests ran")
    for name in skipped:
        print(f"skipped: {name}")
    for suite in missing:
        print(f"a promised suite did not run: {suite}")
    parts = [
        f"{totals[state]} {state}" for state in ("failed", "passed", "skipped") if totals[state]
    ]
    print(f"===== {', '.join(parts)} in {seconds:.2f}s =====")
    return 1 if missing or totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
