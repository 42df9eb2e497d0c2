"""The jars of Apache Kafka: fetched once, held against a lock of hashes, kept in the user's cache.

`python -m teleglas_cli.stack.jars` fetches what is missing; with `--relock` it resolves the roots
again and rewrites `kafka.lock`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jgo.maven import MavenContext

__all__ = [
    "KAFKA_VERSION",
    "LOCK_PATH",
    "Jar",
    "JarDownloadError",
    "JarHashError",
    "JarProgress",
    "LockError",
    "ensure_jars",
    "jar_cache_dir",
    "missing_jars",
    "parse_lock",
    "read_lock",
    "relock",
    "render_lock",
    "verify_jar",
]

KAFKA_VERSION = "4.1.0"
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
LOCK_PATH = Path(__file__).with_name("kafka.lock")

_LINE = re.compile(
    r"^(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):(?P<version>[\w.-]+)"
    r" sha256=(?P<sha256>[0-9a-f]{64}) bytes=(?P<size_bytes>\d+)$"
)
_ATTEMPTS = 4
_RETRY_DELAY_S = 0.5
_THREADS = 8
_TIMEOUT_S = 60
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class LockError(ValueError):
    """The lock file cannot be read."""


class JarHashError(RuntimeError):
    """A jar's bytes are not those that the lock names."""


class JarDownloadError(RuntimeError):
    """A jar could not be fetched."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked artifact."""

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True, slots=True)
class JarProgress:
    """How far a download is; `file_name` is the jar that just arrived, empty at the start."""

    file_name: str
    done_jars: int
    total_jars: int
    done_bytes: int
    total_bytes: int


ProgressCallback = Callable[[JarProgress], None]
Fetch = Callable[[Jar, Path], Path]


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read `group:artifact:version sha256=… bytes=…` lines; `#` starts a comment line."""
    jars: list[Jar] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise LockError(
                f"kafka.lock line {number}: expected 'group:artifact:version sha256=… bytes=…', "
                f"was {line!r}"
            )
        fields = match.groupdict()
        size_bytes = int(fields.pop("size_bytes"))
        jars.append(Jar(**fields, size_bytes=size_bytes))
    names = [jar.file_name for jar in jars]
    if not jars or len(set(names)) != len(names):
        raise LockError(f"kafka.lock: expected distinct jars, were {names}")
    return tuple(jars)


def render_lock(jars: Sequence[Jar]) -> str:
    lines = [
        "# Apache Kafka's jars. Written by `python -m teleglas_cli.stack.jars --relock`.",
        *(
            f"{jar.coordinate} sha256={jar.sha256} bytes={jar.size_bytes}"
            for jar in sorted(jars, key=lambda jar: jar.coordinate)
        ),
    ]
    return "\n".join(lines) + "\n"


def read_lock(path: Path = LOCK_PATH) -> tuple[Jar, ...]:
    return parse_lock(path.read_text(encoding="utf-8"))


def jar_cache_dir() -> Path:
    """`$XDG_CACHE_HOME` or `~/.cache`, then `teleglas/kafka-<version>`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "teleglas" / f"kafka-{KAFKA_VERSION}"


