"""The container engine: builds the images and runs them the way a locked-down cluster does.

`DOCKER` names the program; without it the first `docker` on the PATH that can build with BuildKit
is taken. Containers share this machine's network, where the tests' Kafka and PostgreSQL listen on
loopback, so the engine must run on Linux.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

__all__ = ["Container", "Engine", "EngineError", "Outcome", "engine"]

USER = "10001:10001"
PYTHON = "/opt/teleglas/bin/python"
SHELLS = ("/usr/bin/dash", "/usr/bin/bash")
LOCKED_DOWN = (
    *("--network", "host", "--user", USER, "--read-only", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--tmpfs", "/tmp:size=64m,nosuid,nodev"),  # noqa: S108
    # nothing can be run from there: a shell that is needed all the same is noticed
    *(word for shell in SHELLS for word in ("--volume", f"/dev/null:{shell}:ro")),
)
"""What a pod under the `restricted` standard with a read-only root has, and no shell besides."""


class EngineError(RuntimeError):
    """No engine, or one that refused; with its own words."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program in a container ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started."""

    engine: Engine
    name: str

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.engine.inspect("container", self.name)["State"]
        return found

    @property
    def started_s(self) -> float:
        """When its process began, as seconds since 1970."""
        moment = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", self.state["StartedAt"])
        return datetime.fromisoformat(moment).timestamp()

    def logs(self) -> str:
        outcome = self.engine.call("logs", self.name)
        return outcome.out + outcome.err

    def python(self, *arguments: str) -> Outcome:
        """Run the image's Python beside the service."""
        return self.engine.call("exec", self.name, PYTHON, *arguments)

    def terminate(self, grace_s: int) -> int:
        """SIGTERM, and SIGKILL after the grace; the exit code."""
        self.engine.must("stop", "--time", str(grace_s), self.name)
        return int(self.state["ExitCode"])


@dataclass(frozen=True, slots=True)
class Engine:
    """One Docker engine."""

    program: str

    @property
    def name(self) -> str:
        versions = self.must("version", "--format", "{{.Client.Version}} {{.Server.Version}}")
        client, server = versions.split()
        return f"{self.program} (client {client}, server {server})"

    @property
    def has_bridge(self) -> bool:
        """Whether builds have a network of their own; one without must use the machine's."""
        return "bridge" in self.must("network", "ls", "--format", "{{.Name}}").split()

    def call(self, *arguments: str, timeout_s: float = 120.0) -> Outcome:
        done = subprocess.run(
            [self.program, *arguments],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str, timeout_s: float = 120.0) -> str:
        outcome = self.call(*arguments, timeout_s=timeout_s)
        if outcome.code != 0:
            tail = outcome.err.strip()[-4_000:]
            raise EngineError(f"{self.program} {' '.join(arguments)} ended with\n{tail}")
        return outcome.out.strip()

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.must(kind, "inspect", name))
        return found[0]

    def run(self, image: str, env: Mapping[str, str], *arguments: str) -> Outcome:
        """Run an image's entry point, locked down, to its end."""
        return self.call("run", "--rm", *LOCKED_DOWN, *_variables(env), image, *arguments)

    @contextmanager
    def started(
        self, image: str, env: Mapping[str, str], *arguments: str, entrypoint: str | None = None
    ) -> Iterator[Container]:
        """A running container, locked down, that is gone afterwards."""
        name = f"teleglas-{secrets.token_hex(4)}"
        entry = ("--entrypoint", entrypoint) if entrypoint else ()
        options = ("--detach", "--name", name, *LOCKED_DOWN, *entry, *_variables(env))
        try:
            self.must("run", *options, image, *arguments)
            yield Container(self, name)
        finally:
            self.call("rm", "--force", "--volumes", name)


def _variables(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        yield from ("--env", f"{name}={value}")


@cache
def engine() -> Engine:
    """The engine of this machine; EngineError says what is missing."""
    named = os.environ.get("DOCKER")
    folders = os.environ.get("PATH", "").split(os.pathsep)
    found = [named] if named else [shutil.which("docker", path=folder) for folder in folders]
    programs = list(dict.fromkeys(program for program in found if program))
    if not programs:
        raise EngineError("expected docker on the PATH, or named by DOCKER")
    able = [program for program in programs if _can_build(program)]
    if not able:
        raise EngineError(f"expected BuildKit, {', '.join(programs)}: install the buildx plugin")
    chosen = Engine(able[0])
    chosen.must("info")
    return chosen


def _can_build(program: str) -> bool:
    """Clients before 23 have BuildKit built in, later ones as the buildx plugin."""
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    major = re.search(r"version (\d+)\.", version.stdout)
    if major and int(major[1]) < 23:
        return True
    plugin = subprocess.run([program, "buildx", "version"], capture_output=True, check=False)
    return plugin.returncode == 0


def wait_until_ready(container: Container, url: str, timeout_s: float) -> float:
    """Ask until it says yes; the seconds since the container's start. EngineError with its log."""
    from urllib.request import urlopen

    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        try:
            with urlopen(url, timeout=1.0) as answer:  # noqa: S310  our own http address
                if answer.status == 200:
                    return time.time() - container.started_s
        except OSError:
            if not container.state["Running"]:
                break
        time.sleep(0.02)
    raise EngineError(f"expected {url} to answer 200, was not; the log:\n{container.logs()}")
