"""Generate docs/operations/settings.md and metrics.md; --check fails if they are stale."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from teleglas_common.settings import ServiceSettings
from teleglas_common.settings_page import settings_table
from teleglas_common.telemetry.registry import metrics_table

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "operations"


def service_settings() -> dict[str, type[ServiceSettings]]:
    """The settings class of every service that is built."""
    found = {}
    for path in sorted(ROOT.glob("services/*/src/*/settings.py")):
        module = importlib.import_module(f"{path.parent.name}.settings")
        kinds = [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type)
            and issubclass(kind, ServiceSettings)
            and kind.__module__ == module.__name__
        ]
        if len(kinds) != 1:
            raise SystemExit(f"expected one settings class in {path}, found {len(kinds)}")
        found[path.parents[2].name] = kinds[0]
    return found


def main() -> int:
    wanted = {
        FOLDER / "settings.md": settings_table(service_settings()),
        FOLDER / "metrics.md": metrics_table(),
    }
    if "--check" not in sys.argv:
        for path, text in wanted.items():
            path.write_text(text)
        return 0
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"stale: {path.relative_to(ROOT)}; run `make docs` and commit the result")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
