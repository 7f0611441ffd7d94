"""Which network addresses may be called: those of the public internet, and those that are named.

After the special-purpose registries of IANA (RFC 6890), read strictly: what only may be public, by
an exception or by a relay, is not called. `ipaddress.is_global` alone would let pass, in one Python
or another, relays (6to4), multicast and addresses that have others within them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_WITH_ANOTHER_WITHIN = (_MAPPED, _NAT64)
"""What is connected to is the IPv4 address in their last 32 bits (RFC 4291 §2.5.5.2, RFC 6052)."""

_REFUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "a cloud's metadata service",
        (
            *("169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16"),
            *("100.100.100.200", "192.0.0.192"),
            *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
        ),
    ),
    ("a loopback address", ("127.0.0.0/8", "::1")),
    ("an address of this host or network", ("0.0.0.0/8", "::")),
    ("a private address", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
    ("a link-local address", ("169.254.0.0/16", "fe80::/10")),
    ("a site-local address", ("fec0::/10",)),
    ("an address shared behind a carrier's NAT", ("100.64.0.0/10",)),
    ("a multicast address", ("224.0.0.0/4", "ff00::/8")),
    (
        "an address for documentation",
        ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
    ),
    ("an address for benchmarks", ("198.18.0.0/15", "2001:2::/48")),
    (
        "an address of a relay or translator",
        (
            *("192.88.99.0/24", "192.52.193.0/24"),
            *("2002::/16", "2001::/32", "64:ff9b:1::/48", "::/96"),
        ),
    ),
    (
        "a reserved address",
        (
            *("192.0.0.0/24", "192.31.196.0/24", "192.175.48.0/24", "240.0.0.0/4"),
            *("2001::/23", "2620:4f:8000::/48"),
            # All IPv6 that is not 2000::/3, of which alone addresses are given out.
            *("::/3", "4000::/2", "8000::/1"),
        ),
    ),
)
_KINDS = tuple((ip_network(network), kind) for kind, networks in _REFUSED for network in networks)
"""By what an address is refused; the first that has it says what it is."""


@dataclass(frozen=True, slots=True)
class CallableAddresses:
    """The addresses that may be called."""

    networks: tuple[Network, ...] = ()
    """Those that may be called all the same, though they are not public."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Take networks as people write them; raises ValueError.

        Each lies in one kind of address. So nobody opens the loopback by a network that also has
        it, nor the metadata service by its neighbours.
        """
        return cls(tuple(map(_network, texts)))

    def __bool__(self) -> bool:
        return bool(self.networks)

    def refusal(self, address: Address | str) -> str | None:
        """What the address is that may not be called, such as `a private address`; else None.

        Raises ValueError where it is no address.
        """
        address = _connected(ip_address(address) if isinstance(address, str) else address)
        for network, kind in _KINDS:
            if address in network:
                is_named = any(address in it and _is_within(it, network) for it in self.networks)
                return None if is_named else kind
        return None


def _connected(address: Address) -> Address:
    """The address that a connection reaches in the end."""
    if isinstance(address, IPv6Address) and any(address in it for it in _WITH_ANOTHER_WITHIN):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text[:64]!r} is no network: expected one such as 10.20.0.0/16, without bits set "
            "behind its prefix"
        ) from None
    if any(_is_within(network, it) for it in _WITH_ANOTHER_WITHIN):
        raise ValueError(f"{network} stands for an IPv4 network: expected that one itself")
    if not any(_is_within(network, it) for it, _ in _KINDS):
        raise ValueError(
            f"{network}: expected a network within one that is refused otherwise, such as "
            "10.0.0.0/8, 192.168.0.0/16, 127.0.0.0/8 or fc00::/7"
        )
    return network


def _is_within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)
