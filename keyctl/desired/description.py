"""Reads a description of owners and keys from TOML. Pure; what only the store's profile knows is checked later.

What a description does not mention stays as it is, and is the profile's default for what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from keyctl import policy
from keyctl.errors import ConfigurationInvalid, KeyctlError, UsageError
from keyctl.networks import parse_networks
from keyctl.profiles.reader import Table
from keyctl.text import checked_text
from keyctl.times import NEVER, format_time, later, parse_duration, parse_when, truncate
from keyctl.toml_text import parse_toml

T = TypeVar("T")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class DescriptionInvalid(ConfigurationInvalid):
    """A description with faults.

    Attributes:
        faults: All of them, each beginning with its path in the file.
    """

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{source} cannot be applied: {count}{lines}", hint="see: keyctl help apply")
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Expiry:
    """When a key expires: at a time, a lifetime after it was created, or never. `text` is how it was written."""

    text: str
    at: datetime | None = None
    lifetime: timedelta | None = None

    def moment(self, created_at: datetime) -> datetime | None:
        return later(created_at, self.lifetime) if self.lifetime is not None else self.at


@dataclass(frozen=True)
class DescribedOwner:
    """An owner as it should be. None is what is not described; an empty text removes a value."""

    path: str
    handle: str
    kind: str | None = None
    name: str | None = None
    parent: str | None = None
    plan: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    disabled: bool | None = None


@dataclass(frozen=True)
class DescribedKey:
    """A key as it should be. None is what is not described; an empty text in `metadata` removes a value."""

    path: str
    name: str
    owner: str | None = None
    environment: str | None = None
    scopes: tuple[str, ...] | None = None
    expires: Expiry | None = None
    allowed_ips: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    locked: bool | None = None


@dataclass(frozen=True)
class Description:
    """What a file describes, and what is wrong with it."""

    owners: tuple[DescribedOwner, ...]
    keys: tuple[DescribedKey, ...]
    faults: tuple[str, ...] = ()


def parse_description(raw: bytes, source: str) -> Description:
    """Read a file, as far as it can be. Raises DescriptionInvalid if it is not TOML; other faults are in the result."""
    try:
        data = parse_toml(raw)
    except ValueError as error:
        raise DescriptionInvalid(source, [str(error)]) from None
    faults: list[str] = []
    document = Table(data, "", faults)
    owners = tuple(_read_owner(table) for table in document.array("owners"))
    keys = tuple(_read_key(table) for table in document.array("keys"))
    document.finish()
    first: dict[str, str] = {}
    for owner in owners:
        if owner.handle in first:
            faults.append(f'{owner.path}: the owner "{owner.handle}" is described in {first[owner.handle]} already')
        elif owner.handle:
            first[owner.handle] = owner.path
    return Description(owners, keys, tuple(faults))


def _read_owner(table: Table) -> DescribedOwner:
    handle = _checked(table, "handle", table.text("handle"), policy.handle, required=True) or ""
    owner = DescribedOwner(
        path=table.path,
        handle=handle,
        kind=_text(table, "kind"),
        name=_checked(table, "name", _text(table, "name"), lambda text: checked_text("name", text)),
        parent=_text(table, "parent"),
        plan=_text(table, "plan"),
        attributes=_attributes(table),
        disabled=_flag(table, "disabled"),
    )
    table.finish()
    return owner


def _read_key(table: Table) -> DescribedKey:
    networks = table.texts("allowed_ips") if _given(table, "allowed_ips") else None
    key = DescribedKey(
        path=table.path,
        name=_checked(table, "name", table.text("name"), lambda text: checked_text("name", text), required=True) or "",
        owner=_text(table, "owner"),
        environment=_text(table, "environment"),
        scopes=table.texts("scopes") if _given(table, "scopes") else None,
        expires=_expiry(table),
        allowed_ips=_checked(table, "allowed_ips", networks, parse_networks),
        metadata=_metadata(table),
        locked=_flag(table, "locked"),
    )
    table.finish()
    return key


def _text(table: Table, key: str) -> str | None:
    return table.text(key) if _given(table, key) else None


def _flag(table: Table, key: str) -> bool | None:
    return table.boolean(key, default=False) if _given(table, key) else None


def _given(table: Table, key: str) -> bool:
    """Return whether a key is there; in any case it is a known one."""
    table.raw(key)
    return key in table


def _checked(table: Table, key: str, value: T | None, check: Callable[[T], T], *, required: bool = False) -> T | None:
    """Return what `check` makes of a value; an error is a fault. What is empty or missing is returned as it is."""
    if not value and not (required and table.peek(key) == value == ""):
        return value
    try:
        return check(value)
    except KeyctlError as error:
        table.fault(key, error.message)
        return None


def _expiry(table: Table) -> Expiry | None:
    if not _given(table, "expires"):
        return None
    value = table.raw("expires")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            table.fault("expires", "the time has no zone: add Z for UTC")
            return None
        return Expiry(format_time(value), at=truncate(value))
    if isinstance(value, date):
        value = value.isoformat()
    if not isinstance(value, str):
        table.fault("expires", f'expected a text, such as "90d", "2027-01-31" or "{NEVER}"')
        return None
    try:
        return parse_expiry(value)
    except UsageError as error:
        table.fault("expires", error.message)
        return None


def parse_expiry(text: str) -> Expiry:
    """Read a lifetime (`90d`), a date or time of `parse_when`, or `never`. Raises UsageError."""
    if text == NEVER:
        return Expiry(text)
    try:
        lifetime = parse_duration(text)
    except UsageError:
        return Expiry(text, at=parse_when(text, now=_BEGINNING))
    if not lifetime:
        raise UsageError(f'"{text}" must be greater than zero')
    return Expiry(text, lifetime=lifetime)


def _metadata(table: Table) -> dict[str, str]:
    if not _given(table, "metadata"):
        return {}
    read: dict[str, str] = {}
    metadata = table.table("metadata")
    for name in metadata.names():
        value = metadata.text(name)
        try:
            read |= policy.metadata([f"{name}={value}"])
        except UsageError as error:
            metadata.fault(name, error.message)
    return read


def _attributes(table: Table) -> dict[str, str]:
    """Return attributes as they are typed after `--attr`: their types are the profile's."""
    if not _given(table, "attributes"):
        return {}
    read: dict[str, str] = {}
    attributes = table.table("attributes")
    for name in attributes.names():
        value: Any = attributes.raw(name)
        if isinstance(value, bool):
            read[name] = "true" if value else "false"
        elif isinstance(value, int | str):
            read[name] = str(value)
        elif isinstance(value, list) and all(isinstance(item, str) and "," not in item for item in value):
            read[name] = ",".join(value)
        else:
            attributes.fault(name, "expected a text, a whole number, true or false, or a list of texts without commas")
    return read
