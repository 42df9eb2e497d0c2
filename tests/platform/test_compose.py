"""compose.yaml, what it mounts, and the secrets that are made for it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_common.bus.kafka.acls import allow
from teleglas_common.bus.ports import BusError
from teleglas_common.kafka import create_bus, kafka_settings
from teleglas_common.settings import KafkaSection
from teleglas_contracts import topics
from teleglas_whale_detector.adapters.faust_topics import INTERNAL
from tests.support.secure import rules

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = ("ingest", "market-data", "whale-detector", "signal-scorer", "prediction", "notification")
WITHOUT_A_PROGRAM_TO_ASK = {"otel-collector", "jaeger", "simulator", "bot-api"}
JOBS = {"kafka-format", "acls", "topics", "migrate", "tools"}


def test_compose_is_what_the_specification_allows() -> None:
    """By the published schema of the Compose specification."""
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(COMPOSE)


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_hardened(name: str) -> None:
    """Nobody is root, writes to the image, gains a privilege or takes all memory."""
    service = SERVICES[name]
    assert service["user"].startswith("${TELEGLAS_UID")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service
    assert not service.get("privileged")
    assert "cap_add" not in service
    if name not in WITHOUT_A_PROGRAM_TO_ASK | JOBS:
        assert "healthcheck" in service


def test_only_the_edge_is_reachable_and_nothing_knows_a_password() -> None:
    """Ports are HAProxy's, on this machine unless one says otherwise; all other networks are
    internal; no value looks like a secret.
    """
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["haproxy"]
    for port in SERVICES["haproxy"]["ports"]:
        assert port.startswith(("127.0.0.1:", "${TELEGLAS_EDGE_ADDRESS:-127.0.0.1}:"))
    networks = COMPOSE["networks"]
    assert [name for name, one in networks.items() if not one.get("internal")] == ["outside"]
    assert [n for n, one in SERVICES.items() if "outside" in one.get("networks", ())] == ["haproxy"]
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            is_secret = any(word in key for word in ("PASSWORD", "SECRET", "TOKEN", "DSN", "__URL"))
            assert not is_secret or str(value).startswith("/run/secrets"), (name, key)


def test_what_is_mounted_is_there() -> None:
    """Files of the repository exist; secrets are each their container's own."""
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith(("./deploy/compose", "./deploy/helm")):
                assert (ROOT / source).exists(), source
            if "/secrets/" in source and name in OWN:
                assert source == f"./.teleglas/secrets/{name}"
            if "/secrets/" in source:
                assert volume.endswith(":ro")


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    if shutil.which("openssl") is None:
        pytest.skip("expected openssl on the PATH, there is none")
    spec = importlib.util.spec_from_file_location("prepare", ROOT / "deploy/compose/prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prepare"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def private_files() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("private_files")
def test_secrets_are_made_once_for_their_owner_alone(
    prepare: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A second start changes no byte; nothing is printed; every file has mode 0600."""
    state = tmp_path / "state"
    prepare.prepare(state, os.geteuid(), os.getegid())
    files = [path for path in state.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    prepare.prepare(state, os.geteuid(), os.getegid())
    assert {path: path.read_bytes() for path in files} == before
    said = capfd.readouterr()
    assert said.out + said.err == ""
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    for name in (*OWN, "gateway"):
        secrets = state / "secrets" / name
        verified = subprocess.run(
            ["openssl", "verify", "-CAfile", secrets / "ca.pem", secrets / "kafka.pem"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert verified.returncode == 0, verified.stderr
    mounted = {
        volume.split(":")[0].removeprefix("./.teleglas/")
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume.startswith("./.teleglas/")
    }
    assert all((state / source).exists() for source in mounted)


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("private_files")
async def test_the_broker_of_compose_knows_its_users(prepare: ModuleType, tmp_path: Path) -> None:
    """The real broker on compose's own configuration and certificates: the operator writes the
    rules, the migration job the topics, a service reads its own and no other.
    """
    secrets = tmp_path / "secrets"
    authority = prepare.Authority(secrets / "ca")
    server = prepare.Store(secrets / "kafka-server").folder
    authority.issue(server, "server", "kafka", f"IP:{LOOPBACK}")
    await asyncio.to_thread(prepare.prepare, tmp_path, os.geteuid(), os.getegid())
    plain, port, controller = free_ports(3)
    lines = (ROOT / "deploy/compose/kafka/server.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert properties["listeners"] == "SSL://:9092,CONTROLLER://:9093"
    here = f"SSL://{LOOPBACK}:{port},PLAINTEXT://{LOOPBACK}:{plain}"
    properties |= {
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "listeners": f"{here},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": here,
        "listener.security.protocol.map": "SSL:SSL,CONTROLLER:SSL,PLAINTEXT:PLAINTEXT",
        "ssl.keystore.location": str(server / "store.pem"),
        "ssl.truststore.location": str(server / "ca.pem"),
        "log.dirs": str(tmp_path / "kafka" / "log"),
    }
    broker = EmbeddedKafka(tmp_path / "kafka", plain, overrides=properties)
    await broker.start()

    def section(user: str) -> KafkaSection:
        folder = secrets / user
        return KafkaSection(
            bootstrap=f"{LOOPBACK}:{port}",
            security_protocol="SSL",
            ssl_ca_file=folder / "ca.pem",
            ssl_cert_file=folder / "kafka.pem",
            ssl_key_file=folder / "kafka.key",
        )

    try:
        with pytest.raises(BusError):
            await create_bus(section("migrate"), "tests").create(topics.ALL)
        await allow(kafka_settings(section("operator"), "tests"), rules())
        epochs = await create_bus(section("migrate"), "tests").create([*topics.ALL, *INTERNAL])
        assert len(epochs) == len(topics.ALL) + len(INTERNAL)
        gateway = create_bus(section("gateway"), "tests")
        assert await gateway.ends([topics.WHALE_ALERTS_V1.name])
        with pytest.raises(BusError):
            await gateway.ends([topics.NOTIFICATION_DELIVERIES_V1.name])
        with pytest.raises(BusError):
            await create_bus(KafkaSection(bootstrap=broker.bootstrap), "tests").ends(
                [topics.WHALE_ALERTS_V1.name]
            )
    finally:
        await broker.stop()
