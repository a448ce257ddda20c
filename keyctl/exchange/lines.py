"""Lines of JSON or CSV, one key each: read one by one, so that a file may be of any size.

What is wrong with a line is said without quoting it: it may hold a key.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from keyctl.errors import UsageError

JSONL, CSV = "jsonl", "csv"
FORMS = (JSONL, CSV)
LONGEST_LINE = 64 * 1024  # bytes
_EXTENSIONS = {".jsonl": JSONL, ".ndjson": JSONL, ".json": JSONL, ".csv": CSV}
_QUOTABLE = re.compile(r"[a-z][a-z_]{0,29}")  # a name of a field, and no key
_BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line with the values in it, or with what is wrong with it."""

    number: int
    values: Mapping[str, Any]
    fault: str | None = None


def form_of(name: str, beginning: bytes) -> str:
    """Return the form of a file: by the extension of its name, else by its first bytes."""
    for extension, form in _EXTENSIONS.items():
        if name.lower().endswith(extension):
            return form
    return JSONL if beginning.removeprefix(_BOM).lstrip().startswith((b"{", b"[")) else CSV


def read(file: BinaryIO, form: str, fields: Collection[str]) -> Iterator[Line]:
    """Yield the lines of a file; blank ones are passed over. `fields` are those that a heading may name.

    Raises UsageError for a CSV file without a heading.
    """
    return _read_csv(file, fields) if form == CSV else _read_jsonl(file)


def field_fault(name: str) -> str:
    """Return what is wrong with a field of an unknown name, which is quoted only if it cannot be a key."""
    return f'unknown field "{name}"' if _QUOTABLE.fullmatch(name) else "a field with an unknown name"


def _read_jsonl(file: BinaryIO) -> Iterator[Line]:
    for number, raw in _bounded(file):
        if raw is None:
            yield Line(number, {}, _too_long())
        elif raw.strip():
            try:
                values = json.loads(raw, object_pairs_hook=_object)
            except UnicodeDecodeError:
                yield Line(number, {}, "it is not UTF-8 text")
            except _RepeatedField:
                yield Line(number, {}, "a field is there twice")
            except (ValueError, RecursionError):
                yield Line(number, {}, "it is not JSON")
            else:
                ok = isinstance(values, dict)
                yield Line(number, values if ok else {}, None if ok else "it is not a JSON object: one line is one key")


def _read_csv(file: BinaryIO, fields: Collection[str]) -> Iterator[Line]:
    faults: list[Line] = []

    def texts() -> Iterator[str]:
        for number, raw in _bounded(file):
            try:
                yield raw.decode() if raw is not None else ""
            except UnicodeDecodeError:
                faults.append(Line(number, {}, "it is not UTF-8 text"))
            else:
                if raw is None:
                    faults.append(Line(number, {}, _too_long()))

    rows = csv.reader(texts(), strict=True)
    heading: Sequence[str] | None = None
    before = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            row, broken = None, True
        else:
            broken = False
        if heading is None:
            heading = _heading(row, fields)
            before = rows.line_num
            continue
        yield from faults
        faults.clear()
        number, before = before + 1, rows.line_num
        if broken:
            yield Line(number, {}, "its quotes are wrong: the lines after it were not read")
        if row is None:
            return
        if row and len(row) != len(heading):
            yield Line(number, {}, f"it has {len(row)} fields, and the heading {len(heading)}")
        elif row:
            yield Line(number, {name: cell for name, cell in zip(heading, row, strict=True) if cell})


def _heading(row: Sequence[str] | None, fields: Collection[str]) -> Sequence[str]:
    hint = "name the fields in the first line, such as prefix,hash,name,owner; see: keyctl help import"
    names = [name.strip().lower() for name in row or ()]
    unknown = [name for name in names if name not in fields]
    if not names or len(unknown) == len(names):
        raise UsageError("the CSV file has no heading", hint=hint)
    if unknown:
        raise UsageError(f"the heading has {field_fault(unknown[0])}", hint=hint)
    if len(set(names)) < len(names):
        raise UsageError("the heading has a field twice", hint=hint)
    return names


def _bounded(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line with its number; None in place of one that is too long, which is never in memory."""
    number = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            raw = raw.removeprefix(_BOM)
        if len(raw) <= LONGEST_LINE:
            yield number, raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(LONGEST_LINE)
        yield number, None


def _too_long() -> str:
    return f"it is longer than {LONGEST_LINE:,} bytes"


class _RepeatedField(Exception):
    """An object with two fields of one name, of which Python would keep the last."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedField
    return found
