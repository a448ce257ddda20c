"""Origins of web pages, in the spelling in which browsers send them (RFC 6454, 6.2), and in no other."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from keyctl.errors import UsageError
from keyctl.text import brief

_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.ASCII | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", re.DOTALL)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)  # a host whose last label is one is an IPv4 address to browsers
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "for example: https://app.example, or http://localhost:3000"


def parse_origin(text: str) -> str:
    """Return an origin as browsers send it: `scheme://host`, in lower case, and the port unless it is the default.

    Raises UsageError, with the reason, for anything that is not exactly one origin. A name that is not ASCII is
    refused, since browsers send its ASCII form, and the rules for that have changed: it could become another's name.
    """
    if text == "*":
        raise _refused(text, "it would be every page", hint="list each origin")
    if text.lower() == "null":
        raise _refused(text, "every page without an origin sends it", hint=_EXAMPLE)
    found = _ORIGIN.fullmatch(text)
    if not found:
        raise _refused(text, "it has no scheme", hint=_EXAMPLE)
    scheme, authority, rest = found[1].lower(), found[2], found[3]
    if rest not in ("", "/"):
        raise _refused(text, "it has a path", hint=_without(text, rest))
    if "@" in authority:
        raise _refused(text, "it has a user name", hint=_EXAMPLE)
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        raise _refused(text, "its host is not valid", hint=_EXAMPLE)
    host, port = _host(text, parts[1]), _port(text, parts[2])
    return f"{scheme}://{host}" + (f":{port}" if port not in (None, _DEFAULT_PORTS.get(scheme)) else "")


def _host(text: str, host: str) -> str:
    if "*" in host:
        raise _refused(text, "its host is a pattern, and browsers send one host", hint="list each origin")
    if not host.isascii():
        raise _refused(
            text, "its host is not ASCII", hint="give it as browsers send it, such as https://xn--bcher-kva.example"
        )
    if host.startswith("["):
        try:
            return f"[{_ipv6(IPv6Address(host[1:-1]))}]"
        except AddressValueError:
            raise _refused(text, "its host is not an IPv6 address", hint="for example: http://[::1]:3000") from None
    name = host.lower()
    if not _NAME.fullmatch(name):
        raise _refused(text, "its host is not valid" if host else "it has no host", hint=_EXAMPLE)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise _refused(text, "its host is not an IPv4 address", hint="for example: http://127.0.0.1:3000") from None
    return name


def _ipv6(address: IPv6Address) -> str:
    if address.scope_id is not None:
        raise AddressValueError
    mapped = address.ipv4_mapped
    if mapped is None:
        return str(address)
    high, low = divmod(int(mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}"  # not ::ffff:192.0.2.1, which Python writes from 3.13 on


def _port(text: str, port: str | None) -> int | None:
    if port is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
        raise _refused(text, "its port is not a number from 1 to 65535", hint=_EXAMPLE)
    return int(port)


def _without(text: str, rest: str) -> str:
    """Suggest the origin without what comes after it, if that is one."""
    try:
        return f"give the origin alone: {parse_origin(text.removesuffix(rest))}"
    except UsageError:
        return _EXAMPLE


def _refused(text: str, why: str, *, hint: str) -> UsageError:
    return UsageError(f'"{brief(text)}" is not an origin: {why}', hint=hint)
