"""Converts rows of the store to keys and owners, and back. Every reader uses it, so that all read the same.

Times are stored as Unix milliseconds and lists as JSON text: neither database can then lose a zone or an order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import NoneType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from keyctl.models import Key, Owner
from keyctl.times import from_milliseconds, to_milliseconds

T = TypeVar("T")


class Row(Protocol):
    """A row of either database driver: its columns by name."""

    def __getitem__(self, name: Any, /) -> Any: ...


KEY_COLUMNS = tuple(Key.__dataclass_fields__)
OWNER_COLUMNS = tuple(Owner.__dataclass_fields__)


def _stored_types(model: type[Key | Owner]) -> tuple[Any, ...]:
    """Return the types of a model's columns: times are integers, and everything else is text."""
    annotations = [str(field.type) for field in model.__dataclass_fields__.values()]
    kinds = [int if "datetime" in annotation else str for annotation in annotations]
    return tuple(
        (kind, NoneType) if "None" in annotation else kind for kind, annotation in zip(kinds, annotations, strict=True)
    )


# SQLite keeps values of any type in any column.
_KEY_TYPES = _stored_types(Key)
_OWNER_TYPES = _stored_types(Owner)


class RowDamaged(ValueError):
    """A row that keyctl cannot have written. The message identifies it without secrets."""


class AsWritten(NamedTuple, Generic[T]):
    """A row exactly as it is in a database: its primary key, its content, and what is wrong with how it is written.

    `content` is None if it cannot be read.
    """

    id: Any
    content: T | None
    fault: str | None


def encode(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return column values for fields of a key or an owner. Raises ValueError for a naive datetime."""
    encoded = {name: json_value(value) for name, value in values.items()}
    return {
        name: json.dumps(value, separators=(",", ":"), ensure_ascii=False) if isinstance(value, list | dict) else value
        for name, value in encoded.items()
    }


def encode_key(key: Key) -> dict[str, Any]:
    return encode({name: getattr(key, name) for name in KEY_COLUMNS})


def encode_owner(owner: Owner) -> dict[str, Any]:
    return encode({name: getattr(owner, name) for name in OWNER_COLUMNS})


def decode_key(row: Row) -> Key:
    return key_of_columns([row[name] for name in KEY_COLUMNS])


def key_of_columns(columns: Sequence[Any]) -> Key:
    """Decode a key's columns, in the order of KEY_COLUMNS."""
    # Written out rather than in a loop: every look-up runs it (tests/benchmarks, "a look-up in the store").
    (
        key_id,
        prefix,
        phc,
        name,
        owner_id,
        environment,
        scopes,
        allowed_ips,
        metadata,
        created_at,
        created_by,
        lineage,
        delivered_at,
        expires_at,
        locked_at,
        locked_until,
        revoked_at,
        revoked_reason,
        replaces,
        replaced_by,
        last_used_at,
    ) = columns
    try:
        if not all(map(isinstance, columns, _KEY_TYPES)):
            raise TypeError
        return Key.of(
            {
                "id": key_id,
                "prefix": prefix,
                "phc": phc,
                "name": name,
                "owner_id": owner_id,
                "environment": environment,
                "scopes": _texts(scopes),
                "allowed_ips": _texts(allowed_ips),
                "metadata": _mapping(metadata) if metadata != "{}" else {},
                "created_at": from_milliseconds(created_at),
                "created_by": created_by,
                "lineage": lineage,
                "delivered_at": _moment(delivered_at),
                "expires_at": _moment(expires_at),
                "locked_at": _moment(locked_at),
                "locked_until": _moment(locked_until),
                "revoked_at": _moment(revoked_at),
                "revoked_reason": revoked_reason,
                "replaces": replaces,
                "replaced_by": replaced_by,
                "last_used_at": _moment(last_used_at),
            }
        )
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise RowDamaged(f"key {prefix} ({key_id}) was altered outside keyctl: it cannot be read") from None


def decode_owner(row: Row) -> Owner:
    try:
        values = {name: row[name] for name in OWNER_COLUMNS}
        if not all(map(isinstance, values.values(), _OWNER_TYPES)):
            raise TypeError
        values["created_at"] = from_milliseconds(values["created_at"])
        values["disabled_at"] = _moment(values["disabled_at"])
        values["attributes"] = _mapping(values["attributes"])
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise RowDamaged(f"owner {row['handle']} was altered outside keyctl: it cannot be read") from None
    return Owner(**values)


def json_value(value: Any) -> Any:
    """Return a column's value as JSON has it: times as Unix milliseconds, tuples as lists."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return to_milliseconds(value)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)


@lru_cache(maxsize=1024)
def _texts(text: str) -> tuple[str, ...]:
    """Read a JSON list. A store has few different ones, hence the cache."""
    texts = json.loads(text)
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise TypeError
    return tuple(texts)


def _mapping(text: str) -> dict[str, Any]:
    mapping = json.loads(text)
    if not isinstance(mapping, dict):
        raise TypeError
    return mapping


def as_written(
    row: Mapping[str, Any],
    row_id: Any,
    altered: str,
    decode: Callable[[Mapping[str, Any]], T],
    encode: Callable[[T], Mapping[str, Any]],
) -> AsWritten[T]:
    """Decode a row; it is at fault unless `encode` returns the same row. `altered` is how the fault begins."""
    try:
        content = decode(row)
        same = row == encode(content)
    except (RowDamaged, RecursionError):
        return AsWritten(row_id, None, f"{altered}: it cannot be read")
    return AsWritten(row_id, content, None if same else f"{altered}: keyctl writes it differently")
