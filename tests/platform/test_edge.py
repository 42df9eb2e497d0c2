"""Debian's HAProxy on compose's own configuration, before two real gateways of a real product."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_cli.stack.process import ManagedProcess
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import answers
from teleglas_common.testing import eventually
from tests.support.product import running_product
from tests.support.secure import Certificates
from tests.support.stream import Follower

pytestmark = [
    pytest.mark.platform,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
]

CONFIG = Path(__file__).parents[2] / "deploy" / "compose" / "haproxy.cfg"
UIS = ("GRAFANA", "JAEGER", "PROMETHEUS", "ALERTMANAGER", "CHAT")


@dataclass(frozen=True, slots=True)
class Edge:
    """A running edge and what stands behind it."""

    product: Product
    port: int
    own_port: int
    ca_file: Path
    gateways: tuple[ManagedProcess, ManagedProcess]

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        headers = {"Authorization": f"Bearer {self.product.running.demo_key}"}
        connector = aiohttp.TCPConnector(ssl=self.tls)
        async with aiohttp.ClientSession(self.url, headers=headers, connector=connector) as one:
            yield one

    def curl(self, *arguments: str) -> str:
        command = ["curl", "-sS", "--cacert", str(self.ca_file), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr


def config_with_two(folder: Path, ports: tuple[int, int]) -> Path:
    """The configuration with both gateways in place of the template's name."""
    lines = CONFIG.read_text().splitlines(keepends=True)
    (template,) = [line for line in lines if line.lstrip().startswith("server-template")]
    servers = "".join(f"    server g{port} {LOOPBACK}:{port}\n" for port in ports)
    path = folder / "haproxy.cfg"
    path.write_text("".join(servers if line == template else line for line in lines))
    return path


def environment(port: int, own_port: int, folder: Path, ca: Certificates) -> dict[str, str]:
    pair = ca.issue(LOOPBACK, "localhost")
    bundle = folder / "edge.pem"
    bundle.write_bytes(pair.key_file.read_bytes() + pair.cert_file.read_bytes())
    binds = {f"{name}_BIND": f"{LOOPBACK}:{free_ports(1)[0]}" for name in UIS}
    return {
        "EDGE_BIND": f"{LOOPBACK}:{port}",
        "EDGE_CERTIFICATE": str(bundle),
        "EDGE_REQUESTS_PER_10S": "150",
        "EDGE_CONNECTIONS": "50",
        "GATEWAYS": f"{LOOPBACK}:1",
        "OWN_BIND": f"{LOOPBACK}:{own_port}",
        **binds,
        **dict.fromkeys(UIS, f"{LOOPBACK}:1"),
    }


def second_gateway(product: Product) -> tuple[ManagedProcess, int]:
    """Another replica of the product's gateway."""
    first = product.processes["gateway"]
    (port,) = free_ports(1)
    env = {**(first.env or {}), "TELEGLAS_HTTP__PORT": str(port)}
    process = ManagedProcess(
        "gateway-2",
        first.argv,
        env,
        product.options.state_dir / "logs" / "gateway-2.log",
        lambda: answers(f"http://{LOOPBACK}:{port}/ready"),
        ready_timeout_s=120,
    )
    return process, port


@pytest.fixture(scope="module")
def haproxy() -> str:
    found = shutil.which("haproxy")
    if found is None:
        pytest.skip("expected haproxy on the PATH, of apt-get install haproxy")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edge")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def edge(haproxy: str, folder: Path) -> AsyncIterator[Edge]:
    async with running_product(folder, rate=100, without=WITHOUT) as product:
        second, second_port = second_gateway(product)
        await second.start()
        ports = (product.layout.http_ports["gateway"], second_port)
        port, own_port = free_ports(2)
        ca = Certificates(folder / "certificates")
        env = environment(port, own_port, folder, ca)
        config = config_with_two(folder, ports)
        process = ManagedProcess(
            "haproxy",
            [haproxy, "-f", str(config)],
            env,
            folder / "haproxy.log",
            lambda: answers(f"http://{LOOPBACK}:{own_port}/health"),
        )
        await process.start()
        try:
            gateways = (product.processes["gateway"], second)
            made = Edge(product, port, own_port, ca.ca_file, gateways)
            await eventually(lambda: is_ready(made), timeout_s=60, every_s=0.5)
            yield made
        finally:
            await process.stop()
            await second.stop()


WITHOUT = ("whale-detector", "signal-scorer", "prediction")


async def is_ready(edge: Edge) -> bool:
    async with edge.client() as client, client.get("/ready") as response:
        return response.status == 200


