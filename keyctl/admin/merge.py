"""What a key or an owner becomes when a backup is restored over it. Pure.

There are up to three versions: the log's, the one in the store (which may have been altered outside keyctl), and the
one in the backup. What describes it comes from the backup; of all three, the earliest end counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keyctl.audit import key_state, phc_digest
from keyctl.models import Key, Owner
from keyctl.rows import KEY_COLUMNS, decode_key, decode_owner, encode

ENDS = {"revoked_at", "expires_at", "locked_at", "locked_until"}


def is_logged(key: Key | None, state: Mapping[str, Any]) -> bool:
    """Return whether a key is as the log has it."""
    return key is not None and {**key_state(key), "prefix": key.prefix, "hash": phc_digest(key.phc)} == state


def logged_key(key_id: str, state: Mapping[str, Any], *versions: Key | None) -> Key:
    """Return a key as the log has it, with the hash of the version that has the right one."""
    known = [one for one in versions if one is not None]
    fitting = [one.phc for one in known if phc_digest(one.phc) == state["hash"]]
    columns = dict.fromkeys(KEY_COLUMNS) | encode({name: state[name] for name in state.keys() - {"hash"}})
    columns |= {"id": key_id, "lineage": state["lineage"] or key_id, "phc": [*fitting, *(one.phc for one in known)][0]}
    used = [one.last_used_at for one in known if one.last_used_at is not None]
    return replace(decode_key(columns), last_used_at=max(used, default=None))


def logged_owner(owner_id: str, state: Mapping[str, Any]) -> Owner:
    return decode_owner({**encode(state), "id": owner_id})


def merged_key(logged: Key, stored: Key | None, saved: Key | None) -> Key:
    """Return the key after the restore. `saved` is the one in the backup."""
    key = logged
    if saved is not None:
        key = replace(key, name=saved.name, scopes=saved.scopes, allowed_ips=saved.allowed_ips, metadata=saved.metadata)
    for other in (stored, saved):
        if other is not None:
            key = replace(key, **_earlier_end(key, other))
    return key


def merged_owner(logged: Owner, stored: Owner | None, saved: Owner | None) -> Owner:
    owner = logged
    if saved is not None:
        owner = replace(owner, name=saved.name, parent_id=saved.parent_id, plan=saved.plan, attributes=saved.attributes)
    disabled = [one.disabled_at for one in (logged, stored, saved) if one is not None and one.disabled_at is not None]
    return replace(owner, disabled_at=disabled[0] if disabled else None)


def _earlier_end(key: Key, other: Key) -> dict[str, Any]:
    """Return what ends `other` and not yet `key`, or ends it earlier."""
    ends: dict[str, Any] = {}
    if key.revoked_at is None and other.revoked_at is not None:
        ends |= {"revoked_at": other.revoked_at, "revoked_reason": other.revoked_reason}
    if other.expires_at is not None and (key.expires_at is None or other.expires_at < key.expires_at):
        ends["expires_at"] = other.expires_at
    if other.locked_at is not None and (key.locked_at is None or _lasts_longer(other, key)):
        ends |= {"locked_at": other.locked_at, "locked_until": other.locked_until}
    return ends


def _lasts_longer(lock: Key, than: Key) -> bool:
    if than.locked_until is None:
        return False
    return lock.locked_until is None or lock.locked_until > than.locked_until
