"""Hold today's protos and manifests against the promises in proto/baseline.json.

A promise is broken when a message, field, enum value, rpc or topic is removed, renumbered, retyped
or renamed, or when a topic's key, partitioning, cleanup or schemas change. Additions are free:
`--accept` records them. A break needs a new topic or package version, never an edited baseline.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor_pb2 as pb

ROOT = Path(__file__).resolve().parent.parent
Promises = dict[str, str]


def descriptors(proto: Path) -> pb.FileDescriptorSet:
    """Compile every proto below `proto`."""
    with tempfile.NamedTemporaryFile() as out:
        sources = sorted(str(path) for path in proto.rglob("*.proto"))
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto}"]
        subprocess.run([*command, f"--descriptor_set_out={out.name}", *sources], check=True)
        return pb.FileDescriptorSet.FromString(Path(out.name).read_bytes())


def _message(prefix: str, message: pb.DescriptorProto, found: Promises) -> None:
    name = f"{prefix}.{message.name}"
    found[f"message {name}"] = "exists"
    for field in message.field:
        label = pb.FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
        kind = pb.FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        typed = f"{label} {kind} {field.type_name}".strip()
        optional = " optional" if field.proto3_optional else ""
        found[f"field {name} #{field.number}"] = f"{field.name}: {typed}{optional}"
    for nested in message.nested_type:
        _message(name, nested, found)
    for enum in message.enum_type:
        _enum(name, enum, found)


def _enum(prefix: str, enum: pb.EnumDescriptorProto, found: Promises) -> None:
    for value in enum.value:
        found[f"enum {prefix}.{enum.name} #{value.number}"] = value.name


def promises(proto: Path) -> Promises:
    """Everything that a consumer may rely on, as name → shape."""
    found: Promises = {}
    for file in descriptors(proto).file:
        for message in file.message_type:
            _message(file.package, message, found)
        for enum in file.enum_type:
            _enum(file.package, enum, found)
        for service in file.service:
            for rpc in service.method:
                arrow = "-> stream" if rpc.server_streaming else "->"
                shape = f"{rpc.input_type} {arrow} {rpc.output_type}"
                found[f"rpc {file.package}.{service.name}.{rpc.name}"] = shape
    found.update(_topics(proto / "topics"))
    return found


def _topics(folder: Path) -> Promises:
    shared = yaml.safe_load((folder / "_shared.yaml").read_text())
    found: Promises = {"partition count": str(shared["partitions"])}
    for path in sorted(folder.glob("[!_]*.yaml")):
        manifest: dict[str, Any] = yaml.safe_load(path.read_text())
        topic = manifest["topic"]
        for fact in ("key", "partition_by", "cleanup"):
            found[f"topic {topic} {fact}"] = str(manifest[fact])
        for schema in manifest["schemas"]:
            found[f"topic {topic} schema {schema}"] = "carried"
    return found


def broken(before: Promises, now: Promises) -> list[str]:
    """One line for each promise that no longer holds."""
    return [
        f"{name}: expected {shape!r}, found {now[name]!r}"
        if name in now
        else f"{name}: expected {shape!r}, found nothing"
        for name, shape in sorted(before.items())
        if now.get(name) != shape
    ]


def main() -> int:
    proto = ROOT / "proto"
    baseline = proto / "baseline.json"
    now = promises(proto)
    before: Promises = json.loads(baseline.read_text()) if baseline.exists() else {}
    breaks = broken(before, now)
    for line in breaks:
        print(f"breaking: {line}")
    if breaks:
        print("make a new version of the message or topic instead (docs/operations/topics.md)")
        return 1
    if "--accept" in sys.argv:
        baseline.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        return 0
    unrecorded = sorted(now.keys() - before.keys())
    for name in unrecorded:
        print(f"new, not yet in proto/baseline.json: {name}")
    if unrecorded:
        print("run `make contracts` and commit the result")
    return 1 if unrecorded else 0


if __name__ == "__main__":
    sys.exit(main())