def test_the_configuration_as_it_is_mounted_is_valid(haproxy: str, tmp_path: Path) -> None:
    """The file itself, with a name that nobody knows for the gateways."""
    env = environment(443, 8404, tmp_path, Certificates(tmp_path))
    done = subprocess.run(
        [haproxy, "-c", "-f", CONFIG], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_only_tls_1_3_and_http_2_is_spoken(edge: Edge) -> None:
    """An older version is refused in the handshake; HTTP/2 is what is agreed on."""
    old = edge.tls
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection(LOOPBACK, edge.port, ssl=old)
    said = await asyncio.to_thread(
        edge.curl, "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
        f"{edge.url}/ready",
    )  # fmt: skip
    assert said == "2 200"


async def test_metrics_stay_inside(edge: Edge) -> None:
    """Whatever the path is written like; inside they are there."""
    for path in ("/metrics", "/metrics/", "//metrics", "/%6Detrics", "/METRICS", "/metrics?a=b"):
        said = await asyncio.to_thread(
            edge.curl, "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", edge.url + path
        )
        assert said == "404", path
    for url in (f"{edge.product.layout.gateway_url}/metrics", own(edge)):
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            assert response.status == 200
            assert "# TYPE" in await response.text()


def own(edge: Edge) -> str:
    return f"http://{LOOPBACK}:{edge.own_port}/metrics"


async def hear(socket: ClientConnection, follower: Follower, count: int) -> None:
    until = follower.taken + count
    while follower.taken < until:
        follower.take(json.loads(await asyncio.wait_for(socket.recv(), 60)))


async def test_a_stream_resumes_on_the_other_gateway_when_one_dies(edge: Edge) -> None:
    """The gateway of a stream is killed: the client comes back to the one that is left, and no
    message is missing or there twice. The dead one is taken out and back in by its health.
    """
    follower = Follower()
    headers = {"Authorization": f"Bearer {edge.product.running.demo_key}"}
    params: dict[str, Any] = {
        "channel": "trades",
        "symbol": ["BTC-USDT"],
        "venue": ["binance"],
        "snapshot": False,
    }
    url = f"wss://{LOOPBACK}:{edge.port}/v1/stream"

    @asynccontextmanager
    async def stream(more: dict[str, Any]) -> AsyncIterator[ClientConnection]:
        async with connect(url, additional_headers=headers, ssl=edge.tls) as socket:
            command = {"method": "subscribe", "params": params | more, "req_id": 1}
            await socket.send(json.dumps(command))
            yield socket

    async with stream({}) as socket:
        await hear(socket, follower, 20)
        for gateway in edge.gateways:
            await edge.product.leave(gateway.name)
        serving = await with_streams(edge)
        await serving.kill9()
        with pytest.raises(Exception, match=r"."):  # however the connection ends
            await hear(socket, follower, 10_000)

    async def comes_back() -> None:
        try:
            async with stream({"resume": follower.resume}) as again:
                await hear(again, follower, 20)
        except (OSError, TimeoutError) as error:
            raise AssertionError("expected the other gateway") from error

    await eventually(comes_back, timeout_s=60, every_s=1.0)
    assert not follower.faults
    assert not follower.unrecovered
    async with edge.client() as client:
        for _ in range(10):
            async with client.get("/v1/tickers") as response:
                assert response.status == 200
    await serving.start()


async def with_streams(edge: Edge) -> ManagedProcess:
    """The gateway that the one stream is on."""
    for gateway in edge.gateways:
        port = (gateway.env or {})["TELEGLAS_HTTP__PORT"]
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://{LOOPBACK}:{port}/ws/health") as response,
        ):
            if (await response.json())["connections"]:
                return gateway
    raise AssertionError("expected a gateway with a stream")


async def key_of(edge: Edge, tenant: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "teleglas_gateway.keys", "--tenant", tenant),
        *("create", "--name", "tester"),
        env=edge.gateways[0].env,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


async def test_tenants_see_nothing_of_each_other(edge: Edge) -> None:
    """Subscribers, rules and deliveries of one are not there for another, by list, id or change."""
    keys = {tenant: await key_of(edge, tenant) for tenant in ("acme", "other")}

    async def ask(tenant: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {keys[tenant]}"}
        async with (
            edge.client() as client,
            client.request(method, path, json=body, headers=headers) as response,
        ):
            text = await response.text()
            return response.status, json.loads(text) if text else None

    subscriber = {
        "channel": "telegram", "address": "4242", "time_zone": "UTC",
        "budget_per_hour": 5, "enabled": True,
    }  # fmt: skip
    status, made = await ask("acme", "PUT", "/v1/subscribers/mine", subscriber)
    assert status in (200, 201), made
    rule = {"subscriber_id": "mine", "name": "all", "kinds": ["whale"], "enabled": True}
    status, made = await ask("acme", "PUT", "/v1/rules/all", rule)
    assert status in (200, 201), made
    status, mine = await ask("acme", "GET", "/v1/subscribers")
    assert [one["id"] for one in mine["data"]] == ["mine"]
    for path in ("/v1/subscribers", "/v1/rules", "/v1/deliveries"):
        status, theirs = await ask("other", "GET", path)
        assert (status, theirs["data"]) == (200, []), path
    assert (await ask("other", "DELETE", "/v1/rules/all"))[0] == 404
    status, stolen = await ask("other", "PUT", "/v1/rules/stolen", rule)
    assert 400 <= status < 500, stolen
    status, rules = await ask("acme", "GET", "/v1/rules")
    assert [one["id"] for one in rules["data"]] == ["all"]


async def test_an_address_that_asks_too_much_is_told_to_wait(edge: Edge) -> None:
    """429 as a problem with Retry-After, long before the gateway's own limits; others' metadata
    about the client does not help. Comes last: it uses the address up.
    """
    statuses = []
    async with edge.client() as client:
        for number in range(200):
            forged = {"X-Forwarded-For": f"203.0.113.{number}"}
            async with client.get("/health", headers=forged) as response:
                statuses.append(response.status)
                last = dict(response.headers), await response.text()
    assert statuses[0] == 200
    assert statuses[-1] == 429
    headers, text = last
    assert headers["Retry-After"] == "10"
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(text)["code"] == "rate_limited"
