"""Keys, owners, profiles and formats for tests: plain wherever a test does not say otherwise."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from keyctl.hashing import Argon2id
from keyctl.keyformat import Field, KeyFormat
from keyctl.models import Key, KeyRecord, Owner
from keyctl.profiles.files import preset_document
from keyctl.profiles.model import Profile, read_profile

NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
CHEAP = Argon2id(memory_kib=8, passes=1, lanes=1)

# One of each shape that a platform might choose. The random alphabets hold the separators wherever they can.
FORMATS: Mapping[str, KeyFormat] = {
    "standard": KeyFormat(
        "{brand}_{env}_{prefix}_{secret}{checksum}",
        prefix=Field("base62", 12),
        secret=Field("base62", 32),
        checksum=Field("base62", 6),
        brand="kc",
        envs=("live", "test"),
    ),
    "no visible separator": KeyFormat(
        "{brand}_live_{prefix}{secret}", prefix=Field("hex", 12), secret=Field("hex", 40), brand="ax"
    ),
    "dot": KeyFormat(
        "{brand}_{env}_{prefix}.{secret}",
        prefix=Field("hex", 8),
        secret=Field("hex", 40),
        brand="bp",
        envs=("live", "test"),
    ),
    "scope tag": KeyFormat(
        "{brand}_{scope}_{prefix}{secret}",
        prefix=Field("base36", 10),
        secret=Field("base62", 32),
        brand="cxa",
        scopes=("bot", "tx", "browser"),
    ),
    "separators in the random part": KeyFormat(
        "{brand}-{prefix}_{secret}", prefix=Field("base64url", 10), secret=Field("base64url", 43), brand="dv"
    ),
    "tags that begin alike": KeyFormat(
        "{brand}_{env}{prefix}{secret}",
        prefix=Field("hex", 12),
        secret=Field("base32", 40),
        brand="etx",
        envs=("a", "ab", "abc"),
    ),
    "base58, three environments": KeyFormat(
        "{brand}~{env}.{prefix}:{secret}-{checksum}",
        prefix=Field("base58", 9),
        secret=Field("base58", 24),
        checksum=Field("base58", 6),
        brand="fz",
        envs=("dev", "stage", "prod"),
    ),
    "characters special in expressions": KeyFormat(
        "{brand}.{prefix}{secret}", prefix=Field("a]-^\\[$.|b", 12), secret=Field("&~|-[a^]$", 60), brand="g."
    ),
}


def owner(handle: str = "acme", **changes: Any) -> Owner:
    values: dict[str, Any] = {
        "id": f"own_{handle}",
        "handle": handle,
        "name": None,
        "kind": "account",
        "parent_id": None,
        "plan": None,
        "attributes": {},
        "created_at": NOW,
        "created_by": "root@host",
    }
    return Owner(**values | changes)


def key(**changes: Any) -> Key:
    values: dict[str, Any] = {
        "id": "key_01JZ2Q3V4W5X6Y7Z8A9B0C1D2E",
        "prefix": "kc_live_0123456789ab",
        "phc": CHEAP.decoy(),
        "name": "a key",
        "owner_id": None,
        "environment": "live",
        "scopes": (),
        "allowed_ips": (),
        "metadata": {},
        "created_at": NOW,
        "created_by": "root@host",
    } | changes
    return Key(**{"lineage": values["id"]} | values)


def record(*owners: Owner, **changes: Any) -> KeyRecord:
    return KeyRecord(key(owner_id=owners[0].id if owners else None, **changes), owners)


def document(**sections: Any) -> dict[str, Any]:
    """Return the standard profile's document; each section given takes the place of the standard one."""
    return copy.deepcopy(preset_document("standard")) | sections


def profile(**sections: Any) -> Profile:
    return read_profile(document(**sections), source="test profile")
