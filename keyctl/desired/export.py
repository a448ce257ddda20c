"""Writes the description of a store: applied to the same store, it changes nothing. It contains no key and no hash."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from keyctl.desired.plan import Existing, is_current
from keyctl.models import Key, Owner
from keyctl.times import NEVER, format_time

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_EXAMPLES = 5


class Exported(NamedTuple):
    """A description in TOML, and how many keys it cannot hold."""

    text: str
    not_described: int


def export(existing: Existing, *, now: datetime) -> Exported:
    """Return the description. Keys without a name, or with the same one, are counted in comments at its end."""
    handles = {owner.id: owner.handle for owner in existing.owners}
    current = [key for key in existing.keys if is_current(key)]
    identities = Counter((key.owner_id, key.environment, key.name) for key in current)
    named: list[Key] = []
    nameless: list[Key] = []
    doubled: list[Key] = []
    for key in current:
        alike = identities[key.owner_id, key.environment, key.name]
        (nameless if key.name is None else doubled if alike > 1 else named).append(key)
    pieces = [_table("owners", _owner(owner, handles)) for owner in _parents_first(existing.owners)]
    named.sort(key=lambda key: (handles.get(key.owner_id or "", ""), key.name or "", key.environment))
    pieces += [_table("keys", _key(key, handles, now)) for key in named]
    pieces += _comment("have no name", "has no name", nameless)
    pieces += _comment("share their name with another key", "shares its name with another key", doubled)
    text = "\n".join(pieces) or "# the store has no owner and no key\n"
    return Exported(text, len(nameless) + len(doubled))


def _owner(owner: Owner, handles: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    yield "handle", owner.handle
    yield "kind", owner.kind
    if owner.name:
        yield "name", owner.name
    if owner.parent_id:
        yield "parent", handles[owner.parent_id]
    if owner.plan:
        yield "plan", owner.plan
    if owner.attributes:
        yield "attributes", owner.attributes
    if not owner.active:
        yield "disabled", True


def _key(key: Key, handles: Mapping[str, str], now: datetime) -> Iterator[tuple[str, Any]]:
    yield "name", key.name
    if key.owner_id:
        yield "owner", handles[key.owner_id]
    yield "environment", key.environment
    yield "scopes", key.scopes
    yield "expires", format_time(key.expires_at) if key.expires_at else NEVER
    if key.allowed_ips:
        yield "allowed_ips", key.allowed_ips
    if key.metadata:
        yield "metadata", key.metadata
    if key.locked(now):
        yield "locked", True


def _table(name: str, fields: Iterator[tuple[str, Any]]) -> str:
    return f"[[{name}]]\n" + "".join(f"{field} = {_toml(value)}\n" for field, value in fields)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_name(name)} = {_toml(one)}' for name, one in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # For texts, numbers and truth values, TOML is JSON; it also has no raw control characters.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml(name)


def _parents_first(owners: Sequence[Owner]) -> list[Owner]:
    found: dict[str, Owner] = {}
    by_id = {owner.id: owner for owner in owners}

    def add(owner: Owner) -> None:
        branch = [owner]
        while (above := by_id.get(branch[-1].parent_id or "")) and above.id not in found and above not in branch:
            branch.append(above)
        found.update({one.id: one for one in reversed(branch)})

    for owner in owners:
        if owner.id not in found:
            add(owner)
    return list(found.values())


def _comment(several: str, one: str, keys: Sequence[Key]) -> list[str]:
    if not keys:
        return []
    count = f"1 key {one}" if len(keys) == 1 else f"{len(keys):,} keys {several}"
    shown = ", ".join(key.prefix for key in keys[:_EXAMPLES])
    more = ", …" if len(keys) > _EXAMPLES else ""
    return [f"# not described: {count}: {shown}{more}\n"]
