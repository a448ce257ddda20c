"""Keys and owners as the values of a line, and back. Every fault is a ValueError or a UsageError, of one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keyctl import policy
from keyctl.exchange.hash_forms import FORMS, KEYCTL
from keyctl.exchange.lines import field_fault
from keyctl.models import Key, KeyRecord, Owner
from keyctl.networks import parse_networks
from keyctl.profiles.foreign import HASHED_PARTS
from keyctl.text import checked_text
from keyctl.times import format_time, parse_moment

KEY_FIELDS = (
    "prefix",
    "hash",
    "hash_format",
    "hash_of",
    "key",
    "name",
    "owner",
    "environment",
    "scopes",
    "allowed_ips",
    "metadata",
    "created_at",
    "expires_at",
    "last_used_at",
    "locked",
    "locked_at",
    "locked_until",
    "disabled",
    "revoked",
    "revoked_at",
    "revoked_reason",
)
# What `export` writes, in this order.
EXPORTED = tuple(name for name in KEY_FIELDS if name not in {"key", "hash_of", "locked", "disabled", "revoked"})
OWNER_FIELDS = ("handle", "kind", "name", "parent", "plan", "attributes", "created_at", "disabled", "disabled_at")
_TRUE, _FALSE = {"true", "t", "yes", "1"}, {"false", "f", "no", "0"}
_LONGEST_HASH = 1000
_HOURS_ALONE = re.compile(r"(:\d\d(?:\.\d+)?[+-]\d\d)\Z", re.ASCII)  # a zone as PostgreSQL writes it
_REVOKED = "imported as revoked"


@dataclass(frozen=True)
class KeyLine:
    """A key as a line has it. Either `text` is there, which is the whole key, or `prefix` and `hash`."""

    values: Mapping[str, Any]  # those of a Key, but what the store gives it
    owner: str | None
    prefix: str | None = None
    hash: str | None = field(default=None, repr=False)
    hash_format: str | None = None
    hash_of: str | None = None
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OwnerLine:
    """An owner as a line has it; `parent` is a handle."""

    handle: str
    kind: str | None
    name: str | None
    parent: str | None
    plan: str | None
    attributes: Mapping[str, Any]
    created_at: datetime
    disabled_at: datetime | None


# ── lines → keys and owners ──────────────────────────────────────────────────────────────────────────────────────────


def read_line(values: Mapping[str, Any], *, now: datetime) -> KeyLine | OwnerLine:
    """Read the values of a line. An object as `owner` is an owner by itself. Raises ValueError or UsageError."""
    if isinstance(values.get("owner"), Mapping) and len(values) == 1:
        return _read_owner(_Values(values["owner"], OWNER_FIELDS), now)
    return _read_key(_Values(values, KEY_FIELDS), now)


def _read_key(line: _Values, now: datetime) -> KeyLine:
    text, prefix, hashed = (line.text(name) for name in ("key", "prefix", "hash"))
    if text is not None and hashed is not None:
        raise ValueError("key and hash are both there: give one of them")
    if text is None and (prefix is None or hashed is None):
        raise ValueError(f"{'hash' if prefix is not None else 'prefix'} is missing")
    if hashed is not None and (len(hashed) > _LONGEST_HASH or not hashed.isascii()):
        raise ValueError("its hash is of no known form")
    name, environment = line.text("name"), line.text("environment")
    created = line.moment("created_at", now)
    revoked_at = line.moment("revoked_at", now)
    if revoked_at is None and line.flag("revoked"):
        revoked_at = now
    reason = line.text("revoked_reason")
    locked_at = line.moment("locked_at", now)
    locked_until = line.moment("locked_until", None)
    if locked_at is None and (line.flag("locked") or line.flag("disabled") or locked_until is not None):
        locked_at = now
    values = {
        "name": checked_text("name", name) if name is not None else None,
        "environment": environment,
        "scopes": line.texts("scopes"),
        "allowed_ips": parse_networks(line.texts("allowed_ips")),
        "metadata": _metadata(line),
        "created_at": created or now,
        "expires_at": line.moment("expires_at", None),
        "last_used_at": line.moment("last_used_at", now),
        "locked_at": locked_at,
        "locked_until": locked_until if locked_at else None,
        "revoked_at": revoked_at,
        "revoked_reason": (checked_text("revoked_reason", reason, longest=500) if reason else _REVOKED)
        if revoked_at
        else None,
    }
    owner = line.text("owner")
    return KeyLine(
        values=values,
        owner=policy.handle(owner) if owner is not None else None,
        prefix=prefix,
        hash=hashed,
        hash_format=line.choice("hash_format", FORMS),
        hash_of=line.choice("hash_of", HASHED_PARTS),
        text=text,
    )


def _read_owner(line: _Values, now: datetime) -> OwnerLine:
    handle, name, parent = line.text("handle"), line.text("name"), line.text("parent")
    if handle is None:
        raise ValueError("handle of the owner is missing")
    disabled_at = line.moment("disabled_at", now)
    if disabled_at is None and line.flag("disabled"):
        disabled_at = now
    return OwnerLine(
        handle=policy.handle(handle),
        kind=line.text("kind"),
        name=checked_text("name", name) if name is not None else None,
        parent=policy.handle(parent) if parent is not None else None,
        plan=line.text("plan"),
        attributes=line.mapping("attributes"),
        created_at=line.moment("created_at", now) or now,
        disabled_at=disabled_at,
    )


def _metadata(line: _Values) -> dict[str, str]:
    found = line.mapping("metadata")
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError("metadata is not an object of texts")
    return policy.metadata(f"{name}={value}" for name, value in found.items())


class _Values:
    """The values of a line by name. One that is null, or an empty cell, is missing. Raises ValueError."""

    def __init__(self, values: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for name in values:
            if name not in known:
                raise ValueError(field_fault(name))
        self._values = values

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name} is not a text")
        return value or None

    def texts(self, name: str) -> list[str]:
        """Return a list; in a cell, it is JSON, or its entries are separated by commas or spaces."""
        value = self._values.get(name)
        if isinstance(value, str) and value.startswith("["):
            value = _json(value)
        elif isinstance(value, str):
            return value.replace(",", " ").split()
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"{name} is not a list of texts")
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return an object; in a cell, it is JSON."""
        value = self._values.get(name)
        if isinstance(value, str) and value:
            value = _json(value)
        if value in (None, ""):
            return {}
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is not a JSON object")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if isinstance(value, str):
            value = True if value.lower() in _TRUE else False if value.lower() in _FALSE else value
        if value is not None and not isinstance(value, bool):
            raise ValueError(f"{name} is not true or false")
        return bool(value)

    def moment(self, name: str, latest: datetime | None) -> datetime | None:
        """Return a time, RFC 3339 with a zone, no later than `latest`."""
        value = self.text(name)
        if value is None:
            return None
        moment = parse_moment(_HOURS_ALONE.sub(r"\1:00", value))
        if moment is None:
            raise ValueError(f"{name} is not a time with a zone, such as 2027-01-31T00:00:00Z")
        if latest is not None and moment > latest:
            raise ValueError(f"{name} is in the future")
        return moment

    def choice(self, name: str, known: Mapping[str, str] | tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value not in known:
            raise ValueError(f"{name} is not one of {', '.join(known)}")
        return value


def _json(cell: str) -> Any:
    """Return what a cell says in JSON; the cell itself, if that is none."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


# ── keys and owners → lines ──────────────────────────────────────────────────────────────────────────────────────────


def key_values(record: KeyRecord) -> dict[str, Any]:
    """Return the values of a key as `read_line` reads them; those that are not set are left out."""
    key: Key = record.key
    owner = record.owner
    values = {
        "prefix": key.prefix,
        "hash": key.phc,
        "hash_format": KEYCTL,
        "name": key.name,
        "owner": owner.handle if owner else None,
        "environment": key.environment,
        "scopes": list(key.scopes),
        "allowed_ips": list(key.allowed_ips),
        "metadata": dict(key.metadata),
        **{name: _written(getattr(key, name)) for name in ("created_at", "expires_at", "last_used_at")},
        **{name: _written(getattr(key, name)) for name in ("locked_at", "locked_until", "revoked_at")},
        "revoked_reason": key.revoked_reason,
    }
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def key_cells(record: KeyRecord) -> list[str]:
    """Return the values of a key as cells of CSV, in the order of EXPORTED."""
    values = key_values(record)
    return [_cell(values.get(name)) for name in EXPORTED]


def owner_values(owner: Owner, parent: str | None) -> dict[str, Any]:
    """Return the values of a line with an owner alone. `parent` is the handle of its parent."""
    values = {
        "handle": owner.handle,
        "kind": owner.kind,
        "name": owner.name,
        "parent": parent,
        "plan": owner.plan,
        "attributes": dict(owner.attributes),
        "created_at": _written(owner.created_at),
        "disabled_at": _written(owner.disabled_at),
    }
    return {"owner": {name: value for name, value in values.items() if value not in (None, {})}}


def _written(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value or ""
