"""Every preset and option before the real API server; nothing but accounts is made."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.cluster.kubectl import CHART, Namespace, run
from tests.cluster.release import PREFIX

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

CRDS = "TELEGLAS_CRDS"
SCALED = tuple(
    f"services.{name}.autoscaling.enabled=true"
    for name in ("market-data", "whale-detector", "signal-scorer", "prediction", "gateway")
)
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "laptop": ("laptop", ()),
    "laptop in the mesh": ("laptop", ("mesh.enabled=true",)),
    "laptop without policies": ("laptop", ("network.enabled=false",)),
    "laptop, processes visible": ("laptop", ("shareProcessNamespace=true",)),
    "small": ("small", ()),
    "small with a route": ("small", ("edge.kind=gateway", "edge.parentRefs[0].name=edge")),
    "small with certificates": (
        "small",
        ("kafka.securityProtocol=SSL", "kafka.caSecret=ca", "kafka.clientCertificates=true"),
    ),
    "small scaled by CPU": (
        "small",
        (*SCALED, *(one.replace("enabled=true", "by=hpa") for one in SCALED)),
    ),
    "small scaled by lag": ("small", (*SCALED, "prometheus.address=http://prometheus:9090")),
    "small, canary and monitor": (
        "small",
        ("services.gateway.canary.enabled=true", "podMonitor.enabled=true"),
    ),
    "production": ("production", ()),
    "production in the mesh": ("production", ("mesh.enabled=true",)),
    "production, secrets given": (
        "production",
        (
            "secrets.mode=generate",
            "secrets.provided.TELEGLAS_POSTGRES__DSN=postgresql://a:b@c/d",
            "secrets.provided.TELEGLAS_REDIS__URL=rediss://c",
        ),
    ),
}


def definitions() -> list[Path]:
    """Of others' resources, as far as they could be had."""
    folder = os.environ.get(CRDS)
    if not folder:
        print(f"no definitions of others' resources: {CRDS} names no folder")  # noqa: T201
        return []
    return sorted(Path(folder).glob("*.yaml"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def namespace():
    """One that refuses and warns as `restricted` does."""
    for path in definitions():
        await run("kubectl", "apply", "--server-side", "--force-conflicts", "-f", path)
    made = Namespace(f"{PREFIX}-dry-{secrets.token_hex(3)}")
    await made.create()
    warn = "pod-security.kubernetes.io/warn=restricted"
    await run("kubectl", "label", "namespace", made.name, warn)
    yield made
    await made.delete()


def values(preset: str, options: tuple[str, ...]) -> list[str]:
    chosen = ["--values", str(CHART / f"values-{preset}.yaml")]
    return chosen + [part for option in options for part in ("--set", option)]


async def known_kinds() -> set[tuple[str, str]]:
    """API version and kind of all that the server knows."""
    lines = (await run("kubectl", "api-resources", "--no-headers")).splitlines()
    return {(line.split()[-3], line.split()[-1]) for line in lines}


@pytest.mark.parametrize("name", OPTIONS)
async def test_the_api_server_takes_what_the_chart_renders(namespace, name):
    """Of kinds that it knows; the others are named. No pod is against `restricted`."""
    chosen = values(*OPTIONS[name])
    await run("helm", "lint", "--strict", CHART, *chosen)
    version = json.loads(await run("kubectl", "version", "-o", "json"))["serverVersion"]
    told = ("--kube-version", version["gitVersion"])
    text = await namespace.helm("template", "teleglas", CHART, *told, *chosen)
    objects: list[dict[str, Any]] = [one for one in yaml.safe_load_all(text) if one]
    known = await known_kinds()
    judged = [one for one in objects if (one["apiVersion"], one["kind"]) in known]
    unjudged = sorted({f"{one['apiVersion']} {one['kind']}" for one in objects} - shown(judged))
    # A pod is refused while its account is not there.
    await namespace.apply(*(one for one in judged if one["kind"] == "ServiceAccount"))
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": judged})
    said = await namespace.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "-f", "-"), stdin=listed, timeout_s=180
    )
    print(f"{len(judged)} of {len(objects)} objects judged; unknown kinds: {unjudged or 'none'}")  # noqa: T201
    assert len(said.splitlines()) == len(judged)


def shown(objects: list[dict[str, Any]]) -> set[str]:
    return {f"{one['apiVersion']} {one['kind']}" for one in objects}
