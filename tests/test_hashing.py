from __future__ import annotations

import base64
import contextlib
import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl import hashing
from keyctl.hashing import (
    DEFAULT,
    Argon2id,
    HashInvalid,
    Scheme,
    Sha256,
    needs_rehash,
    parameters_from_dict,
    parse_parameters,
    verify,
)
from tests.fuzzing import examples, mutated
from tests.samples import CHEAP, FORMATS

KEY = "kc_live_0123456789AB_CDEFGHIJKLMNOPQRSTUVWXYZabcdefg01BMLu1"
# Of KEY under the salt "somesalt12345678", as OpenSSL computes it.
PHC = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$S4mEBOf5GFn1kP1LWAgB90CTe7N2EgDx+4/QxjtCEdo"
SALT, DIGEST = PHC.split("$")[4:]


def test_a_hash_made_elsewhere_fits_its_key():
    assert verify(KEY, PHC) is True


@pytest.mark.parametrize(
    "text",
    [
        "",
        " " + KEY,
        KEY + " ",
        KEY + "\0",
        KEY[:-1],
        KEY.swapcase(),
        KEY.replace("live", "test"),
        KEY[21:],  # the secret alone: the hash is over the whole text
        "kc_live_0123456789AC" + KEY[20:],
    ],
)
def test_a_hash_fits_no_near_miss(text: str):
    assert verify(text, PHC) is False


def test_a_hash_is_a_phc_string_that_names_its_cost_and_holds_nothing_of_the_key():
    made = Argon2id(memory_kib=64, passes=3, lanes=2).hash(KEY)

    assert made.startswith("$argon2id$v=19$m=64,t=3,p=2$")
    assert verify(KEY, made)
    assert not [i for i in range(len(KEY) - 5) if KEY[i : i + 6] in made]


def test_two_hashes_of_one_key_differ():
    first, second = CHEAP.hash(KEY), CHEAP.hash(KEY)

    assert first.split("$")[4] != second.split("$")[4]
    assert first.split("$")[5] != second.split("$")[5]
    assert verify(KEY, first)
    assert verify(KEY, second)


def test_a_hash_copied_to_another_row_never_verifies():
    made = FORMATS["standard"].generate(20, env="live")
    hashes = [CHEAP.hash(one.text) for one in made]

    fits = [(i, j) for i, one in enumerate(made) for j, phc in enumerate(hashes) if verify(one.text, phc)]

    assert fits == [(i, i) for i in range(20)]


def test_the_same_secret_behind_another_prefix_does_not_verify():
    phc = CHEAP.hash("kc_live_aaaaaaaaaaaa_" + "s" * 38)

    assert not verify("kc_live_bbbbbbbbbbbb_" + "s" * 38, phc)


# ── decoys ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_decoy_costs_what_a_hash_costs_and_fits_no_key():
    parameters = Argon2id(memory_kib=64, passes=3, lanes=2)
    decoy, real = parameters.decoy(), parameters.hash(KEY)

    assert [len(part) for part in decoy.split("$")] == [len(part) for part in real.split("$")]
    assert decoy.split("$")[:4] == real.split("$")[:4]
    assert verify(KEY, decoy) is False
    assert parameters.decoy() != decoy


def test_a_check_computes_exactly_one_hash(monkeypatch: pytest.MonkeyPatch):
    computed = []
    compute = hashing.verify_secret
    monkeypatch.setattr(hashing, "verify_secret", lambda *args: computed.append(1) or compute(*args))

    for phc in (PHC, CHEAP.decoy(), CHEAP.hash("another")):
        computed.clear()
        verify(KEY, phc)
        assert len(computed) == 1


# ── hostile and damaged rows ─────────────────────────────────────────────────────────────────────────────────────────


