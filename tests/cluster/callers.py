"""Asks from inside a pod whether connections work: raw bytes to a port, and what came back.

The same request goes out from every kind of pod: those of the services have Python, those of the
servers have bash. What an answer means is judged here, not there.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tests.cluster.kubectl import CommandError, Namespace

__all__ = ["Answer", "Question", "ask", "grpc_call", "http_get"]

WAIT_S = 4
KAFKA_API_VERSIONS = bytes.fromhex("0000000a0012000000000001ffff")
POSTGRES_WANTS_TLS = bytes.fromhex("0000000804d2162f")
REDIS_PING = b"PING\r\n"
SPOKEN = {"kafka": KAFKA_API_VERSIONS, "postgres": POSTGRES_WANTS_TLS, "redis": REDIS_PING}
"""First words to a server that does not speak HTTP; each has an answer."""
NO_ROUTE = (b" 502 ", b" 503 ")
UPSTREAM = b"x-envoy-upstream-service-time"

FROM_PYTHON = """
import base64, concurrent.futures, json, socket, sys
def ask(question):
    host, port, said = question
    try:
        sock = socket.create_connection((host, port), WAIT)
    except OSError as error:
        return [False, "", repr(error)]
    with sock:
        try:
            sock.settimeout(WAIT)
            sock.sendall(base64.b64decode(said))
            return [True, base64.b64encode(sock.recv(4096)).decode(), ""]
        except OSError as error:
            return [True, "", repr(error)]
with concurrent.futures.ThreadPoolExecutor(24) as pool:
    print(json.dumps(list(pool.map(ask, json.load(sys.stdin)))))
""".replace("WAIT", str(WAIT_S))

FROM_BASH = """
ask() {
  got=$(timeout WAIT bash -c '
    exec 3<>"/dev/tcp/$0/$1" || exit 9
    echo connected >&2
    printf %s "$2" | base64 -d >&3
    dd bs=4096 count=1 <&3 2>/dev/null | base64 -w0' "$1" "$2" "$3" 2>/tmp/asked.$4)
  if grep -q connected /tmp/asked.$4; then yes=true; else yes=false; fi
  printf '[%s, "%s", ""]' $yes "$got" >/tmp/answered.$4
}
""".replace("WAIT", str(WAIT_S))


@dataclass(frozen=True, slots=True)
class Question:
    """First bytes to a port of a pod's Service; `path` where it is HTTP."""

    host: str
    port: int
    said: bytes
    path: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """`connected`: somebody took the connection, which may be the caller's own sidecar."""

    connected: bool
    said: bytes
    error: str

    @property
    def is_refused_by_the_mesh(self) -> bool:
        """Cut off without a word, or turned away by one of the two sidecars."""
        head = self.said.split(b"\r\n", 1)[0]
        return (
            not self.said
            or b"RBAC: access denied" in self.said
            or any(status in head for status in NO_ROUTE)
            # 503 in the words of gRPC; a server's own answer carries the time that it took.
            or (b"grpc-status: 14" in self.said and UPSTREAM not in self.said)
        )

    @property
    def shown(self) -> str:
        return f"connected {self.connected}, said {self.said[:400]!r} {self.error}"


def http_get(host: str, port: int, path: str) -> Question:
    head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    return Question(host, port, head.encode(), path)


def grpc_call(host: str, port: int, path: str) -> Question:
    """An empty message, over HTTP/1.1: a sidecar makes HTTP/2 of it, and its answer is text."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/grpc\r\n"
        "TE: trailers\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    )
    return Question(host, port, head.encode() + bytes(5), path)


async def ask(
    namespace: Namespace, pod: str, container: str, questions: Sequence[Question]
) -> list[Answer]:
    """Ask all questions at once, from inside a container."""
    asked = [(q.host, q.port, base64.b64encode(q.said).decode()) for q in questions]
    execute = ("exec", "-i", pod, "-c", container, "--")
    try:
        said = await namespace.kubectl(
            *execute,
            *("/opt/teleglas/bin/python", "-c", FROM_PYTHON),
            stdin=json.dumps(asked),
            timeout_s=120,
        )
    except CommandError as error:
        if "no such file" not in str(error) and "not found" not in str(error):
            raise
        said = await namespace.kubectl(
            *execute, "bash", "-s", stdin=bash_script(asked), timeout_s=120
        )
    return [
        Answer(connected, base64.b64decode(words), error)
        for connected, words, error in json.loads(said)
    ]


def bash_script(asked: Sequence[tuple[str, int, str]]) -> str:
    calls = [
        f"ask {shlex.quote(host)} {port} {said} {number} &"
        for number, (host, port, said) in enumerate(asked)
    ]
    files = " ".join(f"/tmp/answered.{number}" for number in range(len(asked)))  # noqa: S108
    commas = (
        'first=1; echo "["; for f in FILES; do [ $first ] || echo ,; first=; cat $f; done; echo "]"'
    )
    return "\n".join([FROM_BASH, *calls, "wait", commas.replace("FILES", files)])
