"""The bundle's file: sorted tables in blocks, under digests, under one signed line. Pure but for the file handles.

A bundle is UTF-8 text. Its first line is four words, one space between them, 262,144 bytes at most with its line feed:

    keyctl-bundle-v1 SIGNER SIGNATURE HEADER

SIGNER is an Ed25519 public key (RFC 8032) of 32 bytes, and SIGNATURE its signature of 64 over these bytes: the text
`keyctl-bundle-v1`, a line feed, and HEADER exactly as it stands, without the line feed at its end. Both are base64url
without padding (RFC 4648). A reader first compares SIGNER with those it trusts, then checks the signature, and only
then parses HEADER, a JSON object (fields may be added):

    version                  1
    store_id                 whose keys these are
    sequence                 a number that grows with each bundle of a store
    made_at, valid_until     RFC 3339 in UTC. It may be used while now < valid_until, and made_at <= now + 5 minutes
    filter                   an object: which keys were exported; empty for all
    with_names               whether there are names and handles
    rules                    a piece
    keys, owners, handles    tables: each a list of pieces

A piece is `[first, offset, length, digest]`: the first name in it, where it begins (counted from the byte after line
1), its length in bytes, and the SHA-256 of exactly these bytes in lower-case hex, which is checked before it is parsed.
A piece that a table lists is an index: a JSON list of at most 256 pieces. Each of those is a block: at most 256 lines,
a line feed after each, of `[name, value]` in JSON. Names ascend by code point, through a whole table, and none stands
twice. So there is one place where a name can be: in the table, take the last piece whose first name is not after it;
in that index, again; in that block, the line that begins with it.

`keys` are named by prefix. Times are Unix milliseconds or null, and lists are JSON texts: `"scopes":"[\\"read\\"]"`.

    id, phc, environment, scopes, allowed_ips, owner_id, created_at, expires_at, locked_at, locked_until, revoked_at,
    replaced_by; name if with_names

`phc` is a PHC string over the whole key. `owners` are named by id; those above an owner are in the table as well:

    kind, parent_id, plan, attributes (a JSON text of an object), disabled_at; handle and name if with_names

`handles` are named by handle, with the value `{"id": ID}`; there are none unless with_names. `rules` is one JSON
object: `profile` as in a profile's file, `hash` with the parameters of new hashes, and `earlier_formats` of keys.
"""

from __future__ import annotations

import base64
import json
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import pairwise
from typing import IO, Any, NamedTuple

MAGIC = b"keyctl-bundle-v1"
FAN_OUT = 256
MAX_FIRST_LINE = 256 * 1024
_MAX_BLOCK = 16 * 1024 * 1024
_FULL_BLOCK = 1024 * 1024
_MAX_OFFSET = 1 << 60
TABLES = ("keys", "owners", "handles")


class BundleDamaged(ValueError):
    """Bytes that the signature does not vouch for, or that no keyctl wrote. The text says which part."""


class Piece(NamedTuple):
    """A part of the file under a digest, and the first name in it."""

    first: str
    offset: int
    length: int
    digest: str


class FirstLine(NamedTuple):
    """The signed line, as it stands: nothing in `header` may be believed before the signature is checked."""

    signer: bytes
    signature: bytes
    header: bytes
    length: int


# ── the first line ───────────────────────────────────────────────────────────────────────────────────────────────────


def write_first_line(signer: bytes, signature: bytes, header: bytes) -> bytes:
    return b" ".join([MAGIC, to_base64url(signer).encode(), to_base64url(signature).encode(), header]) + b"\n"


def signed_bytes(header: bytes) -> bytes:
    """Return what the signature is over."""
    return MAGIC + b"\n" + header


def read_first_line(file: IO[bytes]) -> FirstLine:
    """Read the signed line, at most MAX_FIRST_LINE bytes, without parsing what is signed. Raises BundleDamaged."""
    try:
        line = file.readline(MAX_FIRST_LINE + 1)
    except OSError as error:
        raise BundleDamaged(f"it cannot be read: {error.strerror}") from None
    if len(line) > MAX_FIRST_LINE:
        raise BundleDamaged(f"its first line is longer than {MAX_FIRST_LINE:,} bytes")
    parts = line.split(b" ", 3)
    if len(parts) != 4 or not line.endswith(b"\n") or not parts[0].startswith(b"keyctl-bundle-"):
        raise BundleDamaged("it is not a bundle, or cut short")
    if parts[0] != MAGIC:
        raise BundleDamaged("another version of keyctl made it: upgrade keyctl")
    return FirstLine(from_base64url(parts[1], 32), from_base64url(parts[2], 64), parts[3][:-1], len(line))


