"""Generate libs/contracts from proto/; with --check, fail if what is there is stale."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
CONTRACTS = ROOT / "libs" / "contracts" / "src"
PACKAGES = ("teleglas", "teleglas_contracts")
HAND_WRITTEN = ("__init__.py", "py.typed", "topic.py", "messages.py")


def generate(into: Path) -> None:
    """Write the package `teleglas` for every proto file below `into`."""
    sources = sorted(str(path) for path in (PROTO / "teleglas").rglob("*.proto"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    outputs = [f"--{kind}_out={into}" for kind in ("python", "grpc_python")]
    typed = [f"--{kind}_out=quiet:{into}" for kind in ("mypy", "mypy_grpc")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, *typed, *sources],
        check=True,
        env={**os.environ, "PATH": path},
    )
    for stub in into.rglob("*_pb2_grpc.py"):
        if (
            "service "
            not in (PROTO / stub.relative_to(into))
            .with_name(stub.name.replace("_pb2_grpc.py", ".proto"))
            .read_text()
        ):
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)
    package = into / "teleglas"
    (package / "py.typed").touch()
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").touch()


def constant(topic: str) -> str:
    """MARKET_TRADES_V1 of teleglas.market.trades.v1."""
    return topic.removeprefix("teleglas.").replace(".", "_").upper()


def catalogue() -> str:
    """The Python module that names every topic of proto/topics."""
    folder = PROTO / "topics"
    shared = yaml.safe_load((folder / "_shared.yaml").read_text())
    manifests: list[dict[str, Any]] = [
        yaml.safe_load(path.read_text()) for path in sorted(folder.glob("[!_]*.yaml"))
    ]
    names = [constant(manifest["topic"]) for manifest in manifests]
    lines = [
        '"""Every topic, generated from proto/topics by `make contracts`: never edited by hand."""',
        "",
        "from __future__ import annotations",
        "",
        "from teleglas_contracts.topic import PartitionBy, Topic",
        "",
        f"PARTITIONS = {shared['partitions']}",
        f"DEAD_LETTER_SCHEMA = {shared['dead_letter']['schema']!r}",
        f"DEAD_LETTER_RETENTION_MS = {shared['dead_letter']['retention_ms']}",
    ]
    for manifest in manifests:
        single = manifest["partition_by"] == "none"
        dead_letter = manifest["topic"] + shared["dead_letter"]["suffix"]
        fields = {
            "name": repr(manifest["topic"]),
            "purpose": repr(manifest["purpose"].strip()),
            "owner": repr(manifest["owner"]),
            "key": repr(manifest["key"]),
            "partition_by": f"PartitionBy.{manifest['partition_by'].upper()}",
            "schemas": repr(tuple(manifest["schemas"])),
            "producers": repr(tuple(manifest["producers"])),
            "consumers": repr(tuple(manifest["consumers"])),
            "partitions": "1" if single else "PARTITIONS",
            "compacted": repr(manifest["cleanup"] == "compact"),
            "retention_ms": repr(manifest.get("retention_ms")),
            "dead_letter": repr(dead_letter if manifest["dead_letter"] else None),
        }
        body = [f"    {name}={value}," for name, value in fields.items()]
        lines += ["", f"{constant(manifest['topic'])} = Topic(", *body, ")"]
    lines += ["", "ALL = (", *(f"    {name}," for name in names), ")"]
    lines += ["BY_NAME = {topic.name: topic for topic in ALL}", ""]
    return "\n".join(lines)


def generate_all(into: Path) -> None:
    """Everything of libs/contracts that is generated."""
    generate(into)
    (into / "teleglas_contracts").mkdir()
    (into / "teleglas_contracts" / "topics.py").write_text(catalogue())


def differences(left: Path, right: Path) -> list[str]:
    """Files that stand on one side only, or differ."""
    names = {
        str(path.relative_to(side))
        for side in (left, right)
        for path in side.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(
        name
        for name in names
        if not (left / name).exists()
        or not (right / name).exists()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate_all(fresh)
        if "--check" not in sys.argv:
            shutil.rmtree(CONTRACTS / "teleglas", ignore_errors=True)
            shutil.copytree(fresh, CONTRACTS, dirs_exist_ok=True)
            return 0
        for name in HAND_WRITTEN:
            shutil.copy(CONTRACTS / "teleglas_contracts" / name, fresh / "teleglas_contracts")
        stale = [
            f"{package}/{name}"
            for package in PACKAGES
            for name in differences(fresh / package, CONTRACTS / package)
        ]
        for name in stale:
            print(f"stale: libs/contracts/src/{name}")
        if stale:
            print("run `make contracts` and commit the result")
        return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
