"""Each service's image, started the way a locked-down cluster does it, on the real stack."""

from __future__ import annotations

import json
from errno import EROFS

import pytest

from scripts.containers import PYTHON, Engine
from scripts.image_runs import SERVICES, image_name, service, settings
from teleglas_cli.stack.local import StackAddresses

pytestmark = [pytest.mark.images, pytest.mark.timeout(180)]

START_S = 5.0
GRACE_S = 30
PROBE = ("-m", "teleglas_common.probe")
TELL = """
import json
status = dict(line.split(":", 1) for line in open("/proc/1/status").read().splitlines())
def refused(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.errno
print(json.dumps({
    "uid": status["Uid"].split(),
    "capabilities": [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "refused": {path: refused(path) for path in ("/file", "/opt/teleglas/file", "/tmp/file")},
}))
"""


@pytest.mark.parametrize("name", SERVICES)
def test_service_locked_down_is_ready_in_time_and_drains(
    name: str, docker: Engine, tag: str, prepared: StackAddresses, venue: str, record_property
) -> None:
    """Read-only, as nobody, without capabilities and shells: ready in 5 s, probed, drained."""
    with service(docker, name, tag, prepared, venue) as (container, _, seconds):
        record_property("start_to_ready_s", round(seconds, 2))
        told = json.loads(container.python("-c", TELL).out)
        assert told == {
            "uid": ["10001"] * 4,
            "capabilities": ["0000000000000000"] * 3,
            "no_new_privileges": "1",
            "refused": {"/file": EROFS, "/opt/teleglas/file": EROFS, "/tmp/file": None},
        }
        live, ready = container.python(*PROBE), container.python(*PROBE, "--ready")
        assert (live.code, live.err, ready.code, ready.err) == (0, "", 0, "")
        assert seconds < START_S
        assert container.terminate(GRACE_S) == 0, container.logs()


@pytest.mark.parametrize("name", SERVICES)
def test_configuration_is_checked_without_starting(
    name: str, docker: Engine, tag: str, stack: StackAddresses
) -> None:
    """`--check-config` prints the settings with secrets masked; a fault is named and ends in 2."""
    env = settings(stack, 8080, 9090, "1,2")
    good = docker.run(image_name(name, tag), env, "--check-config")
    assert good.code == 0, good.err
    assert json.loads(good.out)["kafka"]["bootstrap"] == stack.kafka_bootstrap
    assert stack.postgres_dsn not in good.out
    bad = docker.run(image_name(name, tag), {**env, "TELEGLAS_HTTP__PORT": "70000"}, "--check-config")
    assert bad.code == 2
    assert "TELEGLAS_HTTP__PORT" in bad.err


@pytest.mark.parametrize("name", SERVICES)
def test_image_says_how_it_is_run(name: str, docker: Engine, tag: str) -> None:
    """Entry point and health command need no shell; the ports are those of every deployment."""
    config = docker.inspect("image", image_name(name, tag))["Config"]
    env = dict(line.split("=", 1) for line in config["Env"])
    assert config["Entrypoint"] == [PYTHON, "-m", f"teleglas_{name.replace('-', '_')}.main"]
    assert config["Healthcheck"]["Test"] == ["CMD", PYTHON, *PROBE]
    assert config["User"] == "10001:10001"
    assert (env["TELEGLAS_HTTP__HOST"], env["TELEGLAS_HTTP__PORT"]) == ("0.0.0.0", "8080")  # noqa: S104
    assert (env["TELEGLAS_GRPC__HOST"], env["TELEGLAS_GRPC__PORT"]) == ("0.0.0.0", "9090")  # noqa: S104