def phc(parameters: str = "m=8,t=1,p=1", *, kind: str = "argon2id", version: str = "v=19") -> str:
    return f"${kind}${version}${parameters}${SALT}${DIGEST}"


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "plain text",
        KEY,
        phc("m=1048577,t=1,p=1"),
        phc("m=4294967295,t=1,p=1"),
        phc("m=99999999999999999999,t=1,p=1"),
        phc("m=8,t=65,p=1"),
        phc("m=8,t=4294967295,p=1"),
        phc("m=1024,t=1,p=65"),
        phc("m=8,t=1,p=16777215"),
        phc("m=0,t=1,p=1"),
        phc("m=7,t=1,p=1"),
        phc("m=8,t=1,p=2"),
        phc("m=8,t=0,p=1"),
        phc("m=8,t=1,p=0"),
        phc("m=-8,t=1,p=1"),
        phc("m=8,t=1"),
        phc("t=1,m=8,p=1"),
        phc("m=8,t=1,p=1,keyid="),
        phc("m=8,t=1,p=1,keyid=ABC"),
        phc("m=8,t=1,p=1,keyid=a_b"),
        phc("m=8,t=1,p=1,keyid=a\n"),
        phc("m=8,t=1,p=1,keyid=a,keyid=a"),
        phc("m=8,t=1,p=1,keyid=a,data=YQ"),
        phc("keyid=a,m=8,t=1,p=1"),
        phc("m=8,t=1,p=1,keyid=" + "a" * 25),
        f"$sha256$keyid=${SALT}${DIGEST}",
        f"$sha256$keyid=A${SALT}${DIGEST}",
        f"$sha256,keyid=a${SALT}${DIGEST}",
        f"$sha256$keyid=a$keyid=a${SALT}${DIGEST}",
        phc("m=８,t=1,p=1"),
        phc("m=008,t=1,p=1"),
        phc(kind="argon2i"),
        phc(kind="argon2d"),
        phc(kind="ARGON2ID"),
        phc(version="v=16"),
        phc(version="v=20"),
        "$argon2id$m=8,t=1,p=1$" + SALT + "$" + DIGEST,
        "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$sha256$" + DIGEST,
        phc() + "\n",
        " " + phc(),
        phc() + "$",
        phc()[:-1] + "=",
        phc()[: -len(DIGEST)],
        phc()[: -len(DIGEST)] + DIGEST[:8],
        phc()[: -len(DIGEST)] + DIGEST * 3,
        phc()[: -len(DIGEST)] + "é" * 43,
        phc()[: -len(DIGEST)] + DIGEST[:41],
        phc().replace(SALT, "c2FsdA"),
        phc().replace(SALT, SALT * 5),
        phc().replace(SALT, "*" * 22),
        "$argon2id$v=19$m=8,t=1,p=1$" + "A" * 10_000_000,
    ],
    ids=lambda hostile: hostile[:60],
)
def test_a_hostile_or_damaged_hash_is_refused_before_it_costs_anything(hostile: str):
    started = time.process_time()

    with pytest.raises(HashInvalid) as error:
        verify(KEY, hostile)

    assert time.process_time() - started < 0.5
    assert KEY not in str(error.value)
    assert DIGEST not in str(error.value)
    assert not hostile or hostile not in str(error.value)


@pytest.mark.parametrize("hostile", ["", phc("m=1048577,t=1,p=1"), phc(kind="argon2i"), phc() + "\n"])
def test_whether_to_rehash_is_not_asked_of_a_damaged_hash(hostile: str):
    with pytest.raises(HashInvalid):
        needs_rehash(hostile, DEFAULT)


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_default_is_what_owasp_asks_for():
    assert (DEFAULT.memory_kib, DEFAULT.passes, DEFAULT.lanes) == (19456, 2, 1)


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [
        (Argon2id(8, 1, 1), False),
        (Argon2id(16, 1, 1), True),
        (Argon2id(8, 2, 1), True),
        (Argon2id(16, 1, 2), True),
        (Sha256(), False),
    ],
)
def test_a_hash_weaker_than_wanted_is_to_be_made_anew(wanted: Argon2id, *, needed: bool):
    assert needs_rehash(CHEAP.hash(KEY), wanted) is needed


@pytest.mark.parametrize(
    "values",
    [
        (7, 1, 1),
        (8, 0, 1),
        (8, 1, 0),
        (8, 1, 2),
        (1048577, 1, 1),
        (8, 65, 1),
        (1048576, 5, 1),
        (1024, 1, 65),
        (-1, 1, 1),
        (0, 0, 0),
    ],
)
def test_parameters_beyond_the_bounds_are_refused(values: tuple[int, int, int]):
    with pytest.raises(ValueError, match="8 KiB per lane to 1 GiB"):
        Argon2id(*values)


