"""Build the images, write their bills of materials, start each one, print what was measured.

`make images`; with ARGS="--only ingest,gateway", "--tag 0.2.0", "--no-start" (build alone),
"--load COMMAND" (run COMMAND with the images' names, such as "kind load docker-image").
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from scripts.containers import Engine, EngineError, engine
from scripts.image_runs import SERVICES, image_name, service, simulator, tools_settings
from teleglas_cli.testing import running_stack

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "deploy" / "images" / "Dockerfile"
BILLS = ROOT / ".teleglas" / "images"
BASE = "python:3.11-slim"
ALL = (*SERVICES, "tools", "simulator")
BUILD_TIMEOUT_S = 1_800.0
MB = 1_000_000


def version() -> str:
    """The one version of the product."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def provenance() -> dict[str, str]:
    """What the labels say; the same commit gives the same."""
    return {
        "VERSION": version(),
        "REVISION": _git("rev-parse", "HEAD"),
        "CREATED": datetime.fromtimestamp(
            int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")), UTC
        ).isoformat(),
        "SOURCE": os.environ.get("TELEGLAS_IMAGE_SOURCE", ""),
    }


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def build(on: Engine, image: str, tag: str, base: str) -> None:
    """One image, and its bill of materials as `.teleglas/images/IMAGE.cdx.json`."""
    network = () if on.has_bridge else ("--network", "host")
    values = {"SERVICE": image, "BASE": base, **provenance()}
    arguments = [
        word for name, value in values.items() for word in ("--build-arg", f"{name}={value}")
    ]
    common = ("build", "--progress", "plain", *network, "--file", str(RECIPE), *arguments)
    on.must(*common, "--tag", image_name(image, tag), str(ROOT), timeout_s=BUILD_TIMEOUT_S)
    BILLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BILLS) as folder:
        export = ("--target", "sbom", "--output", f"type=local,dest={folder}")
        on.must(*common, *export, str(ROOT), timeout_s=BUILD_TIMEOUT_S)
        (Path(folder) / "sbom.json").replace(BILLS / f"{image}.cdx.json")


def own_mb(on: Engine, image: str, tag: str, base: str) -> float:
    """What an image adds to its base, in MB."""
    whole, below = (on.inspect("image", name)["Size"] for name in (image_name(image, tag), base))
    return float(whole - below) / MB


def start_times(on: Engine, images: list[str], tag: str) -> dict[str, float]:
    """Seconds from each container's start to the first yes of /ready, one after the other."""
    wanted = [image for image in SERVICES if image in images]
    found: dict[str, float] = {}
    if not wanted:
        return found
    with (
        tempfile.TemporaryDirectory(prefix="teleglas-images-") as folder,
        running_stack(Path(folder)) as stack,
        simulator(on, tag) as (_, venue),
    ):
        for command in ("migrate",), ("topics", "create"):
            outcome = on.run(image_name("tools", tag), tools_settings(stack), *command)
            if outcome.code != 0:
                raise EngineError(f"teleglas {' '.join(command)} ended with\n{outcome.err}")
        for image in wanted:
            with service(on, image, tag, stack, venue) as (_, _, seconds):
                found[image] = seconds
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make images", description=__doc__)
    parser.add_argument("--only", default=",".join(ALL), help="images, separated by commas")
    parser.add_argument("--tag", default=version())
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--no-start", action="store_true", help="build alone")
    parser.add_argument("--load", help="command that takes the images' names to a cluster")
    given = parser.parse_args()
    images = given.only.split(",")
    if unknown := set(images) - set(ALL):
        parser.error(f"expected images of {', '.join(ALL)}, was {', '.join(sorted(unknown))}")
    try:
        on = engine()
        print(f"engine: {on.name}", flush=True)
        for image in images:
            began_s = time.monotonic()
            build(on, image, given.tag, given.base)
            print(
                f"built {image_name(image, given.tag)} in {time.monotonic() - began_s:.0f} s",
                flush=True,
            )
        starts = {} if given.no_start else start_times(on, images, given.tag)
        print(f"\n{'image':<34} {'own layers':>10} {'start to ready':>15}")
        for image in images:
            name, seconds = image_name(image, given.tag), starts.get(image)
            shown = "" if seconds is None else f"{seconds:.2f} s"
            print(f"{name:<34} {own_mb(on, image, given.tag, given.base):>7.1f} MB {shown:>15}")
        if given.load:
            names = [image_name(image, given.tag) for image in images]
            subprocess.run([*shlex.split(given.load), *names], check=True)
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
