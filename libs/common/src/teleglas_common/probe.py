"""`python -m teleglas_common.probe`: asks the service of this container, without shell or curl.

Exits with 0 when `/health` says yes, with `--ready` when `/ready` does; with 1 and the answer
otherwise. Imports next to nothing: it runs every few seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException

__all__ = ["main", "probe"]

PORT_VARIABLE = "TELEGLAS_HTTP__PORT"
TIMEOUT_S = 3.0


def probe(port: int, path: str) -> str | None:
    """None when the service says yes, else what it said or why it could not be asked."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return None if response.status == 200 else f"{response.status} {body}"


def main(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Ask once; the exit code."""
    given = environment.get(PORT_VARIABLE, "")
    if not given.isdecimal():
        sys.stderr.write(f"expected {PORT_VARIABLE} to be a port, was {given!r}\n")
        return 1
    answer = probe(int(given), "/ready" if "--ready" in argv else "/health")
    if answer is not None:
        sys.stderr.write(answer + "\n")
    return 0 if answer is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
