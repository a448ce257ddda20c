"""Hashes that other programs made are checked as those programs check them, and refused where they cost too much."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest
from argon2.low_level import Type

from keyctl import foreign_hashes, hashing
from keyctl.errors import ConfigurationInvalid, LibraryMissing, PepperMissing
from keyctl.foreign_hashes import decoy, parse, scheme_of, verify
from keyctl.hashing import Argon2id, ForeignScheme, HashInvalid, Sha256, needs_rehash, verify_evenly
from keyctl.pepper import Peppers

KEY = "abcdEF12.0123456789abcdefABCDEF0123456789"
SECRET = KEY[9:]
PEPPER = b"a pepper of another program, of any length"


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def argon(secret: bytes, kind: Type, **cost: int) -> str:
    given = {"time_cost": 1, "memory_cost": 8, "parallelism": 1} | cost
    return argon2.PasswordHasher(**given, type=kind).hash(secret)


def pbkdf2(secret: bytes, name: str, iterations: int) -> str:
    return f"$pbkdf2-{name}$i={iterations}${b64(b'salt')}${b64(hashlib.pbkdf2_hmac(name, secret, b'salt', iterations))}"


def scrypt(secret: bytes) -> str:
    return f"$scrypt$n=16,r=8,p=1${b64(b'salt')}${b64(hashlib.scrypt(secret, salt=b'salt', n=16, r=8, p=1))}"


FAST = {
    "sha256": (lambda secret: f"$sha256${b64(hashlib.sha256(secret).digest())}", "sha256"),
    "sha512": (lambda secret: f"$sha512${b64(hashlib.sha512(secret).digest())}", "sha512"),
    "bcrypt": (lambda secret: bcrypt.hashpw(secret, bcrypt.gensalt(4)).decode(), "bcrypt 4"),
    "bcrypt 2a": (lambda secret: bcrypt.hashpw(secret, bcrypt.gensalt(4, b"2a")).decode(), "bcrypt 4"),
    "argon2id": (lambda secret: argon(secret, Type.ID), "argon2id 8,1,1"),
    "argon2i": (lambda secret: argon(secret, Type.I), "argon2i 8,1,1"),
    "argon2d": (lambda secret: argon(secret, Type.D), "argon2d 8,1,1"),
    "pbkdf2-sha256": (lambda secret: pbkdf2(secret, "sha256", 2), "pbkdf2-sha256 2"),
    "pbkdf2-sha1": (lambda secret: pbkdf2(secret, "sha1", 3), "pbkdf2-sha1 3"),
    "scrypt": (scrypt, "scrypt 16,8,1,64"),
}
every_scheme = pytest.mark.parametrize(("make", "scheme"), FAST.values(), ids=FAST.keys())


@every_scheme
def test_a_foreign_hash_fits_its_key_alone(make: Any, scheme: str):
    for skip, text in ((0, KEY), (9, SECRET)):
        phc = f"$foreign$skip={skip}{make(text.encode())}"

        assert str(parse(phc)) == phc
        assert parse(phc).scheme == scheme
        assert verify(KEY, phc)
        assert hashing.verify(KEY, phc)
        for other in (KEY[:-1] + "8", KEY + "0", KEY[:-1], KEY.lower()):
            assert not verify(other, phc)


@every_scheme
def test_a_decoy_costs_what_its_scheme_costs_and_fits_no_key(make: Any, scheme: str):
    made = decoy(scheme)

    assert parse(made).scheme == scheme == scheme_of(make(b"x"))
    assert len(parse(made).text) - len(make(b"x")) in range(-30, 60)
    assert not verify(KEY, made)
    assert not verify("x" * 500, made)


def test_what_is_hashed_may_be_mixed_with_a_pepper_or_be_a_digest(tmp_path: Path):
    peppers = pepper_file(tmp_path, f"old foreign:{base64.urlsafe_b64encode(PEPPER).decode().rstrip('=')}")
    digest = FAST["sha256"][0]
    appended = f"$foreign$skip=9,mix=append,keyid=old{digest(SECRET.encode() + PEPPER)}"
    mixed = f"$foreign$skip=0,mix=hmac,keyid=old{digest(hmac.digest(PEPPER, KEY.encode(), 'sha256'))}"
    hexed = f"$foreign$skip=0,mix=hex{digest(hashlib.sha256(KEY.encode()).hexdigest().encode())}"

    for phc in (appended, mixed, hexed):
        assert verify(KEY, phc, peppers=peppers)
        assert not verify(KEY[:-1] + "8", phc, peppers=peppers)
    assert hashing.pepper_of(appended) == hashing.scheme_of(mixed).pepper == "old"


def test_a_missing_foreign_pepper_is_an_unknown_answer(tmp_path: Path):
    phc = f"$foreign$skip=0,mix=append,keyid=old{FAST['sha256'][0](KEY.encode())}"
    own = pepper_file(tmp_path, f"old {'A' * 43}")

    for peppers in (None, own):
        with pytest.raises(PepperMissing, match='the foreign pepper "old" is required'):
            verify(KEY, phc, peppers=peppers)


def test_no_new_hash_uses_a_foreign_pepper(tmp_path: Path):
    foreign = pepper_file(tmp_path, "old foreign:QUJD", "none")

    assert foreign.ids == ()
    assert foreign.accepts(None)
    with pytest.raises(PepperMissing):
        Sha256(pepper="old").hash(KEY, foreign)
    assert foreign.newest is None
    assert "QUJD" not in repr(foreign) + repr(vars(foreign))


@pytest.mark.parametrize("secret", ["foreign:", "foreign:QUJ", "foreign:QUJD=", f"foreign:{'QUJD' * 86}", "other:QUJD"])
def test_a_malformed_foreign_pepper_is_refused(tmp_path: Path, secret: str):
    with pytest.raises(ConfigurationInvalid, match="line 1"):
        pepper_file(tmp_path, f"old {secret}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$2b$15$" + "a" * 53, "its bcrypt cost is 15, and at most 14 is accepted"),
        ("$2b$03$" + "a" * 53, "at least 4 is possible"),
        ("$2b$12$" + "a" * 52, "not a hash of a known scheme"),
        ("$2x$12$" + "a" * 53, "not a hash of a known scheme"),
        (f"$argon2id$v=19$m=262145,t=1,p=1${'a' * 22}${'a' * 43}", "memory in KiB is 262,145"),
        (f"$argon2id$v=19$m=262144,t=3,p=1${'a' * 22}${'a' * 43}", "memory in KiB times passes is 786,432"),
        (f"$argon2id$v=16$m=8,t=1,p=1${'a' * 22}${'a' * 43}", "not a hash of a known scheme"),
        (f"$pbkdf2-sha256$i=2000001$YQ${'a' * 42}A", "PBKDF2 iterations are 2,000,001"),
        (f"$pbkdf2-sha256$i=1$YQ${'a' * 27}", "not a hash of a known scheme"),
        (f"$scrypt$n=1048576,r=8,p=1$YQ${'a' * 86}", "scrypt memory in bytes is 1,073,741,824"),
        (f"$scrypt$n=15,r=8,p=1$YQ${'a' * 86}", "not a hash of a known scheme"),
        (f"$sha256${'a' * 86}", "not a hash of a known scheme"),
        ("$md5$" + "a" * 22, "not a hash of a known scheme"),
    ],
)
def test_a_hash_that_costs_too_much_or_is_none_is_refused_with_why(text: str, why: str):
    with pytest.raises(ValueError, match=why):
        scheme_of(text)
    with pytest.raises(HashInvalid, match=why):
        hashing.verify(KEY, f"$foreign$skip=0{text}")


@pytest.mark.parametrize("head", ["skip=00", "skip=-1", "", "skip=0,mix=append", "skip=0,keyid=a", "skip=0,mix=x"])
def test_a_malformed_foreign_hash_is_damage_and_not_a_refusal(head: str):
    with pytest.raises(HashInvalid):
        hashing.verify(KEY, f"$foreign${head}{FAST['sha256'][0](KEY.encode())}")


def test_bcrypt_reads_72_bytes_and_a_longer_key_is_not_its_beginning():
    phc = f"$foreign$skip=0{bcrypt.hashpw(b'x' * 72, bcrypt.gensalt(4)).decode()}"

    assert verify("x" * 72, phc)
    assert not verify("x" * 73, phc)


def test_a_missing_library_is_an_unknown_answer(monkeypatch: pytest.MonkeyPatch):
    phc = f"$foreign$skip=0{FAST['bcrypt'][0](KEY.encode())}"
    monkeypatch.setitem(sys.modules, "bcrypt", None)

    with pytest.raises(LibraryMissing) as error:
        hashing.verify(KEY, phc)
    assert error.value.exit_code == 5
    assert error.value.hint == "pip install bcrypt"
    # No key of bcrypt is accepted without it, so that a refusal needs no decoy.
    assert not verify_evenly(KEY, None, own=Argon2id(8, 1, 1), foreign=("bcrypt 4",))


def test_a_foreign_hash_is_replaced_by_any_of_the_stores_own():
    phc = f"$foreign$skip=0{FAST['bcrypt'][0](KEY.encode())}"

    assert hashing.scheme_of(phc) == ForeignScheme("bcrypt 4")
    assert str(hashing.scheme_of(phc)) == "foreign bcrypt 4"
    assert needs_rehash(phc, Sha256())
    assert needs_rehash(phc, Argon2id(8, 1, 1))


def test_a_refusal_costs_one_check_in_each_scheme_of_the_store(monkeypatch: pytest.MonkeyPatch):
    own, schemes = Argon2id(8, 1, 1), ("bcrypt 4", "sha512")
    checked: list[str] = []
    real_foreign, real_own = foreign_hashes.verify, hashing.verify

    def foreign(key: str, phc: str, **how: Any) -> bool:
        checked.append(parse(phc).scheme)
        return real_foreign(key, phc, **how)

    def any_hash(key: str, phc: str, **how: Any) -> bool:
        if not phc.startswith("$foreign$"):
            checked.append("own")
        return real_own(key, phc, **how)

    monkeypatch.setattr(foreign_hashes, "verify", foreign)
    monkeypatch.setattr(hashing, "verify", any_hash)
    stored = [own.hash(KEY), *(f"$foreign$skip=0{FAST[name][0](KEY.encode())}" for name in ("bcrypt", "sha512"))]
    for phc in (None, *stored):
        checked.clear()
        assert not verify_evenly(KEY[:-1] + "8", phc, own=own, foreign=schemes)
        assert sorted(checked) == ["bcrypt 4", "own", "sha512"]
    for phc in stored:
        assert verify_evenly(KEY, phc, own=own, foreign=schemes)


def pepper_file(folder: Path, *lines: str) -> Peppers:
    path = folder / "pepper.key"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return Peppers(path)
