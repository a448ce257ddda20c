"""Hashes of keys, as PHC strings.

A hash is over the whole key text, prefix included, so that it matches only in its own row; imported ones, from other
programs, are what these made of it (keyctl.foreign_hashes).
Format: https://github.com/P-H-C/phc-string-format. Argon2id's parameters follow OWASP's Password Storage Cheat Sheet
(19 MiB, 2 passes, 1 lane). SHA-256, salted, is only for generated keys, whose secrets cannot be guessed, where
verification rates are high. With a pepper, what is hashed is the key's HMAC under it, and the string has its id:
`keyid=…`.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from argon2.exceptions import Argon2Error, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from keyctl.errors import LibraryMissing, PepperMissing, StoreUnavailable

if TYPE_CHECKING:
    from keyctl.pepper import Peppers

_SALT_BYTES = 16
_HASH_BYTES = 32
_FOREIGN = "$foreign$"
_PEPPER_ID = "[a-z0-9-]{1,24}"
_PHC = re.compile(
    rf"\$argon2id\$v=19\$m=(\d{{1,8}}),t=(\d{{1,4}}),p=(\d{{1,3}})(?:,keyid=({_PEPPER_ID}))?"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})",
    re.ASCII,
)
_KEYID = re.compile(rf"[,$]keyid=({_PEPPER_ID})\$")
# 16 and 32 bytes, in base64 without padding
_SHA256 = re.compile(rf"\$sha256(?:\$keyid=({_PEPPER_ID}))?\$([A-Za-z0-9+/]{{22}})\$([A-Za-z0-9+/]{{43}})", re.ASCII)
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
    """Parameters of Argon2id: memory in KiB (8 to 1,048,576), passes (1 to 64), lanes (1 to 64).

    `pepper` is the id of the pepper that is used, if any.
    """

    memory_kib: int = 19456
    passes: int = 2
    lanes: int = 1
    pepper: str | None = field(default=None, kw_only=True)

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

    def hash(self, key: str, peppers: Peppers | None = None) -> str:
        """Return a PHC string over `key` under a new random salt. The key is not kept. Raises PepperMissing."""
        secret, salt = mix(key, self.pepper, peppers), os.urandom(_SALT_BYTES)
        phc = hash_secret(secret, salt, self.passes, self.memory_kib, self.lanes, _HASH_BYTES, Type.ID).decode()
        return self._head + phc[phc.index("$", len("$argon2id$v=19$")) :]

    def decoy(self) -> str:
        """Return a PHC string that matches no key, and costs as much to check as one with these parameters."""
        salt, digest = (_base64(os.urandom(size)) for size in (_SALT_BYTES, _HASH_BYTES))
        return f"{self._head}${salt}${digest}"

    @property
    def _head(self) -> str:
        return f"$argon2id$v=19$m={self.memory_kib},t={self.passes},p={self.lanes}{_keyid(',', self.pepper)}"

    def to_dict(self) -> dict[str, Any]:
        return {"scheme": "argon2id", **_without_none(asdict(self))}

    def __str__(self) -> str:
        return f"argon2id m={self.memory_kib},t={self.passes},p={self.lanes}{_keyid(',', self.pepper)}"


@dataclass(frozen=True)
class Sha256:
    """SHA-256 over a random salt of 16 bytes and the key. `pepper` is the id of the pepper that is used, if any."""

    pepper: str | None = field(default=None, kw_only=True)

    def hash(self, key: str, peppers: Peppers | None = None) -> str:
        """Return a PHC string over `key` under a new random salt. The key is not kept. Raises PepperMissing."""
        secret, salt = mix(key, self.pepper, peppers), os.urandom(_SALT_BYTES)
        return f"$sha256{_keyid('$', self.pepper)}${_base64(salt)}${_base64(sha256(salt + secret).digest())}"

    def decoy(self) -> str:
        """Return a PHC string that matches no key, and costs as much to check as one of this scheme."""
        salt, digest = (_base64(os.urandom(size)) for size in (_SALT_BYTES, _HASH_BYTES))
        return f"$sha256{_keyid('$', self.pepper)}${salt}${digest}"

    def to_dict(self) -> dict[str, Any]:
        return {"scheme": "sha256", **_without_none(asdict(self))}

    def __str__(self) -> str:
        return f"sha256{_keyid(' ', self.pepper)}"


@dataclass(frozen=True)
class ForeignScheme:
    """The scheme of a hash that another program made, with what it costs: `bcrypt 12`. No new hash is made in it."""

    name: str
    pepper: str | None = None

    def __str__(self) -> str:
        return f"foreign {self.name}{_keyid(' ', self.pepper)}"


Scheme = Argon2id | Sha256
SCHEMES = ("argon2id", "sha256")
DEFAULT = Argon2id()


def parameters_from_dict(data: dict[str, Any]) -> Scheme:
    """Read what `to_dict` wrote. Raises ValueError."""
    pepper = data.get("pepper")
    if pepper is not None and not re.fullmatch(_PEPPER_ID, pepper):
        raise ValueError("the id of its pepper is malformed")
    if data.get("scheme") == "sha256":
        return Sha256(pepper=pepper)
    if data.get("scheme") != "argon2id":
        raise ValueError(f"unknown hash scheme {data.get('scheme')!r}")
    return Argon2id(data["memory_kib"], data["passes"], data["lanes"], pepper=pepper)


def parse_parameters(text: str) -> Argon2id:
    """Read `m=19456,t=2,p=1`, as in a PHC string. Raises ValueError."""
    match = re.fullmatch(r"m=(\d{1,8}),t=(\d{1,4}),p=(\d{1,3})", text, re.ASCII)
    if not match:
        raise ValueError("Argon2id's parameters are written m=MEMORY_KIB,t=PASSES,p=LANES: m=19456,t=2,p=1")
    return Argon2id(*map(int, match.groups()))


def verify(key: str, phc: str, *, own: Scheme | None = None, peppers: Peppers | None = None) -> bool:
    """Return whether `phc` is a hash of `key`, in constant time. Computes exactly one hash.

    `own` are the store's parameters. Raises HashInvalid if `phc` is not a PHC string that keyctl writes, or names a
    cost beyond them and beyond what any store may use: 256 MiB, and memory times passes of 512 MiB. Raises
    PepperMissing if `phc` names a pepper that is not in `peppers`, or none where `peppers` requires one, and
    LibraryMissing for a foreign hash.
    """
    if phc.startswith(_FOREIGN):
        from keyctl import foreign_hashes  # noqa: PLC0415 - most stores have none

        try:
            return foreign_hashes.verify(key, phc, peppers=peppers)
        except ValueError as error:
            raise HashInvalid(f"the stored hash cannot be checked: {error}") from None
    if match := _SHA256.fullmatch(phc):
        salt, digest = (base64.b64decode(part + "=" * (-len(part) % 4)) for part in match.groups()[1:])
        return hmac.compare_digest(sha256(salt + mix(key, match[1], peppers)).digest(), digest)
    present = scheme_of(phc)
    if own is not None and isinstance(present, Argon2id) and costs_too_much(present, own):
        raise HashInvalid("the stored hash costs more than the store's parameters")
    secret = mix(key, present.pepper, peppers)
    try:
        # The library does not know `keyid`.
        return verify_secret(phc.replace(_keyid(",", present.pepper), "", 1).encode(), secret, Type.ID)
    except VerifyMismatchError:
        return False
    except Argon2Error as error:
        raise HashInvalid(f"the stored hash cannot be checked: {error}") from None


def verify_evenly(
    key: str, phc: str | None, *, own: Scheme, foreign: Sequence[str] = (), peppers: Peppers | None = None
) -> bool:
    """Return whether `phc` is a hash of `key`. None, for an unknown prefix, costs what a wrong secret does.

    `foreign` are the schemes of foreign hashes in the store: then a refusal is one check in each of them and one in
    the store's own, whatever `phc` is. Raises as `verify` does.
    """
    if phc is not None and verify(key, phc, own=own, peppers=peppers):
        return True
    present = None
    if phc is None or (foreign and phc.startswith(_FOREIGN)):
        verify(key, own.decoy(), own=own, peppers=peppers)
    if foreign:
        from keyctl import foreign_hashes  # noqa: PLC0415 - most stores have none

        if phc is not None and phc.startswith(_FOREIGN):
            present = foreign_hashes.parse(phc).scheme
        for scheme in foreign:
            if scheme != present:
                with suppress(LibraryMissing):  # without it no key of this scheme is accepted either
                    foreign_hashes.verify(key, foreign_hashes.decoy(scheme))
    return False


def mix(key: str, pepper_id: str | None, peppers: Peppers | None) -> bytes:
    """Return what is hashed: the key, or its HMAC under a pepper. Raises PepperMissing."""
    if peppers is not None:
        return peppers.mix(key, pepper_id)
    if pepper_id is not None:
        raise PepperMissing(
            f'the pepper "{pepper_id}" is required, and no pepper file is given',
            hint="set KEYCTL_PEPPER_FILE, or give --pepper-file FILE; in an application: Verifier's pepper_file",
        )
    return key.encode()


def needs_rehash(phc: str, wanted: Scheme) -> bool:
    """Return whether `phc` is weaker than `wanted`: of the cheaper scheme, or with less memory or fewer passes.

    So is one without a pepper, or with another one. A hash with a pepper is not replaced by one without. A foreign hash
    always is. Raises HashInvalid.
    """
    present = scheme_of(phc)
    if isinstance(present, ForeignScheme):
        return True
    if present.pepper != wanted.pepper:
        return wanted.pepper is not None
    if isinstance(wanted, Sha256):
        return False
    return isinstance(present, Sha256) or present.memory_kib < wanted.memory_kib or present.passes < wanted.passes


def pepper_of(phc: str) -> str | None:
    """Return the id of the pepper that a PHC string names, if any."""
    match = _KEYID.search(phc)
    return match[1] if match else None


def scheme_of(phc: str) -> Scheme | ForeignScheme:
    """Return the scheme of a PHC string, with its parameters. Raises HashInvalid."""
    if phc.startswith(_FOREIGN):
        from keyctl import foreign_hashes  # noqa: PLC0415 - most stores have none

        try:
            found = foreign_hashes.parse(phc)
        except ValueError as error:
            raise HashInvalid(f"a foreign hash cannot be used: {error}") from None
        return ForeignScheme(found.scheme, pepper=found.pepper)
    if match := _SHA256.fullmatch(phc):
        return Sha256(pepper=match[1])
    match = _PHC.fullmatch(phc)
    if not match:
        raise HashInvalid("the stored hash is not a PHC string of a known scheme")
    try:
        return Argon2id(*map(int, match.groups()[:3]), pepper=match[4])
    except ValueError as error:
        raise HashInvalid(f"the stored hash costs too much: {error}") from None


def costs_too_much(present: Argon2id, own: Scheme) -> bool:
    """Return whether a row may not cost this much, in a store with the scheme `own`."""
    memory, work = (own.memory_kib, own.memory_kib * own.passes) if isinstance(own, Argon2id) else (0, 0)
    return present.memory_kib > max(memory, _FREE_MEMORY_KIB) or (
        present.memory_kib * present.passes > max(work, _FREE_WORK)
    )


def _keyid(separator: str, pepper_id: str | None) -> str:
    return "" if pepper_id is None else f"{separator}keyid={pepper_id}"


def _without_none(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")
