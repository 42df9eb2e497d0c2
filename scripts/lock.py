"""Rewrite the lock files from every package's pyproject: `make lock` after changing a dependency.

Versions already locked are kept unless `--upgrade` is given. An image's lock is the part of
`requirements.lock` that its packages need; `--check` holds it to that without a network.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
WHOLE = ROOT / "requirements.lock"
BOOT = ROOT / "requirements-boot.lock"
IMAGES = ROOT / "deploy" / "images"
BUILD = IMAGES / "build.lock"
PACKAGES = ("libs/*", "services/*", "cli", "sim")
OWN = "teleglas-"
IMAGE_PACKAGES = {
    **{path.name: f"{OWN}{path.name}" for path in sorted(ROOT.glob("services/*"))},
    "tools": f"{OWN}cli",
    "simulator": f"{OWN}sim",
}
"""Image → the package of ours that it is made for."""

PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? \\")
HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One distribution of a lock; one that is locked per Python version has several."""

    name: str
    version: str
    marker: str | None
    hashes: frozenset[str]

    @property
    def applies_here(self) -> bool:
        return self.marker is None or Marker(self.marker).evaluate()


def projects() -> dict[str, dict[str, object]]:
    """The `project` table of each package of ours, by name."""
    paths = [path for one in PACKAGES for path in sorted(ROOT.glob(f"{one}/pyproject.toml"))]
    tables = [tomllib.loads(path.read_text())["project"] for path in paths]
    return {table["name"]: table for table in tables}


def needs(package: str, *, extras: bool = False) -> set[str]:
    """Third-party requirements of a package of ours and of those of ours that it stands on."""
    table = projects()[package]
    lines: list[str] = list(table["dependencies"])
    for more in table.get("optional-dependencies", {}).values() if extras else ():
        lines += more
    found: set[str] = set()
    for line in lines:
        found |= needs(line) if line.startswith(OWN) else {line}
    return found


def declared() -> set[str]:
    """Everything that a workspace has: all packages with their extras, the development group."""
    found = {line for package in projects() for line in needs(package, extras=True)}
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found | set(workspace["dependency-groups"]["dev"])


def image_lock(image: str) -> Path:
    return IMAGES / "locks" / f"{image}.lock"


def compile_lock(requirements: Iterable[str], target: Path, *extra: str) -> None:
    command = [
        *("uv", "pip", "compile", "-", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header"),
        *("--native-tls", "--output-file", str(target), "--quiet", *extra),
    ]
    text = "\n".join(sorted(requirements))
    subprocess.run(command, input=text, text=True, check=True, cwd=ROOT)


def read_lock(path: Path) -> list[Pin]:
    """The pins of a lock, by normalised names."""
    found = []
    for block in re.split(r"\n(?=\S)", path.read_text()):
        match = PIN.match(block)
        if match is None:
            raise SystemExit(f"{path.name}: expected name==version with hashes, was {block[:60]!r}")
        name, version, marker = match.groups()
        hashes = frozenset(HASH.findall(block))
        found.append(Pin(canonicalize_name(name), version, marker, hashes))
    return found


def closure(lines: Iterable[str]) -> set[str]:
    """The distributions that requirements bring on this machine, from what is installed here."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [(Requirement(line), "") for line in lines]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in found:
            continue
        found.add(key)
        for line in requires(requirement.name) or ():
            waiting += [(Requirement(line), one) for one in ("", *requirement.extras)]
    return {name for name, _ in found}


def faults() -> Iterator[str]:
    """What is wrong with the locks, a sentence each."""
    whole = {(pin.name, pin.version, pin.hashes) for pin in read_lock(WHOLE)}
    for path in (WHOLE, BOOT, BUILD, *map(image_lock, IMAGE_PACKAGES)):
        if "://" in path.read_text():
            yield f"{path.name}: expected no address, found one"
    for image, package in IMAGE_PACKAGES.items():
        path = image_lock(image)
        lock = read_lock(path)
        for pin in lock:
            if (pin.name, pin.version, pin.hashes) not in whole:
                yield f"{path.name}: expected {pin.name} {pin.version} as {WHOLE.name} has it"
        here = {pin.name for pin in lock if pin.applies_here}
        wanted = closure(needs(package))
        yield from (f"{path.name}: {name} is missing" for name in sorted(wanted - here))
        yield from (f"{path.name}: nothing needs {name}" for name in sorted(here - wanted))


def main() -> int:
    if "--check" in sys.argv:
        found = list(faults())
        for fault in found:
            print(fault)
        if found:
            print("run `make lock` and commit what it changes")
        return 1 if found else 0
    extra = sys.argv[1:]
    compile_lock(declared(), WHOLE, *extra)
    compile_lock(["uv>=0.8"], BOOT, *extra)
    compile_lock(["cyclonedx-bom>=7.5", "hatchling>=1.27", "uv>=0.8"], BUILD, *extra)
    for image, package in IMAGE_PACKAGES.items():
        compile_lock(needs(package), image_lock(image), "--constraint", str(WHOLE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
