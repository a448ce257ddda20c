"""Rows of the store as keys and owners, and back. Shared by every reader, so that all read the same.

Times are kept as Unix milliseconds and lists as JSON text: neither database can then drop a zone or an order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

from keyctl.models import Key, Owner
from keyctl.times import from_milliseconds, to_milliseconds


class Row(Protocol):
    """A row of either database driver: its columns by name."""

    def __getitem__(self, name: Any, /) -> Any: ...


KEY_COLUMNS = tuple(Key.__dataclass_fields__)
OWNER_COLUMNS = tuple(Owner.__dataclass_fields__)
_KEY_TIMES = tuple(name for name in KEY_COLUMNS if name.endswith(("_at", "_until")))
_OWNER_TIMES = tuple(name for name in OWNER_COLUMNS if name.endswith("_at"))


class RowDamaged(ValueError):
    """A row that keyctl cannot have written. The text names it by what is public."""


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
    return key_of_columns({name: row[name] for name in KEY_COLUMNS})


def key_of_columns(values: dict[str, Any]) -> Key:
    """Decode a key's columns, given all of them by name. `values` is the key's from then on."""
    try:
        _decode_times(values, _KEY_TIMES)
        values["scopes"] = _texts(values["scopes"])
        values["allowed_ips"] = _texts(values["allowed_ips"])
        values["metadata"] = json.loads(values["metadata"]) if values["metadata"] != "{}" else {}
    except (TypeError, ValueError, OverflowError):
        raise RowDamaged(
            f"key {values['prefix']} ({values['id']}) was altered outside keyctl: it cannot be read"
        ) from None
    return Key.of(values)


def decode_owner(row: Row) -> Owner:
    try:
        values = {name: row[name] for name in OWNER_COLUMNS}
        _decode_times(values, _OWNER_TIMES)
        values["attributes"] = json.loads(values["attributes"])
    except (TypeError, ValueError, OverflowError):
        raise RowDamaged(f"owner {row['handle']} was altered outside keyctl: it cannot be read") from None
    return Owner(**values)


def json_value(value: Any) -> Any:
    """Return a column's value as it stands in JSON: times as Unix milliseconds, tuples as lists."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return to_milliseconds(value)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _decode_times(values: dict[str, Any], times: tuple[str, ...]) -> None:
    for name in times:
        if (milliseconds := values[name]) is not None:
            values[name] = from_milliseconds(milliseconds)


@lru_cache(maxsize=1024)
def _texts(text: str) -> tuple[str, ...]:
    """Read a JSON list. Few different ones stand in the rows of a store."""
    return tuple(json.loads(text))
