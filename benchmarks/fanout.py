"""Messages to 1,000 WebSocket clients: ours against picows and Starlette, and with stalled readers.

Each server runs in a process of its own and sends the same text to the same clients, which live in
this process and read from an epoll. Ours begins at a protobuf record in the log and encodes it; the
peers are given the finished text. A rate is deliveries a second of the server's CPU, so that a busy
machine does not decide. The ratio is that of one message at a time, the worst case for ours, which
writes what follows as one piece. Bursts are acknowledged by the clients before the next, so that
nothing queues up. Then a tenth of the clients stop reading, and the latency of the others is
compared with what it was before.
"""

from __future__ import annotations

import argparse
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from teleglas_gateway.channels import trades
from teleglas_gateway.stream.sequence import PartitionLog
from teleglas_gateway.stream.wire import V1Wire
from teleglas_gateway.testing import KEY, trade_batch

FOLDER = Path(__file__).parent
TARGET_PICOWS, TARGET_STALLED = 0.9, 1.2
STAMP = b'"ts_event":"'
STAMP_DIGITS = 19
SUBSCRIBE = b'{"method":"subscribe","params":{"channel":"trades","symbol":"BTC","venue":"binance"}}'


class Server:
    """One server process."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.port = int(self.ask())

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def ask(self, line: str = "") -> str:
        if line:
            self.tell(line)
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def cpu_s(self) -> float:
        return float(self.ask("cpu"))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Clients:
    """Sockets that count what they read."""

    def __init__(self, port: int, count: int, *, subscribe: bool) -> None:
        self._epoll = select.epoll()
        self._buffer = bytearray(1 << 20)
        self.sockets: dict[int, socket.socket] = {}
        for _ in range(count):
            one = _handshake(port)
            if subscribe:
                one.sendall(_masked(SUBSCRIBE))
                _read_past(one, b'"subscribed"')
            one.setblocking(False)
            self.sockets[one.fileno()] = one
            self._epoll.register(one.fileno(), select.EPOLLIN)

    def read(self, wanted_bytes: int, timeout_s: float = 30.0) -> None:
        """Until so many bytes have come in all."""
        deadline_s = time.perf_counter() + timeout_s
        view = memoryview(self._buffer)
        while wanted_bytes > 0:
            if time.perf_counter() > deadline_s:
                raise TimeoutError(f"expected {wanted_bytes} more bytes within {timeout_s} s")
            for number, _ in self._epoll.poll(1.0):
                wanted_bytes -= self.sockets[number].recv_into(view)

    def latencies_ms(self, messages: int, frame_bytes: int, stalled: set[int]) -> list[float]:
        """Ages of so many messages on every client that still reads."""
        ages: list[float] = []
        left = messages * frame_bytes * (len(self.sockets) - len(stalled))
        while left > 0:
            ready = self._epoll.poll(1.0)
            for number, _ in ready:
                data = self.sockets[number].recv(1 << 20)
                now_ns = time.time_ns()
                left -= len(data)
                at = data.find(STAMP)
                while at >= 0:
                    digits = data[at + len(STAMP) : at + len(STAMP) + STAMP_DIGITS]
                    if len(digits) == STAMP_DIGITS:
                        ages.append((now_ns - int(digits)) / 1e6)
                    at = data.find(STAMP, at + 1)
        return ages

    def stall(self, count: int) -> set[int]:
        """Let some of them read no more."""
        stalled = set(list(self.sockets)[:count])
        for number in stalled:
            self._epoll.unregister(number)
        return stalled

    def close(self) -> None:
        self._epoll.close()
        for one in self.sockets.values():
            one.close()


def _handshake(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Authorization: Bearer " + KEY.encode() + b"\r\n\r\n"
    )
    _read_past(one, b"\r\n\r\n")
    return one


def _read_past(one: socket.socket, mark: bytes) -> None:
    seen = b""
    while mark not in seen:
        data = one.recv(4096)
        if not data:
            raise ConnectionError(f"expected {mark!r}, the server hung up after {seen[-200:]!r}")
        seen += data


def _masked(payload: bytes) -> bytes:
    return b"\x81" + bytes((0x80 | 126,)) + len(payload).to_bytes(2, "big") + b"\0" * 4 + payload


def example_frame() -> bytes:
    """What every message of the run looks like, to the byte count."""
    batch = trade_batch(100_000_000, 2)
    event = PartitionLog(trades.CHANNEL, "abcdef12").read(1_000, batch)[1]
    frame = event.frame(V1Wire())
    assert frame is not None
    return frame


def rate(
    server: Server, clients: Clients, frame_bytes: int, bursts: int, burst: int, per_record: int
) -> float:
    """Deliveries a second of the server's CPU."""
    before_s = server.cpu_s()
    for _ in range(bursts):
        server.tell(f"burst {burst} {per_record}")
        clients.read(burst * frame_bytes * len(clients.sockets))
    return bursts * burst * len(clients.sockets) / (server.cpu_s() - before_s)


