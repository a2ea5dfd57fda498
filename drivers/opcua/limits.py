"""How much one address may have: of connections, sessions and subscriptions."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

SUBSCRIPTIONS_PER_SESSION = 10  # on the average of an address


@dataclass(frozen=True, slots=True)
class Limits:
    """What one address may have of each, as a part of what there is for all."""

    connections: int
    sessions: int
    subscriptions: int

    @classmethod
    def of(cls, most: int) -> Limits:
        """Return the limits for so many connections."""
        return cls(most, most, most * SUBSCRIPTIONS_PER_SESSION)


def whence(peer: Any) -> str:
    """Return what counts as one address: an IPv4 address, or the 64 bits of a network of IPv6.

    Who has one address of such a network has them all. Source: RFC 4291, 2.5.1.
    """
    host = str(peer[0]).partition("%")[0] if isinstance(peer, tuple) and peer else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
