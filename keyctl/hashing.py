"""Hashes of keys, as PHC strings.

A hash is over the whole key text, prefix included, so that it matches only in its own row.
Format: https://github.com/P-H-C/phc-string-format. Argon2id's parameters follow OWASP's Password Storage Cheat Sheet
(19 MiB, 2 passes, 1 lane). SHA-256, salted, is only for generated keys, whose secrets cannot be guessed, where
verification rates are high.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from argon2.exceptions import Argon2Error, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from keyctl.errors import StoreUnavailable

_SALT_BYTES = 16
_HASH_BYTES = 32
_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,4}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})", re.ASCII
)
# 16 and 32 bytes, in base64 without padding
_SHA256 = re.compile(r"\$sha256\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})", re.ASCII)
# A stored hash names its own cost. These bounds keep a hostile or damaged row from exhausting the machine.
_MAX_MEMORY_KIB = 1024 * 1024
_MAX_PASSES = 64
_MAX_LANES = 64
_MAX_WORK = 4 * 1024 * 1024  # KiB times passes: some seconds
# A row may cost this much, or as much as the store's own parameters if that is more: about half a second.
_FREE_MEMORY_KIB = 256 * 1024
_FREE_WORK = 512 * 1024


class HashInvalid(StoreUnavailable):
    """A stored hash that keyctl cannot check, or that costs too much. The message never holds the hash."""

    def __init__(self, message: str) -> None:
        super().__init__(f"the store is damaged: {message}", hint="keyctl audit verify")


@dataclass(frozen=True)
class Argon2id:
    """Parameters of Argon2id: memory in KiB (8 to 1,048,576), passes (1 to 64), lanes (1 to 64)."""

    memory_kib: int = 19456
    passes: int = 2
    lanes: int = 1

    def __post_init__(self) -> None:
        if not (
            8 * self.lanes <= self.memory_kib <= _MAX_MEMORY_KIB
            and 1 <= self.passes <= _MAX_PASSES
            and 1 <= self.lanes <= _MAX_LANES
            and self.memory_kib * self.passes <= _MAX_WORK
        ):
            raise ValueError(
                "Argon2id takes 8 KiB per lane to 1 GiB of memory, 1 to 64 passes and lanes, and at most 4 GiB · passes"
            )

    def hash(self, key: str) -> str:
        """Return a PHC string over `key` under a new random salt. The key is not kept."""
        return hash_secret(
            key.encode(), os.urandom(_SALT_BYTES), self.passes, self.memory_kib, self.lanes, _HASH_BYTES, Type.ID
        ).decode()

    def decoy(self) -> str:
        """Return a PHC string that matches no key, and costs as much to check as one with these parameters."""
        salt, digest = (_base64(os.urandom(size)) for size in (_SALT_BYTES, _HASH_BYTES))
        return f"$argon2id$v=19$m={self.memory_kib},t={self.passes},p={self.lanes}${salt}${digest}"

    def to_dict(self) -> dict[str, Any]:
        return {"scheme": "argon2id", **asdict(self)}

    def __str__(self) -> str:
        return f"argon2id m={self.memory_kib},t={self.passes},p={self.lanes}"


@dataclass(frozen=True)
class Sha256:
    """SHA-256 over a random salt of 16 bytes and the key. It has no parameters."""

    def hash(self, key: str) -> str:
        """Return a PHC string over `key` under a new random salt. The key is not kept."""
        salt = os.urandom(_SALT_BYTES)
        return f"$sha256${_base64(salt)}${_base64(sha256(salt + key.encode()).digest())}"

    def decoy(self) -> str:
        """Return a PHC string that matches no key, and costs as much to check as one of this scheme."""
        return f"$sha256${_base64(os.urandom(_SALT_BYTES))}${_base64(os.urandom(_HASH_BYTES))}"

    def to_dict(self) -> dict[str, Any]:
        return {"scheme": "sha256"}

    def __str__(self) -> str:
        return "sha256"


Scheme = Argon2id | Sha256
SCHEMES = ("argon2id", "sha256")
DEFAULT = Argon2id()


def parameters_from_dict(data: dict[str, Any]) -> Scheme:
    """Read what `to_dict` wrote. Raises ValueError."""
    if data.get("scheme") == "sha256":
        return Sha256()
    if data.get("scheme") != "argon2id":
        raise ValueError(f"unknown hash scheme {data.get('scheme')!r}")
    return Argon2id(data["memory_kib"], data["passes"], data["lanes"])


def parse_parameters(text: str) -> Argon2id:
    """Read `m=19456,t=2,p=1`, as in a PHC string. Raises ValueError."""
    match = re.fullmatch(r"m=(\d{1,8}),t=(\d{1,4}),p=(\d{1,3})", text, re.ASCII)
    if not match:
        raise ValueError("Argon2id's parameters are written m=MEMORY_KIB,t=PASSES,p=LANES: m=19456,t=2,p=1")
    return Argon2id(*map(int, match.groups()))


def verify(key: str, phc: str, *, own: Scheme | None = None) -> bool:
    """Return whether `phc` is a hash of `key`, in constant time. Computes exactly one hash.

    `own` are the store's parameters. Raises HashInvalid if `phc` is not a PHC string that keyctl writes, or names a
    cost beyond them and beyond what any store may use: 256 MiB, and memory times passes of 512 MiB.
    """
    if match := _SHA256.fullmatch(phc):
        salt, digest = (base64.b64decode(part + "=" * (-len(part) % 4)) for part in match.groups())
        return hmac.compare_digest(sha256(salt + key.encode()).digest(), digest)
    present = _scheme_of(phc)
    if own is not None and isinstance(present, Argon2id) and _costs_too_much(present, own):
        raise HashInvalid("the stored hash costs more than the store's parameters")
    try:
        return verify_secret(phc.encode(), key.encode(), Type.ID)
    except VerifyMismatchError:
        return False
    except Argon2Error as error:
        raise HashInvalid(f"the stored hash cannot be checked: {error}") from None


def needs_rehash(phc: str, wanted: Scheme) -> bool:
    """Return whether `phc` is weaker than `wanted`: of the cheaper scheme, or with less memory or fewer passes.

    Raises HashInvalid.
    """
    present = _scheme_of(phc)
    if isinstance(wanted, Sha256):
        return False
    return isinstance(present, Sha256) or present.memory_kib < wanted.memory_kib or present.passes < wanted.passes


def _costs_too_much(present: Argon2id, own: Scheme) -> bool:
    memory, work = (own.memory_kib, own.memory_kib * own.passes) if isinstance(own, Argon2id) else (0, 0)
    return present.memory_kib > max(memory, _FREE_MEMORY_KIB) or (
        present.memory_kib * present.passes > max(work, _FREE_WORK)
    )


def _scheme_of(phc: str) -> Scheme:
    if _SHA256.fullmatch(phc):
        return Sha256()
    match = _PHC.fullmatch(phc)
    if not match:
        raise HashInvalid("the stored hash is not a PHC string of a known scheme")
    try:
        return Argon2id(*map(int, match.groups()[:3]))
    except ValueError as error:
        raise HashInvalid(f"the stored hash costs too much: {error}") from None


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")