def servers(frame: bytes) -> dict[str, tuple[str, ...]]:
    payload = frame[4:].decode()
    peers_python = os.environ.get("TELEGLAS_PEERS_PYTHON", sys.executable)
    peers = str(FOLDER / "_fanout_peers.py")
    return {
        "ours": (sys.executable, str(FOLDER / "_fanout_ours.py")),
        "picows": (peers_python, peers, "picows", payload),
        "starlette": (peers_python, peers, "starlette", payload),
    }


def throughput(
    arguments: argparse.Namespace, frame: bytes, bursts: int, burst: int, per_record: int
) -> dict[str, float]:
    """Median rate of each server, measured in turns."""
    running = {name: Server(*command) for name, command in servers(frame).items()}
    clients = {
        name: Clients(server.port, arguments.clients, subscribe=name == "ours")
        for name, server in running.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in running}
    try:
        for number in range(arguments.rounds + 1):
            for name, server in running.items():
                measured = rate(server, clients[name], len(frame), bursts, burst, per_record)
                if number:
                    rates[name].append(measured)
            if number:
                print(
                    f"round {number}: "
                    + ", ".join(f"{name} {each[-1]:,.0f}/s" for name, each in rates.items())
                )
    finally:
        for name, server in running.items():
            clients[name].close()
            server.stop()
    return {name: statistics.median(each) for name, each in rates.items()}


def stalled_readers(arguments: argparse.Namespace, frame: bytes) -> float:
    """p99 of healthy clients with a tenth stalled, relative to the same clients before."""
    server = Server(*servers(frame)["ours"])
    clients = Clients(server.port, arguments.clients, subscribe=True)
    try:
        ages = {}
        for state in ("all reading", "a tenth stalled"):
            stalled: set[int] = set()
            if state == "a tenth stalled":
                stalled = clients.stall(arguments.clients // 10)
                healthy = len(clients.sockets) - len(stalled)
                for _ in range(arguments.prefill):
                    server.tell(f"burst {arguments.burst} 4")
                    clients.read(arguments.burst * len(frame) * healthy)
            server.tell(f"pace {arguments.paced} {arguments.every_ms}")
            ages[state] = clients.latencies_ms(arguments.paced, len(frame), stalled)
            server.ask()
            cuts = statistics.quantiles(ages[state], n=100)
            print(f"{state}: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms")
        before, after = (statistics.quantiles(each, n=100)[98] for each in ages.values())
    finally:
        clients.close()
        server.stop()
    return after / before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bursts", type=int, default=20, help="a round")
    parser.add_argument("--burst", type=int, default=50, help="messages")
    parser.add_argument("--prefill", type=int, default=60, help="bursts into stalled sockets")
    parser.add_argument("--paced", type=int, default=300, help="messages with their age")
    parser.add_argument("--every-ms", type=float, default=25.0)
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    frame = example_frame()
    print("one message at a time, one trade a record:")
    rates = throughput(arguments, frame, arguments.bursts * arguments.burst // 4, 1, 1)
    print("median: " + ", ".join(f"{name} {each:,.0f}/s" for name, each in rates.items()))
    print(f"{arguments.burst} messages at a time, four trades a record:")
    bursty = throughput(arguments, frame, arguments.bursts, arguments.burst, 4)
    print("median: " + ", ".join(f"{name} {each:,.0f}/s" for name, each in bursty.items()))
    stalled = stalled_readers(arguments, frame)
    ratio = rates["ours"] / rates["picows"]
    print(
        f"bursts against picows {bursty['ours'] / bursty['picows']:.1f}x;"
        f" one at a time against starlette {rates['ours'] / rates['starlette']:.2f}x;"
        f" with a tenth stalled healthy p99 is {stalled:.2f}x (target {TARGET_STALLED:g})"
    )
    fine = ratio >= TARGET_PICOWS and stalled <= TARGET_STALLED
    print(f"fanout ratio={ratio:.2f} target={TARGET_PICOWS:g} {'ok' if fine else 'short'}")


if __name__ == "__main__":
    main()
