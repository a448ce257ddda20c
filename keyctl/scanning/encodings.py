"""How a key may be encoded where it is found: not at all, percent-encoded, in base64.

Each encoding says what the beginning of a key looks like in it, as a signature: the bytes that are possible at each
place. What has such a signature is decoded, and then compared with the shapes of keys.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

Signature = Sequence[frozenset[int]]
Head = Sequence[str]  # the characters that are possible at each of the first places of a key

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URLSAFE = {ord("+"): ord("-"), ord("/"): ord("_")}
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_UNRESERVED = "-._~"  # RFC 3986, 2.3: most encoders leave them as they are
_HEX = frozenset(b"0123456789abcdefABCDEF")
# Base64 may be wrapped into lines, which may be indented or quoted, or escaped as in JSON.
LINE_END = rb"""(?:\\r|\r)?(?:\\n|\n)[ \t"']{0,30}"""
_RUN = re.compile(rb"[0-9A-Za-z+/_-]+(?:%b[0-9A-Za-z+/_-]+)*" % LINE_END)
_END_BEFORE = re.compile(rb"%b\Z" % LINE_END)
_LONGEST_END = 40  # bytes
_SHORTEST_LINE = 60  # characters


class Decoded(NamedTuple):
    """Decoded bytes, in which a key may begin at `start`. `offset` is where its encoded form begins."""

    data: bytes
    start: int
    offset: int


class Encoding(Protocol):
    """One way to encode. `name` is shown. With `movable`, `decode` also takes places that are not at the
    beginning, and lines may end anywhere."""

    name: str
    movable: bool

    def signatures(self, head: Head) -> Iterator[Signature]:
        """Yield what the beginning of a key may look like."""

    def decode(self, data: bytes, at: int, skipped: int, longest: int) -> Decoded | None:
        """Decode what has a signature, of which the place `skipped` is at `at`; None if it is not of this encoding.

        `longest` is the length of the longest key.
        """

    def end(self, data: bytes, decoded: Decoded, length: int) -> int:
        """Return where the encoded form of a key of this length ends."""


class Plain:
    name = ""
    movable = False

    def signatures(self, head: Head) -> Iterator[Signature]:
        yield [frozenset(place.encode()) for place in head]

    def decode(self, data: bytes, at: int, skipped: int, longest: int) -> Decoded:  # noqa: ARG002
        return Decoded(data, at, at)

    def end(self, data: bytes, decoded: Decoded, length: int) -> int:  # noqa: ARG002
        return decoded.offset + length


class Percent:
    """Percent-encoding, of the characters that must be encoded or of all but letters and digits."""

    name = "percent-encoding"
    movable = False

    def signatures(self, head: Head) -> Iterator[Signature]:
        usual, complete = self._signature(head, never=_UNRESERVED), self._signature(head, never="")
        yield usual
        if complete != usual:
            yield complete

    def decode(self, data: bytes, at: int, skipped: int, longest: int) -> Decoded | None:  # noqa: ARG002
        window = data[at : at + 3 * longest + 3]
        return Decoded(unquote_to_bytes(window), 0, at) if b"%" in window else None

    def end(self, data: bytes, decoded: Decoded, length: int) -> int:
        match = re.compile(rb"(?:%%[0-9A-Fa-f]{2}|[^%%]){%d}" % length).match(data, decoded.offset)
        return match.end() if match else decoded.offset + length

    def _signature(self, head: Head, *, never: str) -> Signature:
        signature: list[frozenset[int]] = []
        shifted = False  # whether the places from here on depend on what was encoded before
        for place in head:
            encoded = [f"%{ord(one):02X}" for one in place if not one.isalnum() and one not in never]
            if encoded and len(encoded) == len(place) and not shifted:
                spelled = [*encoded, *map(str.lower, encoded)]
                signature += [frozenset("".join(places).encode()) for places in zip(*spelled, strict=True)]
                continue
            shifted = shifted or bool(encoded)
            signature.append(frozenset(place.encode()) | (_HEX | frozenset(b"%") if shifted else frozenset()))
        return signature[: len(head)]


class Base64:
    """Base64, standard or URL-safe, of a text in which a key begins `before` bytes after a multiple of three.

    It may be wrapped into lines of 60 or more characters. A signature begins with the multiple of four characters in
    which the key begins.
    """

    name = "base64"
    movable = True

    def __init__(self, before: int) -> None:
        self._before = before

    def signatures(self, head: Head) -> Iterator[Signature]:
        octets = [frozenset(range(256))] * self._before + [frozenset(place.encode()) for place in head]
        signature = []
        for i in range(len(octets) * 8 // 6):
            first, shift = divmod(i * 6, 8)
            upper = {octet << 8 >> 10 - shift & 63 for octet in octets[first]}
            lower = {octet >> 10 - shift & 63 for octet in (octets[first + 1] if first + 1 < len(octets) else [0])}
            letters = {_BASE64[one | other] for one in upper for other in lower}
            signature.append(frozenset(letters | {_URLSAFE[one] for one in letters if one in _URLSAFE}))
        yield signature

    def decode(self, data: bytes, at: int, skipped: int, longest: int) -> Decoded | None:
        start = _back(data, at, skipped)
        if start is None:
            return None
        characters = (longest + 3) * 4 // 3 + 4
        run = _RUN.match(data, start, start + characters + (characters // _SHORTEST_LINE + 1) * _LONGEST_END)
        if run is None:
            return None
        encoded = re.sub(LINE_END, b"", run[0]).translate(_TO_STANDARD)
        whole = encoded[: len(encoded) - (len(encoded) % 4 == 1)]
        return Decoded(b64decode(whole + b"=" * (-len(whole) % 4)), self._before, start)

    def end(self, data: bytes, decoded: Decoded, length: int) -> int:
        characters = -(-(self._before + length) * 8 // 6)
        match = re.compile(rb"(?:(?:%b)?[0-9A-Za-z+/_-]){%d}" % (LINE_END, characters)).match(data, decoded.offset)
        return match.end() if match else decoded.offset + characters


def _back(data: bytes, at: int, count: int) -> int | None:
    """Return where the character of base64 is that is `count` characters before the one at `at`; None if none is."""
    while count:
        if ended := _END_BEFORE.search(data, max(0, at - _LONGEST_END), at):
            at = ended.start()
        if not at or not _RUN.match(data, at - 1, at):
            return None
        at, count = at - 1, count - 1
    return at


ENCODINGS: Sequence[Encoding] = (Plain(), Percent(), Base64(0), Base64(1), Base64(2))
BEFORE = 4 * _LONGEST_END  # bytes before a signature that may be needed to decode it


def after(longest: int) -> int:
    """Return how many bytes after the beginning of a signature may be needed to decode the longest key."""
    return 3 * (longest + 3) + 4 * _LONGEST_END
