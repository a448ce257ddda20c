from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from keyctl import hashing
from keyctl.decision import Code, Request
from keyctl.hashing import Argon2id, HashInvalid
from keyctl.keyformat import KeyFormat
from keyctl.models import KeyRecord, Owner
from keyctl.verifier import Verifier
from tests.samples import CHEAP, NOW, key, owner, profile

SECOND = timedelta(seconds=1)
PROFILE = profile()
FORMAT = PROFILE.key_format


class Memory:
    """A keyring of what it is given. It remembers what it was asked for."""

    def __init__(self, *records: KeyRecord, hash_parameters: Argon2id = CHEAP) -> None:
        self.profile = PROFILE
        self.formats: Sequence[KeyFormat] = (FORMAT,)
        self.hash_parameters = hash_parameters
        self.asked: list[str] = []
        self._records = {one.key.prefix: one for one in records}

    def find(self, prefix: str) -> KeyRecord | None:
        self.asked.append(prefix)
        return self._records.get(prefix)

    def find_owners(self, handle: str) -> tuple[Owner, ...]:
        self.asked.append(handle)
        chains = (one.owners for one in self._records.values())
        return next((chain for chain in chains if chain and chain[0].handle == handle), ())

    def owners_mentioning(self, text: str) -> list[tuple[Owner, ...]]:
        raise AssertionError(f"no request was given, and {text!r} is looked up")


def mint(*owners: Owner, **changes: Any) -> tuple[str, KeyRecord]:
    made = FORMAT.generate(1, env="live")[0]
    values = {"prefix": made.prefix, "phc": CHEAP.hash(made.text), "owner_id": owners[0].id if owners else None}
    return made.text, KeyRecord(key(**values | changes), owners)


def verifier(keyring: Memory, now: datetime = NOW) -> Verifier:
    return Verifier(keyring, clock=lambda: now)


def closed(body: str) -> str:
    """Give a text of the right shape its right checksum."""
    return FORMAT.format(FORMAT.dissect(body))


