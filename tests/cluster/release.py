"""A release of the laptop preset in a namespace of its own, with a prober beside it."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import yaml

from teleglas_cli.up.services import STARTED
from teleglas_common.testing import eventually
from tests.cluster.kubectl import CHART, ROOT, CommandError, Namespace

__all__ = ["PARTS", "SERVERS", "SERVICES", "TAG", "Release", "installed"]

SERVICES = STARTED
SERVERS = ("kafka", "postgres", "redis")
PARTS = (*SERVICES, *SERVERS)
"""What is evicted and killed; the simulator and the Bot API stand for the venues and Telegram."""
VERSION: str = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
TAG = os.environ.get("TELEGLAS_CLUSTER_TAG") or VERSION
RATE = int(os.environ.get("TELEGLAS_CLUSTER_RATE", "2000"))
PREFIX = os.environ.get("TELEGLAS_CLUSTER_NAMESPACE", "teleglas-test")
READY_TIMEOUT_S = 420.0
BACK_TIMEOUT_S = 240.0
Json = dict[str, Any]

KILL = """
import os, pathlib, signal
for proc in pathlib.Path("/proc").glob("[0-9]*"):
    if int(proc.name) != os.getpid() and b"-m\\0teleglas_" in (proc / "cmdline").read_bytes():
        os.kill(int(proc.name), signal.SIGKILL)
"""
KILL_SERVER = """
for p in /proc/[0-9]*; do
  n=${p#/proc/}
  case "$n:$(tr '\\0' ' ' <$p/cmdline)" in
    1:*|$$:*) ;;
    *:java*|*:postgres*|*:*redis-server*) kill -9 $n ;;
  esac
done
"""


class Release:
    """One installed release. `rate` is the simulator's."""

    def __init__(self, namespace: Namespace, rate: int) -> None:
        self.namespace = namespace
        self.rate = rate

    async def helm(self, command: str, *more: str) -> None:
        """install or upgrade, and wait until all is ready."""
        values = [
            *("--set", f"simulator.rate={self.rate}", "--set", "shareProcessNamespace=true"),
            # A market and a chat that are replaced begin anew: an upgrade is not to touch them.
            *("--set", f"image.tag={TAG},simulator.tag={TAG},botApi.tag={TAG}"),
            *os.environ.get("TELEGLAS_CLUSTER_HELM", "").split(),
        ]
        preset = CHART / "values-laptop.yaml"
        wait = ("--wait", "--timeout", f"{READY_TIMEOUT_S:g}s")
        await self.namespace.helm(command, "teleglas", CHART, "-f", preset, *values, *wait, *more)

    async def rollback(self) -> None:
        """To the revision before."""
        await self.namespace.helm(
            "rollback", "teleglas", "--wait", "--timeout", f"{READY_TIMEOUT_S:g}s"
        )

    async def kill(self, part: str) -> None:
        """SIGKILL to every process of a part; its container starts again in the same pod."""
        pod = (await self.namespace.pod_of(part))["metadata"]["name"]
        before = await self.restarts(part)
        if part in SERVERS:
            await self.namespace.execute(pod, "sh", "-c", KILL_SERVER)
        else:
            await self.namespace.execute(pod, "/opt/teleglas/bin/python", "-c", KILL)

        async def assert_restarted() -> None:
            assert await self.restarts(part) > before

        await eventually(assert_restarted, timeout_s=60, every_s=0.5)

    async def evict(self, part: str) -> None:
        """The pod goes and another one takes its place."""
        before = (await self.namespace.pod_of(part))["metadata"]
        await self.namespace.evict(before["name"])

        async def assert_replaced() -> None:
            assert (await self.namespace.pod_of(part))["metadata"]["uid"] != before["uid"]

        await eventually(assert_replaced, timeout_s=BACK_TIMEOUT_S, every_s=1.0)

    async def restarts(self, part: str) -> int:
        status = (await self.namespace.pod_of(part))["status"]
        return sum(one["restartCount"] for one in status.get("containerStatuses", ()))

    async def back(self) -> None:
        """Wait until every pod is ready."""

        async def assert_ready() -> None:
            unready = [
                pod["metadata"]["name"] for pod in await self.namespace.pods() if not is_ready(pod)
            ]
            assert not unready, f"expected ready pods, were not: {unready}"

        await eventually(assert_ready, timeout_s=BACK_TIMEOUT_S, every_s=1.0)

    async def probe(self, command: str, timeout_s: float = 300.0) -> Json:
        """A command of tests/cluster/probe.py, run inside the cluster."""
        module = ("/opt/teleglas/bin/python", "-m", "tests.cluster.probe", command)
        out = await self.namespace.execute("prober", *module, timeout_s=timeout_s)
        found: Json = json.loads(out.splitlines()[-1])
        return found

    async def flows(self) -> float:
        """Wait until trades, candles, rows and the stream go on; the seconds that it took."""
        began_s = time.monotonic()
        await self.probe("flows")
        return time.monotonic() - began_s

    async def settled(self) -> None:
        """Stop what brings data in."""
        await self.namespace.kubectl("scale", "deployment/ingest", "--replicas=0")
        selector = ("wait", "pod", "-l", "app.kubernetes.io/name=ingest")
        await self.namespace.kubectl(*selector, "--for=delete", "--timeout=90s", timeout_s=100)


