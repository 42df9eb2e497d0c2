"""The lock of jars and the cache that is held against it."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teleglas_cli.stack import jars
from teleglas_cli.stack.jars import (
    Jar,
    JarDownloadError,
    JarHashError,
    JarProgress,
    LockError,
    ensure_jars,
    missing_jars,
    parse_lock,
    read_lock,
    render_lock,
)

NAMES = st.text("abcdefgh-._12", min_size=1, max_size=12)


def jar_of(content: bytes, artifact: str = "tool") -> Jar:
    return Jar("org.example", artifact, "1.0", hashlib.sha256(content).hexdigest(), len(content))


def writes(content: bytes) -> jars.Fetch:
    def fetch(_jar: Jar, scratch: Path) -> Path:
        scratch.mkdir()
        path = scratch / "file.jar"
        path.write_bytes(content)
        return path

    return fetch


def refuses(_jar: Jar, _scratch: Path) -> Path:
    raise AssertionError("expected no download")


def test_committed_lock_names_kafka_and_a_logger() -> None:
    """The lock that we ship holds the broker at the version that we say."""
    coordinates = {jar.coordinate for jar in read_lock()}
    assert set(jars.ROOTS) <= coordinates
    assert len(coordinates) > 40


def test_committed_lock_is_as_relock_writes_it() -> None:
    """Nobody edited the lock by hand."""
    assert render_lock(read_lock()) == jars.LOCK_PATH.read_text(encoding="utf-8")


@given(NAMES, NAMES, NAMES, st.binary(max_size=8))
@settings(max_examples=25)
def test_lock_renders_and_parses_to_the_same(
    group: str, artifact: str, version: str, content: bytes
) -> None:
    """What is written is what is read."""
    jar = Jar(group, artifact, version, hashlib.sha256(content).hexdigest(), len(content))
    assert parse_lock(render_lock([jar])) == (jar,)


@pytest.mark.parametrize(
    "line",
    ["org.example:tool:1.0", "org.example:tool sha256=00 bytes=1", "a:b:c sha256=zz bytes=1"],
)
def test_damaged_lock_line_is_named(line: str) -> None:
    """The error carries the line number and the line."""
    with pytest.raises(LockError, match=r"line 2: expected .* was"):
        parse_lock("# a comment\n" + line)


def test_lock_with_a_repeated_jar_is_refused() -> None:
    """Two entries must not fight for one file."""
    with pytest.raises(LockError, match="distinct"):
        parse_lock(render_lock([jar_of(b"a")]) + render_lock([jar_of(b"b")]))


def test_second_start_downloads_nothing(tmp_path: Path) -> None:
    """Verified jars stay in the cache."""
    jar = jar_of(b"content")
    first = ensure_jars(jars=[jar], cache_dir=tmp_path, fetch=writes(b"content"))
    second = ensure_jars(jars=[jar], cache_dir=tmp_path, fetch=refuses)
    assert first == second == [tmp_path / "tool-1.0.jar"]
    assert [path.name for path in tmp_path.iterdir()] == ["tool-1.0.jar"]


def test_download_with_other_bytes_is_refused_by_name(tmp_path: Path) -> None:
    """A jar that is not the locked one never reaches the cache."""
    jar = jar_of(b"content")
    with pytest.raises(JarHashError, match=rf"org.example:tool:1.0 .*expected sha256 {jar.sha256}"):
        ensure_jars(jars=[jar], cache_dir=tmp_path, fetch=writes(b"other"))
    assert missing_jars([jar], tmp_path) == [jar]


def test_changed_file_in_the_cache_is_refused_by_name(tmp_path: Path) -> None:
    """A jar that changed after its download is not run."""
    jar = jar_of(b"content")
    (tmp_path / jar.file_name).write_bytes(b"changed")
    with pytest.raises(JarHashError, match=r"was [0-9a-f]{64} \(7 bytes\)"):
        ensure_jars(jars=[jar], cache_dir=tmp_path, fetch=refuses)


def test_failed_download_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken connection costs one attempt, not the start."""
    monkeypatch.setattr(jars, "_RETRY_DELAY_S", 0.0)
    attempts = iter([OSError("reset"), OSError("reset")])

    def flaky(jar: Jar, scratch: Path) -> Path:
        for error in attempts:
            raise error
        return writes(b"content")(jar, scratch)

    assert ensure_jars(jars=[jar_of(b"content")], cache_dir=tmp_path, fetch=flaky)


def test_hopeless_download_names_the_jar_and_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last attempt the error says what failed."""
    monkeypatch.setattr(jars, "_RETRY_DELAY_S", 0.0)

    def broken(_jar: Jar, _scratch: Path) -> Path:
        raise OSError("no route")

    with pytest.raises(JarDownloadError, match=r"org.example:tool:1.0.*no route"):
        ensure_jars(jars=[jar_of(b"content")], cache_dir=tmp_path, fetch=broken)


def test_progress_counts_up_to_the_whole(tmp_path: Path) -> None:
    """Each arrived jar is reported once, and the last report says everything is here."""
    wanted = [jar_of(b"content", f"tool{number}") for number in range(20)]
    seen: list[JarProgress] = []
    threads: set[str] = set()

    def note(step: JarProgress) -> None:
        threads.add(threading.current_thread().name)
        seen.append(step)

    ensure_jars(note, jars=wanted, cache_dir=tmp_path, fetch=writes(b"content"))
    assert [step.done_jars for step in seen] == list(range(21))
    assert (seen[0].done_bytes, seen[-1].done_bytes) == (0, 20 * 7)
    assert {step.total_bytes for step in seen} == {20 * 7}


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`XDG_CACHE_HOME` moves the cache, otherwise it is below the home."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert jars.jar_cache_dir() == Path("/elsewhere/teleglas/kafka-4.1.0")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert jars.jar_cache_dir() == Path("/home/someone/.cache/teleglas/kafka-4.1.0")


def test_bare_environment_trusts_the_systems_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The downloader is pointed at the system's bundle, and only while it works."""
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with jars.trusted_certificates():
        assert os.environ["REQUESTS_CA_BUNDLE"] == str(bundle)
    assert "REQUESTS_CA_BUNDLE" not in os.environ


def test_named_certificates_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a bundle gets that bundle."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/mine.pem")
    with jars.trusted_certificates():
        assert os.environ["REQUESTS_CA_BUNDLE"] == "/mine.pem"
