"""Which network an address is of, told by a digest that only this installation can make.

A session counts on the network that it was begun from, coarse enough that a phone
that moves within one provider keeps it: IPv4 /16, IPv6 /32. That is practice.
"""

from __future__ import annotations

import hashlib
import hmac
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

_PREFIX: Final = {4: 16, 6: 32}
_UNKNOWN: Final = "unknown"
_CHARACTERS: Final = 32


def network_class(address: str) -> str:
    """Return the network of an address in its usual form; `unknown` for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return _UNKNOWN
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ip_network((found, _PREFIX[found.version]), strict=False))


def network_digest(key: bytes, address: str) -> str:
    """Return the keyed digest by which sessions and entries tell the network of an address."""
    named = f"network/{network_class(address)}".encode()
    return hmac.digest(key, named, hashlib.sha256).hex()[:_CHARACTERS]
