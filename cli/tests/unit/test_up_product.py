"""A product of all seven services and the chat, as real processes that only say that they run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teleglas_cli.running import Running
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.process import ProcessError
from teleglas_cli.up import services
from teleglas_cli.up.options import Options, Source
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import TABLE
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus

ALL = tuple(row.name for row in TABLE)
PROGRAM = """
import http.server, json, os, signal, sys
from pathlib import Path

folder = Path(os.environ["TELEGLAS_FAKE__FOLDER"])
name = (__spec__.name if "botapi" in __spec__.name else __spec__.parent).rpartition(".")[2]
name = name.removeprefix("teleglas_").replace("_", "-")
own = {key: value for key, value in os.environ.items() if key.startswith("TELEGLAS_")}
(folder / f"{name}.json").write_text(json.dumps({"env": own, "argv": sys.argv[1:]}))
port = own.get("TELEGLAS_HTTP__PORT") or sys.argv[sys.argv.index("--port") + 1]


def stop(*_):
    with (folder / "stopped").open("a") as log:
        log.write(name + "\\n")
    os._exit(0)


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


signal.signal(signal.SIGTERM, stop)
http.server.HTTPServer(("127.0.0.1", int(port)), Ready).serve_forever()
"""


class NoStack:
    """Servers that nobody asks anything of."""

    kafka_bootstrap, postgres_dsn, redis_url = "none:1", "postgresql://none", "redis://none"
    addresses = StackAddresses(kafka_bootstrap, postgres_dsn, redis_url)
    servers = ()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class ProductOfFakes(Product):
    """Real processes over a log in memory."""

    def __init__(self, options: Options, said: list[str]) -> None:
        super().__init__(options, said.append)
        self.stack = NoStack()  # type: ignore[assignment]
        self._log = MemoryBus()

    @property
    def bus(self) -> Bus:
        return self._log


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs stand that play the services, and what they leave behind."""
    programs = tmp_path / "programs"
    modules = [f"teleglas_{name.replace('-', '_')}/main.py" for name in ALL]
    for module in (*modules, "teleglas_sim/botapi.py"):
        path = programs / module
        path.parent.mkdir(parents=True)
        (path.parent / "__init__.py").touch()
        path.write_text(PROGRAM)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "demo.key").write_text("tg_demo\n")
    monkeypatch.setenv("PYTHONPATH", str(programs))
    monkeypatch.setenv("TELEGLAS_FAKE__FOLDER", str(tmp_path))
    monkeypatch.delenv("TELEGRAM_TOKEN", raising=False)
    monkeypatch.setattr(services, "STARTED", ALL)
    return tmp_path


def options(folder: Path, **chosen: Any) -> Options:
    extra = (("PYTHONPATH", str(folder / "programs")),)
    return Options(folder / "state", source=Source.LIVE, extra_env=extra, **chosen)


@pytest.fixture
async def product(folder: Path) -> AsyncIterator[ProductOfFakes]:
    made = ProductOfFakes(options(folder), [])
    await made.start()
    yield made
    await made.stop()


def told(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


async def test_all_run_and_find_each_other(folder: Path, product: ProductOfFakes) -> None:
    """The gateway has every target, the chat and notification alone have the token."""
    env = {name: told(folder, name)["env"] for name in (*ALL, "botapi")}
    for row in TABLE:
        if row.has_grpc:
            target = env["gateway"][row.target]
            assert target == f"127.0.0.1:{env[row.name]['TELEGLAS_GRPC__PORT']}"
    token = env["botapi"]["TELEGLAS_BOTAPI_TOKEN"]
    assert env["notification"]["TELEGLAS_TELEGRAM__TOKEN"] == token
    assert env["notification"]["TELEGLAS_TELEGRAM__API_URL"] == product.layout.chat_url
    holders = {name for name in env if token in env[name].values()}
    assert holders == {"botapi", "notification"}
    assert token not in " ".join(told(folder, "botapi")["argv"])
    running = Running.read(folder)
    assert running.chat_url == product.layout.chat_url
    assert set(running.services) == set(ALL)
    assert set(running.grpc) == {row.name for row in TABLE if row.has_grpc}


async def test_what_brings_data_in_stops_first_and_the_chat_last(
    folder: Path, product: ProductOfFakes
) -> None:
    """Each is stopped when those that write to it are."""
    await product.stop()
    stopped = (folder / "stopped").read_text().split()
    assert stopped == [*ALL, "botapi"]
    assert not (folder / "running.json").exists()


async def test_a_service_that_is_left_out_is_nobodys_target(folder: Path) -> None:
    """It is not started and not named to the others."""
    made = ProductOfFakes(options(folder, without=("prediction", "notification")), [])
    await made.start()
    await made.stop()
    assert not (folder / "prediction.json").exists()
    assert not (folder / "botapi.json").exists()
    env = told(folder, "gateway")["env"]
    assert "TELEGLAS_PREDICTIONS__TARGET" not in env
    assert "TELEGLAS_SIGNALS__TARGET" in env


async def test_a_service_that_does_not_start_ends_the_others(folder: Path) -> None:
    """It is named, with the end of its log, and nothing is left behind."""
    path = folder / "programs" / "teleglas_prediction" / "main.py"
    path.write_text("raise SystemExit('expected a model registry, found none')")
    made = ProductOfFakes(options(folder), [])
    with pytest.raises(ProcessError, match="expected a model registry"):
        await made.start()
    assert not [process.name for process in made.everything() if process.running]
