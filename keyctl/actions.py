"""The actions of the audit log: what an event records, in one word. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from keyctl.errors import UsageError, suggestion
from keyctl.text import brief

# Public: add to them, and never rename one. A test compares them with what is written, and with the topic.
ACTIONS: Mapping[str, str] = {
    "key.minted": "a key was created",
    "key.imported": "a key was imported, with the hash of another program or store",
    "key.delivered": "a new key was delivered",
    "key.rotated": "a key was replaced by a successor",
    "key.revoked": "a key was revoked",
    "key.locked": "a key was locked",
    "key.unlocked": "a key was unlocked",
    "key.expiry_set": "when a key expires was changed",
    "key.scopes_set": "the scopes of a key were changed",
    "key.updated": "name, networks or metadata of a key were changed",
    "key.rehashed": "a key got a stronger hash",
    "key.restored": "a key was restored from a backup",
    "key.removed": "a revoked or expired key was removed from the store",
    "owner.added": "an owner was added",
    "owner.updated": "an owner was changed",
    "owner.disabled": "an owner was disabled",
    "owner.enabled": "an owner was enabled",
    "owner.restored": "an owner was restored from a backup",
    "store.created": "the store was created",
    "store.copied": "the store was copied from another database",
    "store.restored": "the store was restored from a backup",
    "store.hash_set": "the hash scheme of new keys was changed",
    "profile.applied": "the profile was replaced",
    "bundle.exported": "a bundle was exported",
    "admin_token.set": "the admin token was set",
    "admin_token.rotated": "the admin token was replaced",
    "admin_token.cleared": "the admin token was removed",
    "admin_token.refused": "a wrong admin token was refused",
    "admin_token.accepted": "the admin token was accepted after refusals",
}


def groups() -> list[str]:
    """Return what actions begin with: `key` for every action of keys."""
    return list(dict.fromkeys(name.partition(".")[0] for name in ACTIONS))


def checked_action(name: str) -> str:
    """Return the name of an action or of a group of them. Raises UsageError for an unknown one."""
    known = [*ACTIONS, *groups()]
    if name not in known:
        hint = suggestion(name, known, otherwise="see: keyctl help audit")
        raise UsageError(f'unknown action "{brief(name)}"', hint=hint)
    return name
