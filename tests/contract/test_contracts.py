"""The promises to those who consume topics and gRPC: fresh, compatible, exemplified, kept."""

import ast
import importlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from google.protobuf import json_format

from teleglas_contracts.messages import MESSAGES

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = {
    manifest["topic"]: manifest
    for path in sorted((ROOT / "proto" / "topics").glob("[!_]*.yaml"))
    for manifest in [yaml.safe_load(path.read_text())]
}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["generate_contracts", "topic_docs", "reference_docs"])
def test_generated_files_are_fresh(name: str) -> None:
    """What is generated from proto/ is what stands in the repository."""
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contracts_keep_the_baseline() -> None:
    """Nothing that was promised has been taken back or is unrecorded."""
    baseline = script("contract_baseline")
    now = baseline.promises(ROOT / "proto")
    assert now == json.loads((ROOT / "proto" / "baseline.json").read_text())


PLANTED = {
    "renumbered field": ("market/v1/trade.proto", "int64 price = 5", "int64 price = 55"),
    "retyped field": ("market/v1/trade.proto", "string id = 1", "uint64 id = 1"),
    "renamed field": ("market/v1/trade.proto", "int64 size = 6", "int64 quantity = 6"),
    "removed enum value": ("market/v1/types.proto", "  SIDE_SELL = 2;\n", ""),
    "changed rpc": ("market/v1/service.proto", "returns (GetBookResponse)", "returns (Candle)"),
}


@pytest.mark.parametrize("change", PLANTED.values(), ids=PLANTED)
def test_a_planted_break_of_a_proto_is_named(tmp_path: Path, change: tuple[str, str, str]) -> None:
    """The compatibility check is not blind."""
    baseline = script("contract_baseline")
    before = json.loads((ROOT / "proto" / "baseline.json").read_text())
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    name, old, new = change
    path = tmp_path / "proto" / "teleglas" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert baseline.broken(before, baseline.promises(tmp_path / "proto"))


@pytest.mark.parametrize(
    ("old", "new"),
    [("partition_by: base_asset", "partition_by: key"), ("cleanup: delete", "cleanup: compact")],
)
def test_a_planted_break_of_a_manifest_is_named(tmp_path: Path, old: str, new: str) -> None:
    """Partitioning and cleanup are promises too."""
    baseline = script("contract_baseline")
    before = json.loads((ROOT / "proto" / "baseline.json").read_text())
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    path = tmp_path / "proto" / "topics" / "market.trades.v1.yaml"
    path.write_text(path.read_text().replace(old, new))
    assert len(baseline.broken(before, baseline.promises(tmp_path / "proto"))) == 1


@pytest.mark.parametrize("topic", MANIFESTS)
def test_manifest_examples_parse_as_their_schema(topic: str) -> None:
    """Every schema of a topic has an example that its message accepts, key fields included."""
    manifest = MANIFESTS[topic]
    assert len(manifest["examples"]) == len(manifest["schemas"])
    for schema, name in zip(manifest["schemas"], manifest["examples"], strict=True):
        text = (ROOT / name).read_text()
        message = json_format.Parse(text, MESSAGES[schema]())
        assert message.ByteSize() > 0, name


def test_no_message_of_a_topic_has_a_map_field() -> None:
    """Maps serialise in no fixed order, so a digest over them would not be stable."""
    maps = [
        f"{name}.{field.name}"
        for name, message in MESSAGES.items()
        for field in message.DESCRIPTOR.fields
        if field.message_type is not None and field.message_type.GetOptions().map_entry
    ]
    assert maps == []


ROUTES = {path.parents[2].name: path for path in (ROOT / "services").glob("*/src/*/routes.py")}


@pytest.mark.parametrize("service", ROUTES)
def test_routes_of_a_service_are_in_the_manifests(service: str) -> None:
    """A service reads and writes just the topics whose manifests name it, planned ones apart."""
    path = ROUTES[service]
    name = path.relative_to(path.parents[1]).with_suffix("").as_posix().replace("/", ".")
    routes = importlib.import_module(name)
    live = {name: manifest for name, manifest in MANIFESTS.items() if "status" not in manifest}
    assert {topic.name for topic in routes.READS} == {
        name for name, manifest in live.items() if service in manifest["consumers"]
    }
    assert {topic.name for topic in routes.WRITES} == {
        name for name, manifest in live.items() if service in manifest["producers"]
    }


def test_planned_topics_are_written_by_nobody_yet() -> None:
    """A topic is called planned only as long as that is true."""
    planned = {name for name, manifest in MANIFESTS.items() if manifest.get("status") == "planned"}
    built = [
        topic.name
        for path in ROUTES.values()
        for topic in importlib.import_module(f"{path.parent.name}.routes").WRITES
    ]
    assert planned & set(built) == set()


def test_services_never_import_each_other() -> None:
    """Arrows between services are topics and gRPC, nothing else."""
    packages = {path.name for path in (ROOT / "services").glob("*/src/teleglas_*")}
    trespass = []
    for path in (ROOT / "services").glob("*/src/teleglas_*/**/*.py"):
        own = path.relative_to(ROOT / "services").parts[2]
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            tops = {name.split(".")[0] for name in names}
            trespass += [f"{path.relative_to(ROOT)}: {top}" for top in tops & (packages - {own})]
    assert trespass == []


def test_domains_know_no_plumbing() -> None:
    """No Kafka, SQL, protobuf, wall clock or settings in any domain folder."""
    forbidden = {"aiokafka", "asyncpg", "redis", "grpc", "google", "teleglas", "pydantic", "time"}
    found = []
    for path in (ROOT / "services").glob("*/src/*/domain/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found += [
                f"{path.relative_to(ROOT)}: {name}"
                for name in names
                if name.split(".")[0] in forbidden
            ]
    assert found == []
