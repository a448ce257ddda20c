"""The bundle's file: the signed first line, and tables of blocks that are named by references with digests.

The format is specified in `keyctl help bundle-format`, whose words are used here. Nothing is parsed before its
signature or its digest was checked. The writer holds one row block and the references of one table, the reader one row
block and the indexes that it used, so a store of any size can be exported and searched.
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
    """Bytes that fail their signature or digest, or that keyctl does not write. The text says which."""


class Reference(NamedTuple):
    """Names a block: the first name in it, its offset after the first line and length in bytes, its SHA-256 in hex."""

    first: str
    offset: int
    length: int
    digest: str


class FirstLine(NamedTuple):
    """The parts of the signed line, unchecked: `header` cannot be trusted before the signature is checked."""

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
        raise BundleDamaged("it is not a bundle, or is truncated")
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
    """Writes blocks one after the other."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offset = 0

    def write_table(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Reference]:
        """Write rows in ascending order of their names; return the references to the table's indexes.

        Raises BundleDamaged for another order.
        """
        indexes: list[Reference] = []
        row_blocks: list[Reference] = []
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
                row_blocks.append(self.write_block(first, b"\n".join(lines) + b"\n"))
                lines.clear()
                size = 0
            if len(row_blocks) == FAN_OUT:
                indexes.append(self.write_block(row_blocks[0].first, to_json(row_blocks) + b"\n"))
                row_blocks.clear()
        if lines:
            row_blocks.append(self.write_block(first, b"\n".join(lines) + b"\n"))
        if row_blocks:
            indexes.append(self.write_block(row_blocks[0].first, to_json(row_blocks) + b"\n"))
        return indexes

    def write_block(self, first: str, content: bytes) -> Reference:
        self._file.write(content)
        reference = Reference(first, self._offset, len(content), sha256(content).hexdigest())
        self._offset += len(content)
        return reference


class TableReader:
    """Looks names up in one table, reading and checking one index and one row block. Raises BundleDamaged."""

    def __init__(self, file: IO[bytes], start: int, indexes: Iterable[Reference]) -> None:
        self._file = file
        self._start = start
        self._indexes = list(indexes)
        self._read_indexes: dict[int, list[Reference]] = {}

    def find(self, name: str) -> dict[str, Any] | None:
        i = bisect_right(self._indexes, name, key=lambda reference: reference.first) - 1
        if i < 0:
            return None
        row_blocks = self._index(i)
        j = bisect_right(row_blocks, name, key=lambda reference: reference.first) - 1
        return dict(self._rows(row_blocks[j])).get(name) if j >= 0 else None

    def every(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield all rows, in order, checking everything."""
        last = ""
        for i in range(len(self._indexes)):
            for row_block in self._index(i):
                for name, value in self._rows(row_block):
                    if name <= last:
                        raise BundleDamaged("its rows are out of order, or one occurs twice")
                    last = name
                    yield name, value

    def _index(self, i: int) -> list[Reference]:
        if i not in self._read_indexes:
            reference = self._indexes[i]
            row_blocks = read_references(read_json(read_block(self._file, self._start, reference)))
            if not row_blocks or row_blocks[0].first != reference.first or not _ascend(one.first for one in row_blocks):
                raise BundleDamaged("an index is out of order")
            self._read_indexes[i] = row_blocks
        return self._read_indexes[i]

    def _rows(self, reference: Reference) -> list[tuple[str, dict[str, Any]]]:
        rows = [read_json(line) for line in read_block(self._file, self._start, reference).splitlines()]
        if not all(_is_row(row) for row in rows) or not rows or rows[0][0] != reference.first:
            raise BundleDamaged("a block does not hold what its reference says")
        if not _ascend(row[0] for row in rows):
            raise BundleDamaged("its rows are out of order, or one occurs twice")
        return [(name, value) for name, value in rows]


def read_block(file: IO[bytes], start: int, reference: Reference) -> bytes:
    """Read a block, and check its digest. Raises BundleDamaged."""
    if not 0 <= reference.length <= _MAX_BLOCK or not 0 <= reference.offset <= _MAX_OFFSET:
        raise BundleDamaged("a reference is out of bounds")
    try:
        # pread: several threads may look keys up in one bundle
        content = os.pread(file.fileno(), reference.length, start + reference.offset)
    except OSError as error:
        raise BundleDamaged(f"it cannot be read: {error.strerror}") from None
    if sha256(content).hexdigest() != reference.digest:
        raise BundleDamaged("a block was altered, or is missing")
    return content


def read_references(value: Any) -> list[Reference]:
    """Read a list of references from JSON. Raises BundleDamaged."""
    kinds = (str, int, int, str)
    if not isinstance(value, list) or not all(
        isinstance(item, list) and tuple(map(type, item)) == kinds for item in value
    ):
        raise BundleDamaged("an index cannot be read")
    return [Reference(*item) for item in value]


def read_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BundleDamaged("a block is not JSON") from None


def to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict)


def _ascend(names: Iterable[str]) -> bool:
    return all(a < b for a, b in pairwise(names))