def to_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def from_base64url(text: bytes, length: int) -> bytes:
    """Read base64url without padding of exactly `length` bytes. Raises BundleDamaged."""
    try:
        raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    if len(raw) != length or to_base64url(raw).encode() != text:
        raise BundleDamaged(f"a key or signature in it is not base64url of {length} bytes")
    return raw


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class TableWriter:
    """Writes tables one after the other, holding one block and the indexes of one table at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offset = 0

    def write_table(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Piece]:
        """Write rows in ascending order of their names; return the groups. Raises BundleDamaged for another order."""
        groups: list[Piece] = []
        pieces: list[Piece] = []
        lines: list[bytes] = []
        first = last = ""
        size = 0
        for name, value in rows:
            if name <= last:
                raise BundleDamaged(f"rows out of order at {name}")
            first, last = (first if lines else name), name
            lines.append(to_json([name, value]))
            size += len(lines[-1])
            if len(lines) == FAN_OUT or size > _FULL_BLOCK:
                pieces.append(self.write(first, b"\n".join(lines) + b"\n"))
                lines.clear()
                size = 0
            if len(pieces) == FAN_OUT:
                groups.append(self.write(pieces[0].first, to_json(pieces) + b"\n"))
                pieces.clear()
        if lines:
            pieces.append(self.write(first, b"\n".join(lines) + b"\n"))
        if pieces:
            groups.append(self.write(pieces[0].first, to_json(pieces) + b"\n"))
        return groups

    def write(self, first: str, content: bytes) -> Piece:
        self._file.write(content)
        piece = Piece(first, self._offset, len(content), sha256(content).hexdigest())
        self._offset += len(content)
        return piece


class TableReader:
    """Looks names up in one table, reading and checking one group and one block. Raises BundleDamaged."""

    def __init__(self, file: IO[bytes], start: int, groups: Iterable[Piece]) -> None:
        self._file = file
        self._start = start
        self._groups = list(groups)
        self._indexes: dict[int, list[Piece]] = {}

    def find(self, name: str) -> dict[str, Any] | None:
        i = bisect_right(self._groups, name, key=lambda piece: piece.first) - 1
        if i < 0:
            return None
        blocks = self._index(i)
        j = bisect_right(blocks, name, key=lambda piece: piece.first) - 1
        return dict(self._rows(blocks[j])).get(name) if j >= 0 else None

    def every(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield all rows, in order, checking everything."""
        last = ""
        for i in range(len(self._groups)):
            for block in self._index(i):
                for name, value in self._rows(block):
                    if name <= last:
                        raise BundleDamaged("its rows are out of order, or one stands twice")
                    last = name
                    yield name, value

    def _index(self, i: int) -> list[Piece]:
        if i not in self._indexes:
            pieces = read_pieces(read_json(read_piece(self._file, self._start, self._groups[i])))
            if not pieces or pieces[0].first != self._groups[i].first or not _ascend(piece.first for piece in pieces):
                raise BundleDamaged("an index is out of order")
            self._indexes[i] = pieces
        return self._indexes[i]

    def _rows(self, block: Piece) -> list[tuple[str, dict[str, Any]]]:
        rows = [read_json(line) for line in read_piece(self._file, self._start, block).splitlines()]
        if not all(_is_row(row) for row in rows) or not rows or rows[0][0] != block.first:
            raise BundleDamaged("a block does not hold what its index says")
        if not _ascend(row[0] for row in rows):
            raise BundleDamaged("its rows are out of order, or one stands twice")
        return [(name, value) for name, value in rows]


def read_piece(file: IO[bytes], start: int, piece: Piece) -> bytes:
    """Read a part of the file, and check its digest. Raises BundleDamaged."""
    if not 0 <= piece.length <= _MAX_BLOCK or not 0 <= piece.offset <= _MAX_OFFSET:
        raise BundleDamaged("an index names a part that cannot be")
    try:
        # pread: several threads may look keys up in one bundle
        content = os.pread(file.fileno(), piece.length, start + piece.offset)
    except OSError as error:
        raise BundleDamaged(f"it cannot be read: {error.strerror}") from None
    if sha256(content).hexdigest() != piece.digest:
        raise BundleDamaged("a part of it was altered, or is missing")
    return content


def read_pieces(value: Any) -> list[Piece]:
    """Read what `Piece` looks like in JSON. Raises BundleDamaged."""
    kinds = (str, int, int, str)
    if not isinstance(value, list) or not all(
        isinstance(item, list) and tuple(map(type, item)) == kinds for item in value
    ):
        raise BundleDamaged("an index cannot be read")
    return [Piece(*item) for item in value]


def read_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BundleDamaged("a part of it is not JSON") from None


def to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict)


def _ascend(names: Iterable[str]) -> bool:
    return all(a < b for a, b in pairwise(names))
