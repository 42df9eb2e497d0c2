"""Read captures as streams of records, whatever their format, without holding a file in memory."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from teleglas_sim.replay.records import CaptureError, Kind, Recorded

__all__ = ["expand", "read_capture"]

_GZIP_MAGIC = b"\x1f\x8b"
_NS_DIGITS = 9
_LINE_NS = re.compile(rb"(\d{16,20}) (.+)")
_LINE_TIMED = re.compile(rb"(\d+\.?\d*): (.*)", re.DOTALL)
_LINE_ADDRESS = re.compile(
    rb"((?:wss?|https?)://\S+) (<->|->|<-) (\d+\.?\d*)(?:: (.*))?", re.DOTALL
)
_SIBLING = re.compile(r"(.+)\.(?:ws|http)\.\d+\.(\d+)")


def read_capture(path: Path) -> Iterator[Recorded]:
    """The records of one file in its own order.

    Two formats are told apart by their first line: `<receive time ns> <json>`, and the address
    lines `wss://… <-> time` and `https://… -> time: body` with `time: frame` between them (times
    in seconds). Either may be compressed. Raises `CaptureError` on a line that is neither.
    """
    with _opened(path) as opened:
        lines = iter(opened)
        first = next((line for line in lines if line.strip()), b"")
        if not first:
            return
        if _LINE_NS.match(first):
            yield from _read_ns(path, first, lines)
        elif _LINE_ADDRESS.match(first) or _LINE_TIMED.match(first):
            yield from _read_addressed(path, first, lines)
        else:
            raise CaptureError(
                f"{path}: expected '<ns> <json>' or 'wss://… <-> time' in the first line, "
                f"was {first[:80]!r}"
            )


def expand(paths: list[Path]) -> list[Path]:
    """The files that the named captures consist of, each once.

    A folder stands for its files; a connection file `OKX.ws.1.0` brings its REST answers `OKX.0`.
    """
    found: dict[Path, None] = {}
    for path in paths:
        for file in _files_of(path):
            found[file] = None
            sibling = _answers_beside(file)
            if sibling is not None:
                found[sibling] = None
    if not found:
        raise CaptureError("expected at least one capture file, there was none")
    return list(found)


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(f for f in path.iterdir() if f.suffix == ".gz" or _SIBLING.fullmatch(f.name))
    if not path.is_file():
        raise CaptureError(f"{path}: expected a capture file or folder, there is none")
    return [path]


def _answers_beside(file: Path) -> Path | None:
    named = _SIBLING.fullmatch(file.name)
    if named is None:
        return None
    answers = file.with_name(f"{named[1]}.{named[2]}")
    return answers if answers.is_file() else None


@contextmanager
def _opened(path: Path) -> Iterator[Iterable[bytes]]:
    with path.open("rb") as probe:
        compressed = probe.read(2) == _GZIP_MAGIC
    if compressed:
        with gzip.open(path, "rb") as lines:
            yield lines
    else:
        with path.open("rb") as lines:
            yield lines


def _read_ns(path: Path, first: bytes, rest: Iterator[bytes]) -> Iterator[Recorded]:
    yield _record_ns(path, first)
    try:
        for line in rest:
            if line != b"\n":
                yield _record_ns(path, line)
    except (EOFError, gzip.BadGzipFile) as error:
        raise CaptureError(f"{path}: expected a whole gzip file, was cut short: {error}") from error


def _record_ns(path: Path, line: bytes) -> Recorded:
    time, _, payload = line.rstrip(b"\r\n").partition(b" ")
    if not time.isdigit() or not payload:
        raise CaptureError(f"{path}: expected '<ns> <json>', was {line[:80]!r}")
    kind = Kind.FRAME if payload.startswith((b'{"stream"', b'{"arg"')) else Kind.ANSWER
    return Recorded(int(time), kind, "", payload)


def _read_addressed(path: Path, first: bytes, rest: Iterator[bytes]) -> Iterator[Recorded]:
    url = ""
    for raw in _chain(first, rest):
        line = raw.rstrip(b"\r\n")
        timed = _LINE_TIMED.match(line)
        if timed is not None:
            yield Recorded(_nanoseconds(timed[1]), Kind.FRAME, url, timed[2])
            continue
        address = _LINE_ADDRESS.match(line)
        if address is not None and address[1].startswith(b"http"):
            if address[2] == b"->" and address[4] is not None:
                yield Recorded(
                    _nanoseconds(address[3]), Kind.ANSWER, address[1].decode(), address[4]
                )
        elif address is not None:
            url = address[1].decode()
        elif line and not line.startswith(b"configuration:"):
            raise CaptureError(f"{path}: expected a frame or an address line, was {line[:80]!r}")


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _nanoseconds(seconds: bytes) -> int:
    whole, _, fraction = seconds.partition(b".")
    return int(whole + fraction[:_NS_DIGITS].ljust(_NS_DIGITS, b"0"))
