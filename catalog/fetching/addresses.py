"""Which addresses a picture may be fetched from: public ones, and the networks that an operator opens.

The guard sits where a socket is made, so that every connection meets it, whatever the spelling of the URL, the name
server's answers and the redirects. The resolver refuses earlier, and more: one bad address spoils a whole answer.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What `is_global` alone lets through, or lets through on some Python versions: addresses that embed another one (IPv4
# compatible and translated, NAT64, 6to4), former site-local addresses, documentation and identifier ranges, shared and
# benchmark space, and the metadata address of one cloud that is public by number.
_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
        "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
        "0.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip


class BlockedAddressError(Exception):
    """A connection to an address that is not open to the fetcher; the message never names the address."""


def build_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that the texts name, such as `10.1.0.0/16`; raises ValueError for another text."""
    return tuple(ipaddress.ip_network(text.strip()) for text in texts if text.strip())


def find_literal_address(host: str) -> Address | None:
    """Return the address that a host spells out, in any form a resolver would take (`127.1`, `0x7f000001`), or None."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def is_address_allowed(address: Address, *, allowed_networks: tuple[Network, ...] = ()) -> bool:
    """Return whether a connection to the address is permitted: it is public, or lies in an opened network."""
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    if any(address in network for network in allowed_networks):
        return True
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address in network for network in _NEVER_PUBLIC)


def make_guarded_socket(address_info: tuple[Any, ...], *, allowed_networks: tuple[Network, ...]) -> socket.socket:
    """Return a new socket for a `getaddrinfo` entry, or raise BlockedAddressError for the address it is going to."""
    family, kind, protocol, _canonical_name, peer = address_info
    check_address(peer[0], allowed_networks=allowed_networks)
    return socket.socket(family=family, type=kind, proto=protocol)


def check_address(text: str, *, allowed_networks: tuple[Network, ...]) -> None:
    """Raise BlockedAddressError unless the numeric address is permitted; what cannot be read is not permitted."""
    address = find_literal_address(text)
    if address is None or not is_address_allowed(address, allowed_networks=allowed_networks):
        raise BlockedAddressError("expected a public address")