def other_secret(text: str) -> str:
    """Return a well-formed key with the prefix of `text` and another secret."""
    secret = FORMAT.parse(text).secret
    return closed(text.replace(secret, secret[:-1] + ("a" if secret[-1] != "a" else "b")))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cost of every hash that is computed from now on."""
    costs: list[str] = []
    compute = hashing.verify_secret

    def counted(phc: bytes, *rest: Any) -> bool:
        costs.append(phc.decode().split("$")[3])
        return compute(phc, *rest)

    monkeypatch.setattr(hashing, "verify_secret", counted)
    return costs


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_valid_and_its_record_comes_with_it():
    text, record = mint(owner("acme"))

    decision = verifier(Memory(record)).verify(text)

    assert decision
    assert (decision.code, decision.reason, decision.record) == (Code.VALID, None, record)


@pytest.mark.parametrize(
    ("presented", "code", "reason"),
    [
        (lambda _: "", Code.MISSING_API_KEY, "none given"),
        (lambda _: " ", Code.INVALID_API_KEY, "malformed"),
        (lambda _: "\0", Code.INVALID_API_KEY, "malformed"),
        (lambda text: text + " ", Code.INVALID_API_KEY, "malformed"),
        (lambda text: text + "\n", Code.INVALID_API_KEY, "malformed"),
        (lambda text: text[:-1], Code.INVALID_API_KEY, "malformed"),
        (lambda text: text[:20], Code.INVALID_API_KEY, "malformed"),
        (lambda text: "x" * 10_000_000 + text, Code.INVALID_API_KEY, "malformed"),
        (lambda text: text[:-1] + "\udc80", Code.INVALID_API_KEY, "malformed"),
        (lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"), Code.INVALID_API_KEY, "checksum"),
        (lambda text: closed(text.replace("live", "test")), Code.INVALID_API_KEY, "unknown prefix"),
        (lambda _: FORMAT.generate(1, env="live")[0].text, Code.INVALID_API_KEY, "unknown prefix"),
        (other_secret, Code.INVALID_API_KEY, "wrong secret"),
    ],
)
def test_what_is_not_the_key_is_refused_and_nothing_is_told_of_it(presented: Any, code: Code, reason: str):
    text, record = mint(revoked_at=NOW)

    decision = verifier(Memory(record)).verify(presented(text))

    assert (decision.code, decision.reason, decision.record) == (code, reason, None)
    assert not decision
    assert FORMAT.parse(text).secret not in repr(decision)


def test_what_has_not_the_shape_of_a_key_is_refused_with_no_look_up_and_no_hash(computed: list[str]):
    text, record = mint()
    keyring = Memory(record)

    for wrong in ("", "x", text + " ", text[:-1], text.swapcase(), text[:-1] + ("0" if text[-1] != "0" else "1")):
        assert not verifier(keyring).verify(wrong, Request(resource_owner="acme"))

    assert keyring.asked == []
    assert computed == []


STATES: list[dict[str, Any]] = [
    {},
    {"revoked_at": NOW - SECOND},
    {"expires_at": NOW - SECOND},
    {"locked_at": NOW - SECOND},
    {"allowed_ips": ("192.0.2.0/24",)},
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: next(iter(state), "active"))
def test_no_state_is_told_before_the_secret_is_proven(state: dict[str, Any]):
    text, record = mint(owner("acme", disabled_at=NOW), **state)
    keyring = Memory(record)

    wrong = verifier(keyring).verify(other_secret(text), Request(environment="test", resource_owner="acme"))
    right = verifier(keyring).verify(text, Request(environment="test"))

    assert (wrong.code, wrong.reason, wrong.record) == (Code.INVALID_API_KEY, "wrong secret", None)
    assert right.record == record
    assert right.code not in {Code.VALID, Code.INVALID_API_KEY}
    assert keyring.asked == [record.key.prefix] * 2  # not even the resource's owner was looked up


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"revoked_at": NOW}, Code.KEY_REVOKED),
        ({"expires_at": NOW}, Code.KEY_EXPIRED),
        ({"expires_at": NOW.astimezone(timezone(timedelta(hours=-8)))}, Code.KEY_EXPIRED),
        ({"expires_at": NOW + SECOND}, Code.VALID),
        ({"locked_at": NOW}, Code.KEY_LOCKED),
        ({"locked_at": NOW - SECOND, "locked_until": NOW}, Code.VALID),
        ({"environment": "test"}, Code.FORBIDDEN_ENVIRONMENT),
        ({"scopes": ()}, Code.FORBIDDEN_SCOPE),
    ],
)
def test_a_proven_key_is_judged_by_its_state_at_that_time(state: dict[str, Any], code: Code):
    text, record = mint(**{"scopes": ("read",)} | state)

    decision = verifier(Memory(record)).verify(text, Request(scopes=("read",), environment="live"))

    assert decision.code is code
    assert decision.record == record


def test_the_time_is_asked_at_each_verification():
    text, record = mint(expires_at=NOW + SECOND)
    times = iter([NOW, NOW + SECOND])
    one = Verifier(Memory(record), clock=lambda: next(times))

    assert [one.verify(text).code, one.verify(text).code] == [Code.VALID, Code.KEY_EXPIRED]


def test_a_naive_clock_decides_nothing():
    text, record = mint(expires_at=NOW + SECOND)

    with pytest.raises(TypeError):
        verifier(Memory(record), now=NOW.replace(tzinfo=None)).verify(text)


def test_a_resource_is_judged_by_the_owner_that_its_handle_names():
    mine, record = mint(owner("acme"))
    _, other = mint(owner("other"))
    keyring = Memory(record, other)

    codes = [
        verifier(keyring).verify(mine, Request(resource_owner=handle)).code for handle in ("acme", "other", "", "x")
    ]

    assert codes == [Code.VALID, Code.FORBIDDEN_OWNER, Code.FORBIDDEN_OWNER, Code.FORBIDDEN_OWNER]


# ── cost ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_prefix_costs_what_a_wrong_secret_and_a_right_one_cost(computed: list[str]):
    text, record = mint()
    costs = {}

    for name, presented in {
        "right": text,
        "wrong secret": other_secret(text),
        "unknown prefix": FORMAT.generate(1, env="live")[0].text,
    }.items():
        computed.clear()
        verifier(Memory(record)).verify(presented)
        costs[name] = list(computed)

    assert list(costs.values()) == [["m=8,t=1,p=1"]] * 3


def test_an_unknown_prefix_costs_a_hash_of_the_stores_current_scheme(computed: list[str]):
    keyring = Memory(hash_parameters=Argon2id(memory_kib=64, passes=2, lanes=1))

    verifier(keyring).verify(FORMAT.generate(1, env="live")[0].text)

    assert computed == ["m=64,t=2,p=1"]


@pytest.mark.parametrize("state", STATES, ids=lambda state: next(iter(state), "active"))
def test_every_state_costs_one_hash(state: dict[str, Any], computed: list[str]):
    text, record = mint(**state)

    for presented in (text, other_secret(text)):
        computed.clear()
        verifier(Memory(record)).verify(presented)
        assert len(computed) == 1


# ── altered rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hash_copied_into_another_row_never_verifies():
    mine, record = mint()
    theirs, other = mint(scopes=("admin",))
    swapped = Memory(
        replace(record, key=replace(record.key, phc=other.key.phc)),
        replace(other, key=replace(other.key, phc=record.key.phc)),
    )

    for text in (mine, theirs):
        assert verifier(swapped).verify(text).reason == "wrong secret"


def test_a_row_whose_prefix_was_changed_never_verifies():
    text, record = mint()
    old, new = record.key.prefix, FORMAT.generate(1, env="live")[0].prefix
    moved = Memory(replace(record, key=replace(record.key, prefix=new)))

    assert verifier(moved).verify(text).reason == "unknown prefix"
    assert verifier(moved).verify(closed(text.replace(old, new))).reason == "wrong secret"


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=1048577,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"])
def test_a_damaged_hash_allows_nothing_and_is_not_shown(damaged: str, computed: list[str]):
    text, record = mint(phc=damaged)

    with pytest.raises(HashInvalid) as error:
        verifier(Memory(record)).verify(text)

    assert computed == []
    assert text not in str(error.value)
    assert not damaged or damaged not in str(error.value).split()