def is_ready(pod: Json) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


@asynccontextmanager
async def installed(rate: int = RATE) -> AsyncIterator[Release]:
    """An installed release that is ready; when the test fails, what its pods said is printed."""
    namespace = Namespace(f"{PREFIX}-{secrets.token_hex(3)}")
    await namespace.create()
    try:
        release = Release(namespace, rate)
        began_s = time.monotonic()
        await release.helm("install")
        print(f"ready after {time.monotonic() - began_s:.0f} s")  # noqa: T201
        await start_prober(namespace)
        yield release
    except BaseException:
        await show(namespace)
        raise
    finally:
        if "TELEGLAS_CLUSTER_KEEP" not in os.environ:
            await namespace.delete()


async def show(namespace: Namespace) -> None:
    """State of the pods and the end of their logs."""
    print(await namespace.kubectl("get", "pods,jobs", "-o", "wide"))  # noqa: T201
    events = ("get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
    print(*(await namespace.kubectl(*events)).splitlines()[-20:], sep="\n")  # noqa: T201
    for pod in await namespace.pods():
        name = pod["metadata"]["name"]
        for previous in ("--previous=false", "--previous=true"):
            try:
                said = await namespace.kubectl("logs", name, "--tail=15", previous)
            except CommandError:
                continue
            print(f"--- {name} {previous}", said, sep="\n")  # noqa: T201


async def start_prober(namespace: Namespace) -> None:
    """A pod of the tools image that has this folder and tests/support, and follows the stream."""
    sources = {
        str(path.relative_to(ROOT)): path.read_text()
        for folder in ("tests/support", "tests/cluster")
        for path in sorted((ROOT / folder).glob("*.py"))
    }
    files = {path.replace("/", "."): text for path, text in sources.items()}
    gateway = await namespace.pod_of("gateway")
    image = gateway["spec"]["containers"][0]["image"].replace("/gateway:", "/tools:")
    labels = {"app.kubernetes.io/name": "prober"}
    peer = {"podSelector": {"matchLabels": labels}}
    await namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "prober"},
            "data": files,
        },
        *(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": f"prober-{name}"},
                "spec": {"podSelector": selector, "policyTypes": [name.title()], name: rule},
            }
            for name, selector, rule in (
                ("ingress", {}, [{"from": [peer]}]),
                ("egress", {"matchLabels": labels}, [{}]),
            )
        ),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "prober", "labels": labels},
            "spec": prober_spec(
                image, {key: path for path, key in zip(sources, files, strict=True)}
            ),
        },
    )
    ready = ("wait", "pod/prober", "--for=condition=Ready", "--timeout=120s")
    await namespace.kubectl(*ready, timeout_s=130)


def prober_spec(image: str, paths: dict[str, str]) -> Json:
    def secret(variable: str, name: str) -> Json:
        reference = {"secretKeyRef": {"name": name, "key": variable}}
        return {"name": variable, "valueFrom": reference}

    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "prober",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/opt/teleglas/bin/python", "-m", "tests.cluster.probe", "follow"],
                "env": [
                    {"name": "PYTHONPATH", "value": "/probe"},
                    {"name": "TELEGLAS_KAFKA__BOOTSTRAP", "value": "kafka:9092"},
                    secret("TELEGLAS_POSTGRES__DSN", "migrate-secrets"),
                    secret("TELEGLAS_API_KEY", "demo-key"),
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "tests", "mountPath": "/probe"},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the pod's own
                ],
            }
        ],
        "volumes": [
            {
                "name": "tests",
                "configMap": {
                    "name": "prober",
                    "items": [{"key": key, "path": path} for key, path in paths.items()],
                },
            },
            {"name": "tmp", "emptyDir": {}},
        ],
    }
