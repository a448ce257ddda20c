"""Hashes as other programs write them, and how keyctl keeps them. Every fault is a ValueError without the hash."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from keyctl import foreign_hashes, hashing
from keyctl.foreign_hashes import BCRYPT_BYTES, ForeignHash, base64_text
from keyctl.hashing import Argon2id, Scheme

KEYCTL = "keyctl"
# By the name that is given for them: what they are, for messages and for the help.
FORMS = {
    KEYCTL: "as keyctl export writes it",
    "sha256": "SHA-256 in hexadecimal or base64, such as Unkey's",
    "sha512": "SHA-512 in hexadecimal",
    "bcrypt": "$2a$, $2b$ or $2y$",
    "argon2": "$argon2id$, $argon2i$ or $argon2d$",
    "django": "of djangorestframework-api-key, or of Django's password hashers",
    "keyshield-argon2": "of keyshield with Argon2, with its pepper",
    "keyshield-bcrypt": "of keyshield with bcrypt, with its pepper",
}
WITH_PEPPER = {"keyshield-argon2": "append", "keyshield-bcrypt": "hmac"}
_HEX = re.compile(r"(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})", re.ASCII)
_BASE64 = re.compile(r"[0-9A-Za-z+/]{43}=", re.ASCII)
_BCRYPT = re.compile(r"\$2[aby]\$.+", re.ASCII)
_DJANGO = re.compile(r"(sha512\$|pbkdf2_sha256|pbkdf2_sha1|argon2|bcrypt_sha256|bcrypt|scrypt)\$(.+)", re.ASCII)
_DJANGO_PBKDF2 = re.compile(r"(\d{1,9})\$([^$]{1,100})\$([0-9A-Za-z+/]+={0,2})", re.ASCII)
_DJANGO_SCRYPT = re.compile(r"(\d{1,9})\$([^$]{1,100})\$(\d{1,4})\$(\d{1,4})\$([0-9A-Za-z+/]+={0,2})", re.ASCII)


class Place(NamedTuple):
    """Where the secret begins in keys with a prefix, and how long these keys are at most, in characters."""

    secret_from: int
    longest: int


def form_of(text: str) -> str:
    """Return the name of a hash's form. Raises ValueError if it is of none, or could be of several."""
    if foreign_hashes.is_foreign(text) or text.startswith("$sha256$"):
        return KEYCTL
    if text.startswith("$argon2"):
        raise ValueError("several programs write such a hash: give --hash-format keyctl, argon2 or keyshield-argon2")
    if _BCRYPT.fullmatch(text):
        return "bcrypt"
    if _DJANGO.fullmatch(text):
        return "django"
    if _HEX.fullmatch(text):
        return "sha256" if len(text) == 64 else "sha512"
    if _BASE64.fullmatch(text):
        return "sha256"
    raise ValueError("its hash is of no known form")


def stored(text: str, form: str, *, of_secret: bool, pepper: str | None, place: Place, own: Scheme) -> str:
    """Return what keyctl keeps for a hash. Raises ValueError if it is of another form, or costs too much.

    `own` is the store's scheme: a hash may cost as much as it does. `pepper` is the id of the foreign pepper.
    """
    if form == KEYCTL:
        return _checked_own(text, place, own)
    mix, inner = _inner(text, form)
    skip = place.secret_from if of_secret else 0
    if re.match(r"\$2[aby]\$", inner) and mix is None and place.longest - skip > BCRYPT_BYTES:
        raise ValueError(
            f"bcrypt reads {BCRYPT_BYTES} bytes, and such keys have {place.longest - skip}: the rest is not proven"
        )
    made = ForeignHash(skip, mix, pepper, foreign_hashes.scheme_of(inner), inner)
    # A plain Argon2id over the whole key is what keyctl itself writes.
    if skip == 0 and mix is None and made.scheme.startswith("argon2id"):
        try:
            return _checked_own(inner, place, own)
        except ValueError:
            pass
    return str(made)


def _checked_own(text: str, place: Place, own: Scheme) -> str:
    if foreign_hashes.is_foreign(text):
        if foreign_hashes.parse(text).skip not in (0, place.secret_from):
            raise ValueError("its hash is of another part of the key than the secret")
        return text
    try:
        scheme = hashing.scheme_of(text)
    except hashing.HashInvalid as error:
        raise ValueError(error.message.removeprefix("the store is damaged: ").replace("stored", "given")) from None
    if isinstance(scheme, Argon2id) and hashing.costs_too_much(scheme, own):
        raise ValueError(f"its hash costs too much: {scheme}")
    return text


def _inner(text: str, form: str) -> tuple[str | None, str]:
    """Return how the key is mixed before it is hashed, and the hash as keyctl.foreign_hashes writes it."""
    wrong = ValueError(f"its hash is not of the form {form}: {FORMS[form]}")
    if form in ("sha256", "sha512"):
        if _HEX.fullmatch(text) and len(text) == (64 if form == "sha256" else 128):
            return None, f"${form}${base64_text(bytes.fromhex(text))}"
        if form == "sha256" and _BASE64.fullmatch(text):
            return None, f"$sha256${base64_text(base64.b64decode(text))}"
    elif form in ("bcrypt", "keyshield-bcrypt"):
        if _BCRYPT.fullmatch(text):
            return WITH_PEPPER.get(form), text
    elif form in ("argon2", "keyshield-argon2"):
        if re.match(r"\$argon2(id|i|d)\$", text):
            return WITH_PEPPER.get(form), text
    elif (match := _DJANGO.fullmatch(text)) and (found := _from_django(match[1].rstrip("$"), match[2])):
        return found
    raise wrong


def _from_django(name: str, rest: str) -> tuple[str | None, str] | None:
    if name == "sha512":
        return (None, f"$sha512${base64_text(bytes.fromhex(rest))}") if _HEX.fullmatch(rest) else None
    if name.startswith("pbkdf2_") and (match := _DJANGO_PBKDF2.fullmatch(rest)):
        iterations, salt, digest = match.groups()
        return None, f"${name.replace('_', '-')}$i={int(iterations)}${base64_text(salt.encode())}${digest.rstrip('=')}"
    if name == "scrypt" and (match := _DJANGO_SCRYPT.fullmatch(rest)):
        n, salt, r, p, digest = match.groups()
        return None, f"$scrypt$n={int(n)},r={int(r)},p={int(p)}${base64_text(salt.encode())}${digest.rstrip('=')}"
    if name == "argon2":
        return None, f"${rest}"
    if name in ("bcrypt", "bcrypt_sha256") and rest.startswith("$2"):
        return ("hex" if name == "bcrypt_sha256" else None), rest
    return None
