"""Reads the head of an HTTP/1.1 request, as curl or a proxy would send it (RFC 9112), and checks its path.

A path is routed as it was sent, so what another server might read differently is refused before routing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from keyctl.errors import UsageError

Headers: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str | bytes, str | bytes]]

MAX_HEAD_BYTES = 64 * 1024
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[01]", re.ASCII)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)", re.ASCII)
_PERCENT = re.compile(r"%(.{0,2})", re.DOTALL)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_NEVER_IN_PATHS = frozenset(' "#<>\\^`{|}')  # RFC 3986, 3.3
_SEPARATORS = frozenset(b"/\\%\x7f") | frozenset(range(0x20))


class PathRefused(ValueError):
    """A target that two servers could read in two ways. The text says why, and does not quote it."""


class HttpRequest(NamedTuple):
    """A request's head. `fields` has the values of each header, in their order; the names are in lower case."""

    method: str
    target: str
    fields: Mapping[str, Sequence[str]]

    def values(self, name: str) -> Sequence[str]:
        """Return every value of a header, given in lower case."""
        return self.fields.get(name, ())

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers as pairs, those of one name together."""
        return [(name, value) for name, values in self.fields.items() for value in values]


def check_path(path: str) -> None:
    """Check a path as sent, without its query. Raises PathRefused."""
    if not path.startswith("/"):
        raise PathRefused("the target is not a path")
    if "//" in path:
        raise PathRefused("the path has an empty segment")
    if not (path.isascii() and path.isprintable()) or not _NEVER_IN_PATHS.isdisjoint(path):
        raise PathRefused("the path holds a character that does not belong there")
    if ";" in path:
        # /v1/admin;x is /v1/admin to some servers, and /v1/health/..;/admin too
        raise PathRefused("the path has parameters, which some servers ignore")
    if "/." in path and any(segment in (".", "..") for segment in path.split("/")):
        raise PathRefused("the path has dot segments")
    if "%" in path:
        _check_encoding(path)


def read_fields(headers: Headers) -> dict[str, list[str]]:
    """Return the values of each header by its name in lower case, in their order and with repetitions.

    Bytes are read as Latin-1 (RFC 9110, 5.5). Raises TypeError for what is neither a mapping nor pairs of texts.
    """
    fields: dict[str, list[str]] = {}
    try:
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            # Every request comes here, with all its headers: no call for what is a text already.
            known = (name if isinstance(name, str) else _header_text(name)).lower()
            text = value if isinstance(value, str) else _header_text(value)
            if known in fields:
                fields[known].append(text)
            else:
                fields[known] = [text]
    except ValueError:
        raise TypeError("headers must be a mapping, or pairs of a name and a value") from None
    return fields


def _header_text(text: object) -> str:
    if isinstance(text, bytes):
        return text.decode("latin-1")
    raise TypeError(f"headers must be str or bytes, not {type(text).__name__}")


def parse_head(raw: bytes) -> HttpRequest:
    """Read a request line and headers, up to the empty line. Raises UsageError, which never quotes the head.

    At most MAX_HEAD_BYTES. Lines end in CRLF or LF; folded headers (RFC 9112 5.2) are refused.
    """
    head = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0]
    if len(head) > MAX_HEAD_BYTES:
        raise UsageError(f"the request's head is larger than {MAX_HEAD_BYTES:,} bytes")
    lines = head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    line = _REQUEST_LINE.fullmatch(lines[0])
    if not line:
        raise UsageError("there is no request line", hint="the first line is: GET /v1/calls HTTP/1.1")
    headers: list[tuple[str, str]] = []
    for number, text in enumerate(lines[1:], start=2):
        header = _HEADER.fullmatch(text)
        if not header or any((ord(c) < 0x20 and c != "\t") or c == "\x7f" for c in header[2]):
            raise UsageError(f"line {number} of the request's head is not a header", hint="a header is: Name: value")
        headers.append((header[1], header[2].strip(" \t")))
    return HttpRequest(line[1], line[2], read_fields(headers))


def _check_encoding(path: str) -> None:
    """Refuse percent-encoding of unreserved characters, separators and control characters, and bytes outside UTF-8."""
    for encoded in _PERCENT.findall(path):
        if not re.fullmatch(r"[0-9A-Fa-f]{2}", encoded):
            raise PathRefused("the path has a percent sign that encodes nothing")
        byte = int(encoded, 16)
        if byte in _UNRESERVED or byte in _SEPARATORS:
            raise PathRefused("the path encodes a letter, a digit, a dot, a slash or a control character")
    try:
        unquote_to_bytes(path).decode()
    except ValueError:  # a careless decoder reads %c0%ae as a dot
        raise PathRefused("the path encodes bytes that are not UTF-8") from None
