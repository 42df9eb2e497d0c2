"""Which addresses the webhook channel may reach: none that only we can reach."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["ForbiddenAddressError", "check_address", "guarded_sockets"]

NAT64 = ipaddress.ip_network("64:ff9b::/96")
CARRIER = ipaddress.ip_network("100.64.0.0/10")


class ForbiddenAddressError(OSError):
    """A name resolved to an address that must not be reached."""


def check_address(text: str, *, allow_loopback: bool = False) -> None:
    """Raises ForbiddenAddressError unless the address is a public one. An IPv4 address within an
    IPv6 one counts as what it stands for.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            check_address(str(inner), allow_loopback=allow_loopback)
            return
    if address.is_loopback and allow_loopback:
        return
    is_carrier = isinstance(address, ipaddress.IPv4Address) and address in CARRIER
    if not address.is_global or address.is_multicast or is_carrier:
        raise ForbiddenAddressError(f"expected a public address, was {address}")


def guarded_sockets(*, allow_loopback: bool) -> Callable[[Any], socket.socket]:
    """Makes sockets for a connector: each address is checked as it is connected to, so a name that
    resolves to another one after a first look wins nothing.
    """

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, where = info
        check_address(str(where[0]), allow_loopback=allow_loopback)
        return socket.socket(family, kind, protocol)

    return make
