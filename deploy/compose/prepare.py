"""Secrets, certificates and folders of `compose.yaml`, made at the first start and kept.

Needs Python 3.11 and `openssl`. Everything lies below `.teleglas`, readable by its owner alone, and
nothing is printed. Containers run as that owner; root prepares for user 10001.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CA_DAYS, LEAF_DAYS = "3650", "825"
DEFAULT_USER = 10001
SERVICES = (
    "ingest",
    "market-data",
    "whale-detector",
    "signal-scorer",
    "prediction",
    "notification",
    "gateway",
)
KAFKA_USERS = (*SERVICES, "migrate", "operator", "tools")
WITH_REDIS = ("market-data", "gateway")
WITHOUT_PRINCIPALS = ("ingest", "migrate", "operator", "tools")
DATA = ("kafka", "postgres", "redis", "prometheus", "alertmanager", "grafana")
NOBODY = "http://nobody.invalid/"
"""Where alerts go until somebody writes a receiver's address into the file."""
URLS = """\
API and docs    https://localhost:8443/docs      (the certificate is .teleglas/secrets/ca/ca.pem's)
stream          wss://localhost:8443/v1/stream
chat page       http://localhost:8081
Grafana         http://localhost:3000            (admin, .teleglas/secrets/grafana/admin_password)
Jaeger          http://localhost:16686
Prometheus      http://localhost:9090
Alertmanager    http://localhost:9093
API key         .teleglas/secrets/demo.key"""


class Store:
    """Files below one folder; what is there stays as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text().strip()


class Authority:
    """Signs the certificates of this installation."""

    def __init__(self, folder: Path) -> None:
        self._folder = Store(folder).folder
        self.certificate = self._folder / "ca.pem"
        self._key = self._folder / "ca.key"
        if not self.certificate.exists():
            new_key(self._key)
            openssl(
                *("req", "-x509", "-new", "-key", str(self._key), "-days", CA_DAYS),
                *("-subj", "/CN=Teleglas", "-out", str(self.certificate)),
                *("-addext", "basicConstraints=critical,CA:TRUE"),
                *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            )

    def issue(self, folder: Path, stem: str, name: str, *more: str) -> None:
        """`stem`.pem and .key for `name`, which is its common name and first DNS name."""
        key, certificate = folder / f"{stem}.key", folder / f"{stem}.pem"
        if certificate.exists():
            return
        new_key(key)
        with tempfile.TemporaryDirectory() as scratch:
            request, extensions = Path(scratch, "request.pem"), Path(scratch, "extensions")
            names = ",".join([f"DNS:{name}", *more])
            extensions.write_text(
                f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"
            )
            openssl("req", "-new", "-key", str(key), "-subj", f"/CN={name}", "-out", str(request))
            openssl(
                *("x509", "-req", "-in", str(request), "-CA", str(self.certificate)),
                *("-CAkey", str(self._key), "-days", LEAF_DAYS, "-sha256"),
                *("-set_serial", str(uuid.uuid4().int >> 64), "-extfile", str(extensions)),
                *("-out", str(certificate)),
            )


def openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"openssl {arguments[0]} ended with {done.returncode}: {done.stderr}")


def new_key(path: Path) -> None:
    path.touch(mode=0o600)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(path))


def joined(folder: Path, target: str, *parts: str) -> None:
    """One file of several, as Kafka and HAProxy want key and certificate."""
    Store(folder).write(target, b"".join((folder / part).read_bytes() for part in parts))


def prepare(state: Path, user: int, group: int) -> Mapping[str, str]:
    """Make what is missing; returns the variables of `compose.yaml`."""
    root = Store(state / "secrets")
    authority = Authority(root.folder / "ca")
    shared = Store(root.folder / "shared")
    for name in ("postgres", "redis", "grafana"):
        shared.write(f"{name}_password", secrets.token_urlsafe(24))
    shared.write("principal_secret", secrets.token_hex(32))
    shared.write("bot_token", f"{10**9 + secrets.randbelow(10**9)}:{secrets.token_hex(18)[:35]}")
    shared.write("cluster_id", base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
    for name in KAFKA_USERS:
        _client(root.folder / name, name, shared, authority)
    _servers(root.folder, shared, authority)
    for name in DATA:
        (state / "data" / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / "backups").mkdir(exist_ok=True, mode=0o700)
    (state / "secrets" / "alertmanager").mkdir(exist_ok=True, mode=0o700)
    Store(state).write("passwd", f"teleglas:x:{user}:{group}:Teleglas:/tmp:/sbin/nologin\n")
    return {
        "TELEGLAS_UID": str(user),
        "TELEGLAS_GID": str(group),
        "TELEGLAS_CLUSTER_ID": "c" + shared.text("cluster_id")[1:],
    }


def _client(folder: Path, name: str, shared: Store, authority: Authority) -> None:
    """What one user of the log is mounted: its certificate, and files called like variables."""
    own = Store(folder)
    own.write("ca.pem", authority.certificate.read_bytes())
    authority.issue(folder, "kafka", name)
    password = shared.text("postgres_password")
    own.write(
        "TELEGLAS_POSTGRES__DSN", f"postgresql://teleglas:{password}@postgres:5432/teleglas\n"
    )
    if name in WITH_REDIS:
        cache = shared.text("redis_password")
        own.write("TELEGLAS_REDIS__URL", f"rediss://:{cache}@redis:6379/0\n")
    if name not in WITHOUT_PRINCIPALS:
        own.write("TELEGLAS_PRINCIPAL_SECRET", shared.text("principal_secret") + "\n")
    if name == "notification":
        own.write("TELEGLAS_TELEGRAM__TOKEN", shared.text("bot_token") + "\n")


def _servers(root: Path, shared: Store, authority: Authority) -> None:
    ca = authority.certificate.read_bytes()
    for name in ("kafka", "postgres", "redis"):
        Store(root / f"{name}-server").write("ca.pem", ca)
        authority.issue(root / f"{name}-server", "server", name)
    joined(root / "kafka-server", "store.pem", "server.key", "server.pem")
    Store(root / "postgres-server").write("password", shared.text("postgres_password") + "\n")
    cache = shared.text("redis_password")
    Store(root / "redis-server").write("auth.conf", f'requirepass "{cache}"\n')
    edge = Store(root / "edge").folder
    authority.issue(edge, "server", "localhost", "DNS:haproxy", "IP:127.0.0.1", "IP:::1")
    joined(edge, "edge.pem", "server.key", "server.pem")
    Store(root / "grafana").write("admin_password", shared.text("grafana_password") + "\n")
    Store(root / "bot-api").write(
        "token.env", f"TELEGLAS_BOTAPI_TOKEN={shared.text('bot_token')}\n"
    )


def main() -> None:
    if "--urls" in sys.argv:
        print(URLS)
        return
    os.umask(0o077)
    if shutil.which("openssl") is None:
        raise SystemExit("expected openssl on the PATH, for the certificates")
    state = ROOT / ".teleglas"
    root = os.geteuid() == 0
    user, group = (DEFAULT_USER, DEFAULT_USER) if root else (os.geteuid(), os.getegid())
    variables = prepare(state, user, group)
    text = "".join(f"{name}={value}\n" for name, value in variables.items())
    (state / "compose.env").write_text(text)
    if root:
        for path in (state, *state.rglob("*")):
            os.chown(path, user, group)


if __name__ == "__main__":
    main()