def verify_jar(jar: Jar, path: Path) -> None:
    """Raise `JarHashError` unless the file holds exactly the locked bytes."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != jar.sha256:
        raise JarHashError(
            f"{jar.coordinate} at {path}: expected sha256 {jar.sha256} ({jar.size_bytes} bytes), "
            f"was {actual} ({size_bytes} bytes); delete the file to fetch it again"
        )


def missing_jars(jars: Sequence[Jar], cache_dir: Path) -> list[Jar]:
    """The locked jars that the cache does not hold; a damaged one raises `JarHashError`."""
    missing = []
    for jar in jars:
        path = cache_dir / jar.file_name
        if path.is_file():
            verify_jar(jar, path)
        else:
            missing.append(jar)
    return missing


def ensure_jars(
    progress: ProgressCallback | None = None,
    *,
    jars: Sequence[Jar] | None = None,
    cache_dir: Path | None = None,
    fetch: Fetch | None = None,
) -> list[Path]:
    """Return the paths of all locked jars, verified; fetch only those that the cache lacks."""
    wanted = read_lock() if jars is None else tuple(jars)
    folder = cache_dir or jar_cache_dir()
    missing = missing_jars(wanted, folder)
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with trusted_certificates(), tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as new:
            _Download(missing, folder, Path(new), fetch or fetch_jar, progress).run()
    return [folder / jar.file_name for jar in wanted]


class _Download:
    def __init__(
        self,
        jars: Sequence[Jar],
        folder: Path,
        scratch: Path,
        fetch: Fetch,
        progress: ProgressCallback | None,
    ) -> None:
        self._jars = jars
        self._folder = folder
        self._scratch = scratch
        self._fetch = fetch
        self._progress = progress
        self._lock = threading.Lock()
        self._done: list[Jar] = []

    def run(self) -> None:
        self._report("")
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="jars") as pool:
            largest_first = sorted(self._jars, key=lambda jar: -jar.size_bytes)
            for _ in pool.map(self._one, largest_first):
                pass

    def _one(self, jar: Jar) -> None:
        errors: list[str] = []
        for attempt in range(_ATTEMPTS):
            try:
                path = self._fetch(jar, self._scratch / f"{jar.artifact}-{attempt}")
            except (OSError, RuntimeError) as error:
                errors.append(f"{type(error).__name__}: {error}")
                if attempt + 1 < _ATTEMPTS:
                    time.sleep(_RETRY_DELAY_S * 2**attempt)
                continue
            verify_jar(jar, path)
            path.replace(self._folder / jar.file_name)
            with self._lock:
                self._done.append(jar)
                self._report(jar.file_name)
            return
        raise JarDownloadError(
            f"{jar.coordinate}: expected {jar.size_bytes} bytes, {_ATTEMPTS} attempts failed; "
            f"the last: {errors[-1]}"
        )

    def _report(self, file_name: str) -> None:
        if self._progress is not None:
            self._progress(
                JarProgress(
                    file_name=file_name,
                    done_jars=len(self._done),
                    total_jars=len(self._jars),
                    done_bytes=sum(jar.size_bytes for jar in self._done),
                    total_bytes=sum(jar.size_bytes for jar in self._jars),
                )
            )


def _context(repo_cache: Path) -> MavenContext:
    """`TELEGLAS_JAR_REPOSITORY` names a mirror for those who must use one."""
    from jgo.maven import MavenContext, PythonResolver

    mirror = os.environ.get("TELEGLAS_JAR_REPOSITORY")
    return MavenContext(
        resolver=PythonResolver(),
        repo_cache=repo_cache,
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=_TIMEOUT_S,
    )


def fetch_jar(jar: Jar, scratch: Path) -> Path:
    """Download one jar below `scratch`, which must not exist yet."""
    project = _context(scratch).project(jar.group, jar.artifact)
    return Path(project.at_version(jar.version).artifact().resolve())


@contextmanager
def trusted_certificates() -> Iterator[None]:
    """Let the downloader trust the system's certificates, not only those of its own package.

    In a bare environment nothing names the system store, and a network that signs with a
    certificate installed there would be refused.
    """
    bundle = system_bundle()
    if bundle is None or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = bundle
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]


def system_bundle() -> str | None:
    """The file of trusted certificates that `SSL_CERT_FILE` or the system names, if any."""
    paths = ssl.get_default_verify_paths()
    candidates = (paths.cafile, paths.openssl_cafile, *_SYSTEM_BUNDLES)
    return next((path for path in candidates if path and Path(path).is_file()), None)


def relock(path: Path = LOCK_PATH) -> tuple[Jar, ...]:
    """Resolve the roots from their repositories and write the lock with the hashes seen."""
    with trusted_certificates(), tempfile.TemporaryDirectory() as scratch:
        context = _context(Path(scratch))
        wanted = [context.create_dependency(root) for root in ROOTS]
        inputs, transitive = context.resolver.resolve(wanted)
        jars = {}
        for dependency in [*inputs, *transitive]:
            file = Path(dependency.artifact.resolve())
            jar = Jar(
                group=dependency.groupId,
                artifact=dependency.artifactId,
                version=dependency.version,
                sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
                size_bytes=file.stat().st_size,
            )
            jars[jar.coordinate] = jar
    text = render_lock(list(jars.values()))
    locked = parse_lock(text)
    path.write_text(text, encoding="utf-8")
    return locked


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m teleglas_cli.stack.jars", description=__doc__)
    parser.add_argument("--relock", action="store_true", help="rewrite kafka.lock")
    if parser.parse_args(argv).relock:
        print(f"kafka.lock: {len(relock())} jars")
        return 0

    def show(step: JarProgress) -> None:
        print(
            f"Apache Kafka {KAFKA_VERSION}: {step.done_jars}/{step.total_jars} jars, "
            f"{step.done_bytes / 1e6:.1f}/{step.total_bytes / 1e6:.1f} MB {step.file_name}"
        )

    print(f"{len(ensure_jars(show))} jars verified in {jar_cache_dir()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