@pytest.mark.parametrize("values", [(8, 1, 1), (512, 1, 64), (1048576, 4, 1), (65536, 64, 1)])
def test_parameters_at_the_bounds_are_taken(values: tuple[int, int, int]):
    assert parse_parameters("m={},t={},p={}".format(*values)) == Argon2id(*values)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m=8",
        "m=8,t=1",
        "m=8,t=1,p=1,",
        "m=8, t=1, p=1",
        "t=1,m=8,p=1",
        "m=8,t=1,p=1\n",
        "m=-8,t=1,p=1",
        "m=８,t=1,p=1",
    ],
)
def test_parameters_are_read_only_as_they_are_written(text: str):
    with pytest.raises(ValueError, match="m=MEMORY_KIB,t=PASSES,p=LANES"):
        parse_parameters(text)


def test_parameters_are_kept_and_read_back():
    parameters = Argon2id(memory_kib=64, passes=3, lanes=2)

    assert parameters_from_dict(parameters.to_dict()) == parameters
    assert str(parameters) == "argon2id m=64,t=3,p=2"


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="unknown hash scheme 'md5'"):
        parameters_from_dict({"scheme": "md5"})


# ── SHA-256 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sha256_hash_is_over_the_salt_and_the_key():
    salt, digest = Sha256().hash(KEY).split("$")[2:]
    padded = [base64.b64decode(part + "=" * (-len(part) % 4)) for part in (salt, digest)]

    assert padded[1] == hashlib.sha256(padded[0] + KEY.encode()).digest()
    assert len(padded[0]) == 16


def test_a_sha256_hash_fits_its_own_key_alone():
    phc = Sha256().hash(KEY)

    assert verify(KEY, phc)
    assert not verify(KEY + "x", phc)
    assert not verify(KEY, Sha256().decoy())
    assert Sha256().hash(KEY) != phc


def test_a_sha256_hash_is_weaker_than_any_argon2id():
    assert needs_rehash(Sha256().hash(KEY), Argon2id(8, 1, 1))


def test_schemes_are_read_back_from_what_the_store_keeps():
    for scheme in (Sha256(), Argon2id(64, 3, 2)):
        assert parameters_from_dict(scheme.to_dict()) == scheme


@pytest.mark.parametrize(
    "parameters", [(1048576, 4, 1), (1048576, 1, 1), (262145, 1, 1), (262144, 3, 4), (8193, 64, 1)]
)
@pytest.mark.parametrize("own", [Argon2id(), Sha256(), Argon2id(65536, 3, 1)], ids=str)
def test_a_row_that_costs_far_more_than_the_store_does_is_refused_before_it_is_computed(
    parameters: tuple[int, int, int], own: Scheme
):
    phc = Argon2id(*parameters).decoy()
    started = time.process_time()

    with pytest.raises(HashInvalid) as error:
        verify(KEY, phc, own=own)

    assert "costs more than the store's parameters" in error.value.message
    assert time.process_time() - started < 0.1


def test_a_store_may_use_parameters_that_cost_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hashing, "_FREE_MEMORY_KIB", 8)
    monkeypatch.setattr(hashing, "_FREE_WORK", 8)
    own = Argon2id(64, 3, 1)

    assert verify(KEY, own.hash(KEY), own=own)
    assert verify(KEY, Argon2id(16, 4, 1).hash(KEY), own=own)
    for costlier in (Argon2id(65, 1, 1), Argon2id(64, 4, 1)):
        with pytest.raises(HashInvalid):
            verify(KEY, costlier.hash(KEY), own=own)


PHC_STRINGS = [PHC, Sha256().decoy(), CHEAP.decoy()]


@examples(150, 10_000)
@given(mutated(st.sampled_from(PHC_STRINGS)) | st.text(max_size=60))
def test_a_stored_hash_of_any_text_fits_or_does_not_or_is_invalid(phc: str):
    for check in (lambda: verify(KEY, phc, own=CHEAP), lambda: needs_rehash(phc, DEFAULT)):
        with contextlib.suppress(HashInvalid):
            assert check() in (True, False)


@examples(100, 10_000)
@given(mutated(st.sampled_from(["m=19456,t=2,p=1", "m=8,t=1,p=1", "m=1048576,t=4,p=64"])) | st.text(max_size=20))
def test_parameters_are_refused_or_read_as_they_are_written(text: str):
    try:
        parameters = parse_parameters(text)
    except ValueError:
        return

    assert parse_parameters(str(parameters).removeprefix("argon2id ")) == parameters
    assert parameters_from_dict(parameters.to_dict()) == parameters
