"""Addresses and networks in CIDR notation (RFC 4632), as people write them and as keys are restricted to them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from keyctl.errors import UsageError
from keyctl.text import brief

_LONGEST = 45  # characters of an address without a zone: a caller chooses them, and only these are remembered
_MOST = 4096  # answers that are remembered


def contain(networks: Iterable[str], ip: str) -> bool:
    """Return whether one of `networks` contains the address. Text that is not an address is in none."""
    return (_remembered_contain if len(ip) <= _LONGEST else _contain)(tuple(networks), ip)


def _contain(networks: tuple[str, ...], ip: str) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    # A dual-stack listener reports IPv4 peers as ::ffff:192.0.2.1
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in _parsed(networks))


@lru_cache(maxsize=256)
def _parsed(networks: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(map(_network, networks))


def _network(value: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError:
        raise UsageError(f'"{brief(value)}" is not a network', hint=_network_hint(value)) from None


_remembered_contain = lru_cache(maxsize=_MOST)(_contain)


def parse_networks(values: Iterable[str]) -> tuple[str, ...]:
    """Read addresses and networks in CIDR notation (RFC 4632), and return them as networks. Raises UsageError.

    One with a zone (fe80::1%eth0) is refused: an address is compared without it.
    """
    networks = []
    for value in values:
        try:
            if "%" in value:
                raise ValueError
            networks.append(str(_unmapped(ip_network(value))))
        except ValueError:
            raise UsageError(f'"{brief(value)}" is not a network', hint=_network_hint(value)) from None
    return tuple(dict.fromkeys(networks))


def address_or_none(value: str) -> str | None:
    """Return an address in its usual spelling, without a zone, which may be any text; None if it is not one."""
    return (_remembered_address if len(value) <= _LONGEST else _address)(value)


def _address(value: str) -> str | None:
    try:
        return str(ip_address(value)).partition("%")[0]
    except ValueError:
        return None


_remembered_address = lru_cache(maxsize=_MOST)(_address)


def parse_address(value: str) -> str:
    address = address_or_none(value)
    if address is None:
        raise UsageError(f'"{brief(value)}" is not an IP address', hint="for example: --ip 192.0.2.7")
    return address


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return ::ffff:192.0.2.0/120 as 192.0.2.0/24: addresses are compared in that form."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return IPv4Network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network


def _network_hint(value: str) -> str:
    try:
        return f"its network is {ip_interface(re.sub('%[^/]*', '', value)).network}"
    except ValueError:
        return "give an address (192.0.2.7) or a network in CIDR notation (192.0.2.0/24, 2001:db8::/32)"
