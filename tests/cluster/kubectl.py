"""kubectl and helm, as a test calls them: on the cluster that KUBECONFIG names."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

__all__ = ["CHART", "ROOT", "CommandError", "Namespace", "run"]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/teleglas"
Json = dict[str, Any]


class CommandError(AssertionError):
    """A command failed; what it said is in the message."""


async def run(*argv: str | Path, stdin: str | None = None, timeout_s: float = 60.0) -> str:
    """Standard output of a command; CommandError when it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    shown = " ".join(str(part) for part in argv)
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CommandError(f"expected an end within {timeout_s:g} s: {shown}") from None
    if process.returncode or b"would violate PodSecurity" in err:
        raise CommandError(f"{shown}: {process.returncode}\n{err.decode()}{out.decode()}")
    return out.decode()


class Namespace:
    """One namespace of the cluster."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def create(self) -> None:
        """With Pod Security `restricted`: what does not keep to it is refused."""
        enforce = "pod-security.kubernetes.io/enforce"
        made = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.name, "labels": {enforce: "restricted"}},
        }
        await run("kubectl", "apply", "-f", "-", stdin=json.dumps(made))

    async def delete(self) -> None:
        await run("kubectl", "delete", "namespace", self.name, "--wait=false")

    async def kubectl(
        self, *arguments: str, stdin: str | None = None, timeout_s: float = 60.0
    ) -> str:
        return await run("kubectl", "-n", self.name, *arguments, stdin=stdin, timeout_s=timeout_s)

    async def helm(self, *arguments: str | Path, timeout_s: float = 900.0) -> str:
        return await run("helm", "-n", self.name, *arguments, timeout_s=timeout_s)

    async def apply(self, *objects: Json) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        await self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    async def pods(self, selector: str = "app.kubernetes.io/part-of=teleglas") -> list[Json]:
        """Pods that are neither done nor on their way out."""
        found = json.loads(await self.kubectl("get", "pods", "-l", selector, "-o", "json"))
        return [
            pod
            for pod in found["items"]
            if pod["status"].get("phase") not in ("Succeeded", "Failed")
            and "deletionTimestamp" not in pod["metadata"]
        ]

    async def pod_of(self, part: str) -> Json:
        """The one pod of a part."""
        found = await self.pods(f"app.kubernetes.io/name={part}")
        assert len(found) == 1, f"expected one pod of {part}, found {len(found)}"
        return found[0]

    async def execute(self, pod: str, *argv: str, timeout_s: float = 60.0) -> str:
        return await self.kubectl("exec", pod, "--", *argv, timeout_s=timeout_s)

    async def evict(self, pod: str) -> None:
        """Through the Eviction API, which asks the disruption budgets."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.name},
        }
        path = f"/api/v1/namespaces/{self.name}/pods/{pod}/eviction"
        await run("kubectl", "create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
