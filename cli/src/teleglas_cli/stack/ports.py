"""Free loopback ports."""

from __future__ import annotations

import random
import socket

__all__ = ["LOOPBACK", "NoFreePortError", "free_ports", "is_free"]

LOOPBACK = "127.0.0.1"

# Below 32768, where Linux begins to hand ports to outgoing connections: a port from above could be
# taken by any client while the server that owns it restarts.
_FIRST, _LAST = 20_000, 32_000
_ATTEMPTS = 200


class NoFreePortError(RuntimeError):
    """No port of the range could be bound."""


def is_free(port: int) -> bool:
    """True when a server could listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int, rng: random.Random | None = None) -> list[int]:
    """Choose distinct loopback ports on which nothing listens."""
    source = rng or random.SystemRandom()
    chosen: list[int] = []
    for _ in range(_ATTEMPTS):
        if len(chosen) == count:
            break
        port = source.randint(_FIRST, _LAST)
        if port not in chosen and is_free(port):
            chosen.append(port)
    if len(chosen) < count:
        raise NoFreePortError(
            f"expected {count} free ports of {_FIRST}-{_LAST}, "
            f"found {len(chosen)} in {_ATTEMPTS} tries"
        )
    return chosen
