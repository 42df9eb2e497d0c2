"""Rewrite requirements.lock and requirements-boot.lock from every package's pyproject.

Run it after changing a dependency: `make lock`. Versions already locked are kept unless
`--upgrade` is given.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("libs/*", "services/*", "cli", "sim")
BOOT = ["uv>=0.8"]


def declared() -> list[str]:
    """Every third-party requirement of our packages, with the development group."""
    found: set[str] = set()
    for pattern in PACKAGES:
        for path in sorted(ROOT.glob(f"{pattern}/pyproject.toml")):
            found.update(tomllib.loads(path.read_text())["project"]["dependencies"])
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found.update(workspace["dependency-groups"]["dev"])
    return sorted(name for name in found if not name.startswith("teleglas-"))


def compile_lock(requirements: list[str], target: Path, extra: list[str]) -> None:
    command = [
        *("uv", "pip", "compile", "-", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header"),
        *("--output-file", str(target), "--quiet", *extra),
    ]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True, cwd=ROOT)


def main() -> None:
    extra = sys.argv[1:]
    compile_lock(declared(), ROOT / "requirements.lock", extra)
    compile_lock(BOOT, ROOT / "requirements-boot.lock", extra)


if __name__ == "__main__":
    main()
