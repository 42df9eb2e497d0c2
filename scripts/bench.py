"""Run a benchmark of benchmarks/: `bench.py list`, `bench.py NAME [ARGS]`.

Each benchmark is a module whose docstring's first line says what it measures. It prints, last,
`NAME ratio=… target=… ok|short`. The peers it measures against live in a virtual environment of
their own (.venv-peers), installed from benchmarks/peers.lock.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks"


def names() -> dict[str, str]:
    """Every benchmark with its docstring's first line."""
    found = {}
    for path in sorted(FOLDER.glob("[!_]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        found[path.stem.replace("_", "-")] = text.partition("\n")[0]
    return found


def main() -> int:
    known = names()
    name = sys.argv[1] if len(sys.argv) > 1 else "list"
    if name not in known:
        for each, text in known.items():
            print(f"{each:<16} {text}")
        return 0 if name == "list" else 2
    path = FOLDER / f"{name.replace('-', '_')}.py"
    environment = {**os.environ, "TELEGLAS_PEERS_PYTHON": str(ROOT / ".venv-peers/bin/python")}
    return subprocess.run(
        [sys.executable, str(path), *sys.argv[2:]], cwd=ROOT, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
