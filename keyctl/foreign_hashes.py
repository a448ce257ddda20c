"""Hashes that other programs made, as keyctl keeps them until the key is used and hashed again.

    $foreign$skip=9$sha512$…                              SHA-512 of all but the first 9 characters of a key
    $foreign$skip=0,mix=hmac,keyid=old$2b$12$…            bcrypt of the HMAC-SHA256 under the pepper `old`

`skip` is the number of characters that were not hashed: the prefix and what follows it, where only the secret was.
`mix` is what was done with the rest before: `append`, a pepper follows it; `hmac`, its HMAC-SHA256 under a pepper; or
`hex`, its SHA-256 in hexadecimal. `keyid` is the id of the pepper. The part after it names the scheme:

    $sha256$DIGEST  $sha512$DIGEST  $2b$COST$…  $argon2id$v=19$m=…,t=…,p=…$SALT$DIGEST  $scrypt$n=…,r=…,p=…$SALT$DIGEST
    $pbkdf2-sha256$i=…$SALT$DIGEST

where SALT and DIGEST are base64 without padding. What a hash costs is bounded, as in keyctl.hashing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from argon2.exceptions import Argon2Error, VerifyMismatchError
from argon2.low_level import Type, verify_secret

from keyctl import bcrypt_hash
from keyctl.errors import PepperMissing

if TYPE_CHECKING:
    from keyctl.pepper import Peppers

BEGINNING = "$foreign$"
BCRYPT_BYTES = 72  # bcrypt reads no more
_HEAD = re.compile(
    r"\$foreign\$skip=(0|[1-9]\d{0,2})(?:,mix=(append|hmac|hex))?(?:,keyid=([a-z0-9-]{1,24}))?(\$.+)", re.ASCII
)
_B64 = "[A-Za-z0-9+/]"
_DIGEST = re.compile(rf"\$(sha256|sha512)\$({_B64}{{43}}|{_B64}{{86}})", re.ASCII)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_ARGON2 = re.compile(
    rf"\$(argon2id|argon2i|argon2d)\$v=19\$m=(\d{{1,8}}),t=(\d{{1,4}}),p=(\d{{1,3}})\${_B64}{{11,86}}\${_B64}{{16,86}}",
    re.ASCII,
)
_PBKDF2 = re.compile(rf"\$pbkdf2-(sha1|sha256)\$i=(\d{{1,9}})\$({_B64}{{1,200}})\$({_B64}{{27,86}})", re.ASCII)
_SCRYPT = re.compile(
    rf"\$scrypt\$n=(\d{{1,9}}),r=(\d{{1,4}}),p=(\d{{1,4}})\$({_B64}{{1,200}})\$({_B64}{{43,86}})", re.ASCII
)
_SIZES = {"sha1": 20, "sha256": 32, "sha512": 64}
# About half a second and 256 MiB each, as keyctl.hashing allows its own; bcrypt about one second.
_MOST_BCRYPT = 14
_MOST_ITERATIONS = 2_000_000
_MOST_MEMORY_KIB = 256 * 1024
_MOST_WORK = 512 * 1024  # KiB times passes
_MOST_LANES = 64
_MOST_SCRYPT_MEMORY = 64 * 1024 * 1024
_MOST_SCRYPT_WORK = 1 << 20  # n · r · p


class ForeignHash(NamedTuple):
    """A foreign hash. `scheme` is its name with all that it costs, such as `bcrypt 12`; `text` begins with `$`."""

    skip: int
    mix: str | None
    pepper: str | None
    scheme: str
    text: str

    def __str__(self) -> str:
        peppered = f",keyid={self.pepper}" if self.pepper else ""
        mixed = f",mix={self.mix}" if self.mix else ""
        return f"{BEGINNING}skip={self.skip}{mixed}{peppered}{self.text}"

    def __repr__(self) -> str:
        return f"ForeignHash({self.scheme!r}, skip={self.skip})"


def is_foreign(phc: str) -> bool:
    return phc.startswith(BEGINNING)


def parse(phc: str) -> ForeignHash:
    """Read what `str` of a ForeignHash writes. Raises ValueError, with why, for anything else or too high a cost."""
    match = _HEAD.fullmatch(phc)
    if not match:
        raise ValueError("it is not a foreign hash")
    skip, mix, pepper, text = match.groups()
    if (pepper is None) != (mix not in ("append", "hmac")):
        raise ValueError("its pepper and how it is mixed in contradict each other")
    return ForeignHash(int(skip), mix, pepper, scheme_of(text), text)


def scheme_of(text: str) -> str:
    """Return the scheme of a hash with what it costs, such as `sha256` or `bcrypt 12`. Raises ValueError."""
    if match := _DIGEST.fullmatch(text):
        if len(_unbase64(match[2])) == _SIZES[match[1]]:
            return match[1]
    elif match := _BCRYPT.fullmatch(text):
        _bound(int(match[1]), _MOST_BCRYPT, "its bcrypt cost is", least=4)
        return f"bcrypt {int(match[1])}"
    elif match := _ARGON2.fullmatch(text):
        memory, passes, lanes = map(int, match.groups()[1:])
        _bound(memory, _MOST_MEMORY_KIB, "its Argon2 memory in KiB is", least=8 * lanes)
        _bound(memory * passes, _MOST_WORK, "its Argon2 memory in KiB times passes is", least=8)
        _bound(lanes, _MOST_LANES, "its Argon2 lanes are", least=1)
        return f"{match[1]} {memory},{passes},{lanes}"
    elif match := _PBKDF2.fullmatch(text):
        _bound(int(match[2]), _MOST_ITERATIONS, "its PBKDF2 iterations are", least=1)
        if len(_unbase64(match[4])) == _SIZES[match[1]]:
            return f"pbkdf2-{match[1]} {int(match[2])}"
    elif match := _SCRYPT.fullmatch(text):
        n, r, p = map(int, match.groups()[:3])
        _bound(128 * n * r, _MOST_SCRYPT_MEMORY, "its scrypt memory in bytes is", least=256)
        _bound(n * r * p, _MOST_SCRYPT_WORK, "its scrypt cost n · r · p is", least=2)
        if n & (n - 1) == 0 and n > 1:
            return f"scrypt {n},{r},{p},{len(_unbase64(match[5]))}"
    raise ValueError("it is not a hash of a known scheme")


def verify(key: str, phc: str, *, peppers: Peppers | None = None) -> bool:
    """Return whether `phc` is a hash of `key`, in constant time. Computes exactly one hash.

    Raises ValueError, PepperMissing, and LibraryMissing.
    """
    found = parse(phc)
    secret = mixed(key[found.skip :].encode(), found, peppers)
    text = found.text
    if match := _DIGEST.fullmatch(text):
        return hmac.compare_digest(hashlib.new(match[1], secret).digest(), _unbase64(match[2]))
    if _BCRYPT.fullmatch(text):
        return bcrypt_hash.matches(secret[:BCRYPT_BYTES], text) and len(secret) <= BCRYPT_BYTES
    if match := _ARGON2.fullmatch(text):
        kind = {"argon2id": Type.ID, "argon2i": Type.I, "argon2d": Type.D}[match[1]]
        try:
            return verify_secret(text.encode(), secret, kind)
        except VerifyMismatchError:
            return False
        except Argon2Error as error:
            raise ValueError(str(error)) from None
    if match := _PBKDF2.fullmatch(text):
        salt, digest = _unbase64(match[3]), _unbase64(match[4])
        return hmac.compare_digest(hashlib.pbkdf2_hmac(match[1], secret, salt, int(match[2])), digest)
    match = _SCRYPT.fullmatch(text)
    if not match:
        raise ValueError("it is not a hash of a known scheme")
    n, r, p = map(int, match.groups()[:3])
    salt, digest = _unbase64(match[4]), _unbase64(match[5])
    made = hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=_MOST_SCRYPT_MEMORY * 2, dklen=len(digest))
    return hmac.compare_digest(made, digest)


def decoy(scheme: str) -> str:
    """Return a foreign hash that matches no key, and costs as much to check as one of `scheme`. Raises ValueError."""
    name, _, cost = scheme.partition(" ")
    salt = base64_text(os.urandom(16))
    if name in ("sha256", "sha512"):
        text = f"${name}${base64_text(os.urandom(_SIZES[name]))}"
    elif name == "bcrypt":
        text = f"$2b${int(cost):02}${os.urandom(11).hex()[:21]}.{os.urandom(16).hex()[:31]}"
    elif name.startswith("argon2"):
        memory, passes, lanes = cost.split(",")
        text = f"${name}$v=19$m={memory},t={passes},p={lanes}${salt}${base64_text(os.urandom(32))}"
    elif name.startswith("pbkdf2-"):
        text = f"${name}$i={cost}${salt}${base64_text(os.urandom(_SIZES[name.removeprefix('pbkdf2-')]))}"
    elif name == "scrypt":
        n, r, p, size = cost.split(",")
        text = f"$scrypt$n={n},r={r},p={p}${salt}${base64_text(os.urandom(int(size)))}"
    else:
        raise ValueError("it is not a known scheme")
    if scheme_of(text) != scheme:
        raise ValueError("it is not a known scheme")
    return str(ForeignHash(0, None, None, scheme, text))


def base64_text(raw: bytes) -> str:
    """Return base64 without padding."""
    return base64.b64encode(raw).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _bound(value: int, most: int, what: str, *, least: int) -> None:
    if value > most:
        raise ValueError(f"{what} {value:,}, and at most {most:,} is accepted")
    if value < least:
        raise ValueError(f"{what} {value:,}, and at least {least:,} is possible")


def mixed(secret: bytes, found: ForeignHash, peppers: Peppers | None) -> bytes:
    """Return what was hashed. Raises PepperMissing."""
    if found.mix == "hex":
        return hashlib.sha256(secret).hexdigest().encode()
    if found.pepper is None:
        return secret
    if peppers is None:
        raise PepperMissing(
            f'the foreign pepper "{found.pepper}" is required, and no pepper file is given',
            hint="set KEYCTL_PEPPER_FILE, or give --pepper-file FILE; in an application: Verifier's pepper_file",
        )
    pepper = peppers.foreign(found.pepper)
    return secret + pepper if found.mix == "append" else hmac.digest(pepper, secret, "sha256")
