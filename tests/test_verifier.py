from __future__ import annotations

import doctest
import gc
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keyctl
import keyctl.verifier
from keyctl import hashing
from keyctl.admin.delivery import Minted
from keyctl.admin.owners import NewOwner
from keyctl.admin.profile import ProfileAdmin
from keyctl.decision import Code
from keyctl.errors import StoreUnavailable, VerifierBusy
from keyctl.hashing import Argon2id, HashInvalid
from keyctl.keyformat import KeyFormat
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import read_profile
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Selection
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.verifier import Verifier
from tests.samples import CHEAP, NOW, document, key, owner, profile
from tests.stores import ACTOR, Opened, new_store

SECOND = timedelta(seconds=1)
PROFILE = profile()
FORMAT = PROFILE.key_format


class Memory:
    """A keyring of what it is given. It remembers what it was asked for."""

    def __init__(self, *records: KeyRecord, hash_parameters: Argon2id = CHEAP) -> None:
        self.profile = PROFILE
        self.formats: Sequence[KeyFormat] = (FORMAT,)
        self.hash_parameters = hash_parameters
        self.foreign_hashes: tuple[str, ...] = ()
        self.asked: list[str] = []
        self.broken = False
        self.after_look_up: list[Callable[[], object]] = []
        self._records = {one.key.prefix: one for one in records}

    def find(self, prefix: str, *, deadline: float | None = None) -> KeyRecord | None:  # noqa: ARG002 - as called
        if self.broken:
            raise StoreUnavailable("the cable is out")
        self.asked.append(prefix)
        found = self._records.get(prefix)
        while self.after_look_up:
            self.after_look_up.pop()()
        return found

    def change(self, prefix: str, **changes: Any) -> None:
        record = self._records[prefix]
        self._records[prefix] = record._replace(key=replace(record.key, **changes))

    def change_owner(self, prefix: str, **changes: Any) -> None:
        record = self._records[prefix]
        self._records[prefix] = record._replace(owners=tuple(replace(one, **changes) for one in record.owners))

    def forget(self, prefix: str) -> None:
        del self._records[prefix]

    def check(self, now: datetime) -> None:
        pass

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:  # noqa: ARG002 - as called
        return False

    def close(self) -> None:
        pass

    def find_owners(self, handle: str, *, deadline: float | None = None) -> tuple[Owner, ...]:  # noqa: ARG002 - as called
        self.asked.append(handle)
        chains = (one.owners for one in self._records.values())
        return next((chain for chain in chains if chain and chain[0].handle == handle), ())

    def owners_mentioning(self, text: str, *, deadline: float | None = None) -> list[tuple[Owner, ...]]:
        raise AssertionError(f"no request was given, and {text!r} is looked up by {deadline}")


def mint(*owners: Owner, **changes: Any) -> tuple[str, KeyRecord]:
    made = FORMAT.generate(1, env="live")[0]
    values = {"prefix": made.prefix, "phc": CHEAP.hash(made.text), "owner_id": owners[0].id if owners else None}
    return made.text, KeyRecord(key(**values | changes), owners)


def verifier(keyring: Memory, now: datetime = NOW) -> Verifier:
    return Verifier(keyring, clock=lambda: now)


class Timer:
    """Seconds that pass when the test says so: the verifier's clock and its timer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def verifier(self, keyring: Memory, **options: Any) -> Verifier:
        return Verifier(keyring, clock=self.now, timer=self, **options)


def closed(body: str) -> str:
    """Give a text of the right shape its right checksum."""
    return FORMAT.format(FORMAT.parse_unchecked(body))


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
def test_what_is_not_the_key_is_refused_and_nothing_is_disclosed(presented: Any, code: Code, reason: str):
    text, record = mint(revoked_at=NOW)

    decision = verifier(Memory(record)).verify(presented(text))

    assert (decision.code, decision.reason, decision.record) == (code, reason, None)
    assert not decision
    assert FORMAT.parse(text).secret not in repr(decision)


def test_what_has_not_the_shape_of_a_key_is_refused_with_no_look_up_and_no_hash(computed: list[str]):
    text, record = mint()
    keyring = Memory(record)

    for wrong in ("", "x", text + " ", text[:-1], text.swapcase(), text[:-1] + ("0" if text[-1] != "0" else "1")):
        assert not verifier(keyring).verify(wrong, resource_owner="acme")

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
def test_no_state_is_disclosed_before_the_secret_is_proven(state: dict[str, Any]):
    text, record = mint(owner("acme", disabled_at=NOW), **state)
    keyring = Memory(record)

    wrong = verifier(keyring).verify(other_secret(text), env="test", resource_owner="acme")
    right = verifier(keyring).verify(text, env="test")

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

    decision = verifier(Memory(record)).verify(text, ["read"], "live")

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

    codes = [verifier(keyring).verify(mine, resource_owner=handle).code for handle in ("acme", "other", "", "x")]

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
        record._replace(key=replace(record.key, phc=other.key.phc)),
        other._replace(key=replace(other.key, phc=record.key.phc)),
    )

    for text in (mine, theirs):
        assert verifier(swapped).verify(text).reason == "wrong secret"


def test_a_row_whose_prefix_was_changed_never_verifies():
    text, record = mint()
    old, new = record.key.prefix, FORMAT.generate(1, env="live")[0].prefix
    moved = Memory(record._replace(key=replace(record.key, prefix=new)))

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


# ── a key proven once ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_proven_once_is_not_hashed_again(computed: list[str]):
    text, record = mint()
    timer, keyring = Timer(), Memory(record)
    one = timer.verifier(keyring)

    for timer.seconds in (0.0, 0.5, 1.0, 3600.0):
        assert one.verify(text)

    assert len(computed) == 1
    assert keyring.asked == [record.key.prefix] * 3  # not again within the second


def test_what_was_not_proven_is_hashed_each_time(computed: list[str]):
    text, record = mint()
    one = verifier(Memory(record))

    for presented in (other_secret(text), FORMAT.generate(1, env="live")[0].text, other_secret(text)):
        assert not one.verify(presented)
    assert one.verify(text)
    assert not one.verify(other_secret(text))

    assert len(computed) == 5


def test_the_cache_is_bounded_and_drops_the_oldest(computed: list[str]):
    minted = [mint() for _ in range(4)]
    one = verifier(Memory(*(record for _, record in minted)))
    small = Verifier(Memory(*(record for _, record in minted)), clock=lambda: NOW, cache_size=2)

    for text, _ in minted:
        assert one.verify(text)
        assert small.verify(text)
    computed.clear()
    for text, _ in reversed(minted):
        assert one.verify(text)
    assert computed == []
    for text, _ in reversed(minted):
        assert small.verify(text)
    assert len(computed) == 2
    assert len(small._engine.secrets._verified) == 2


def test_a_cache_of_nothing_proves_each_time(computed: list[str]):
    text, record = mint()
    one = Verifier(Memory(record), clock=lambda: NOW, cache_size=0)

    assert one.verify(text)
    assert one.verify(text)
    assert len(computed) == 2


def test_a_proof_is_bound_to_the_stored_hash(computed: list[str]):
    text, record = mint()
    timer, keyring = Timer(), Memory(record)
    one = timer.verifier(keyring)
    assert one.verify(text)

    keyring.change(record.key.prefix, phc=CHEAP.hash(other_secret(text)))
    timer.seconds = 1

    assert one.verify(text).reason == "wrong secret"
    assert one.verify(other_secret(text))
    assert len(computed) == 3


def test_a_key_that_is_gone_is_unknown(computed: list[str]):
    text, record = mint()
    timer, keyring = Timer(), Memory(record)
    one = timer.verifier(keyring)
    assert one.verify(text)

    keyring.forget(record.key.prefix)
    timer.seconds = 1

    assert one.verify(text).reason == "unknown prefix"
    assert len(computed) == 2


def test_nothing_that_is_kept_holds_a_secret():
    text, record = mint(owner("acme"))
    one = verifier(Memory(record))
    assert one.verify(text)
    assert not one.verify(other_secret(text))
    secrets = [FORMAT.parse(each).secret for each in (text, other_secret(text))]

    seen, unexplored = set(), [one]
    while unexplored:
        found = unexplored.pop()
        if id(found) in seen or isinstance(found, type | type(os)) or callable(found):
            continue
        seen.add(id(found))
        if isinstance(found, str | bytes | bytearray):
            kept = found if isinstance(found, str) else bytes(found).decode("latin-1")
            assert not any(secret in kept for secret in secrets)
        unexplored += gc.get_referents(found)

    assert len(seen) > 50  # the walk went somewhere
    assert not any(
        secret in repr(one) + repr(one._engine.secrets._verified) + repr(one.wrong_secrets()) for secret in secrets
    )


# ── state is judged on every call ────────────────────────────────────────────────────────────────────────────────────

CHANGES: dict[str, tuple[Callable[[Memory, str], None], Code]] = {
    "revoked": (lambda keyring, prefix: keyring.change(prefix, revoked_at=NOW), Code.KEY_REVOKED),
    "locked": (lambda keyring, prefix: keyring.change(prefix, locked_at=NOW), Code.KEY_LOCKED),
    "expired": (lambda keyring, prefix: keyring.change(prefix, expires_at=NOW), Code.KEY_EXPIRED),
    "owner disabled": (lambda keyring, prefix: keyring.change_owner(prefix, disabled_at=NOW), Code.OWNER_INACTIVE),
    "scopes": (lambda keyring, prefix: keyring.change(prefix, scopes=()), Code.FORBIDDEN_SCOPE),
    "environment": (lambda keyring, prefix: keyring.change(prefix, environment="test"), Code.FORBIDDEN_ENVIRONMENT),
    "addresses": (lambda keyring, prefix: keyring.change(prefix, allowed_ips=("192.0.2.9/32",)), Code.FORBIDDEN_IP),
}
ASKED = (["read"], "live", "192.0.2.1", "acme")


def remembered(refresh_seconds: int) -> tuple[Memory, Timer, Verifier, str, str]:
    """A key that was proven at second 0."""
    text, record = mint(owner("acme"), scopes=("read",))
    timer, keyring = Timer(), Memory(record)
    keyring.profile = profile(verification={"refresh_seconds": refresh_seconds})
    one = timer.verifier(keyring)
    assert one.verify(text, *ASKED)
    return keyring, timer, one, text, record.key.prefix


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_takes_effect_within_refresh_seconds(change: str, computed: list[str]):
    keyring, timer, one, text, prefix = remembered(5)
    happen, code = CHANGES[change]

    happen(keyring, prefix)

    timer.seconds = 4.9
    assert one.verify(text, *ASKED)
    timer.seconds = 5.0
    assert one.verify(text, *ASKED).code is code
    assert len(computed) == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("refresh_seconds", [0, 3600])
def test_a_change_takes_effect_at_once(change: str, refresh_seconds: int, computed: list[str]):
    keyring, _, one, text, prefix = remembered(refresh_seconds)
    happen, code = CHANGES[change]

    happen(keyring, prefix)
    if refresh_seconds:
        one.invalidate()

    assert one.verify(text, *ASKED).code is code
    assert len(computed) == 1


def test_an_expiry_that_was_known_takes_effect_to_the_moment():
    text, record = mint(expires_at=NOW + SECOND)
    timer = Timer()
    one = timer.verifier(Memory(record))
    assert one.verify(text)

    for timer.seconds, code in ((0.999, Code.VALID), (1.0, Code.KEY_EXPIRED)):
        assert one.verify(text).code is code


def test_a_store_out_of_reach_refuses_as_soon_as_what_is_known_is_too_old():
    keyring, timer, one, text, _ = remembered(5)
    unknown = FORMAT.generate(1, env="live")[0].text

    keyring.broken = True

    timer.seconds = 4.9
    assert one.verify(text, *ASKED)
    timer.seconds = 5.0
    for presented in (text, unknown, other_secret(text)):
        with pytest.raises(StoreUnavailable):
            one.verify(presented, *ASKED)
    keyring.broken = False
    assert one.verify(text, *ASKED)


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 0.5, 0.999, 1.0, 1.5, 3.0])),
    st.tuples(st.sampled_from(["verify", "verify", "revoke", "invalidate", "rehash", "look up again"]), st.just(0.0)),
    # Another process revokes it, or looks everything up again, just after the look-up, and the hash takes its time.
    st.tuples(
        st.sampled_from(["revoke meanwhile", "invalidate meanwhile", "both meanwhile"]),
        st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    ),
)


@settings(max_examples=300)
@given(refresh_seconds=st.sampled_from([0, 1, 2]), steps=st.lists(STEPS, max_size=30))
def test_no_interleaving_accepts_a_key_later_than_promised(refresh_seconds: int, steps: list[tuple[str, float]]):
    text, record = PROPERTY_KEY
    prefix, timer, keyring = record.key.prefix, Timer(), Memory(record)
    keyring.profile = REFRESHED[refresh_seconds]
    one = timer.verifier(keyring, cache_size=1)
    ended: list[float] = []
    invalidated: list[float] = []

    def revoke() -> None:
        keyring.change(prefix, revoked_at=NOW)
        ended.append(timer.seconds)

    def invalidate() -> None:
        one.invalidate()
        invalidated.extend([timer.seconds] if ended else [])

    for step, seconds in steps:
        begun_after_end, begun = bool(ended), timer.seconds
        promised_at_once = bool(invalidated)
        if step == "wait":
            timer.seconds += seconds
        elif step == "revoke":
            revoke()
        elif step == "invalidate":
            invalidate()
        elif step == "rehash":
            keyring.change(prefix, phc=OTHER_HASH)
        else:
            if step.endswith("meanwhile"):
                begun_by = {"revoke": [revoke], "invalidate": [invalidate], "both": [invalidate, revoke]}
                passing = lambda seconds=seconds: setattr(timer, "seconds", timer.seconds + seconds)  # noqa: E731
                keyring.after_look_up = [passing, *begun_by[step.split()[0]]]  # the last one first
            accepted = bool(one.verify(text))
            keyring.after_look_up = []
            if begun_after_end and (promised_at_once or begun - ended[0] >= refresh_seconds):
                assert not accepted


PROPERTY_KEY = mint()
OTHER_HASH = CHEAP.hash(PROPERTY_KEY[0])
REFRESHED = {seconds: profile(verification={"refresh_seconds": seconds}) for seconds in (0, 1, 2)}


# ── a flood of wrong secrets ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def slow_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[int]]]:
    """Hashes that wait until they are let go; and how many there were at a time."""
    let_go, running, at_a_time, lock = threading.Event(), [0], [], threading.Lock()
    compute = hashing.verify_secret

    def slow(*args: Any) -> bool:
        with lock:
            running[0] += 1
            at_a_time.append(running[0])
        let_go.wait(20)
        with lock:
            running[0] -= 1
        return compute(*args)

    monkeypatch.setattr(hashing, "verify_secret", slow)
    yield let_go, at_a_time
    let_go.set()


def test_a_flood_of_wrong_secrets_is_bounded_and_good_keys_are_answered_meanwhile(
    slow_hashes: tuple[threading.Event, list[int]],
):
    let_go, at_a_time = slow_hashes
    cores = os.cpu_count() or 1
    text, record = mint()
    one = Verifier(Memory(record), clock=lambda: NOW, max_wait=0.2)
    let_go.set()
    assert one.verify(text)
    let_go.clear()
    at_a_time.clear()

    with ThreadPoolExecutor(cores + 4) as pool:
        flood = [pool.submit(one.verify, other_secret(text)) for _ in range(cores + 4)]
        while len(at_a_time) < cores:
            time.sleep(0.005)
        assert one.verify(text)
        while sum(each.done() for each in flood) < 4:
            time.sleep(0.005)
        errors = [each.exception() for each in flood if each.done()]
        let_go.set()

    assert {type(error) for error in errors} == {VerifierBusy}
    assert sum(each.exception() is None for each in flood) == cores
    assert max(at_a_time) == cores
    assert (VerifierBusy.exit_code, VerifierBusy.code) == (5, "VERIFIER_BUSY")


def test_wrong_secrets_are_counted_by_prefix_and_the_count_is_bounded():
    minted = [mint() for _ in range(3)]
    one = Verifier(Memory(*(record for _, record in minted)), clock=lambda: NOW, cache_size=2)

    for text, _ in minted:
        one.verify(text)
        for _ in range(3):
            one.verify(other_secret(text))
    one.verify(FORMAT.generate(1, env="live")[0].text)
    one.verify("nonsense")

    assert one.wrong_secrets() == {record.key.prefix: 3 for _, record in minted[:2]}


# ── over a real store ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = new_store(tmp_path / "keys.db")
    yield opened
    opened.store.close()


def over(opened: Opened, **options: Any) -> Any:
    return closing(Verifier.from_store(str(opened.path), **options))


def copy_with_revoked(opened: Opened, minted: Minted) -> Path:
    """Return a copy of the store's file in which this key is revoked."""
    path = Path(shutil.copy(opened.path, opened.path.with_name("later.db")))
    later = Opened(Store(StoreLocation.of_file(path)), opened.clock)
    later.admin.revoke(Selection.named(minted.record.key.prefix))
    later.store.close()
    return path


def test_many_threads_share_a_verifier(opened: Opened, computed: list[str]):
    opened.owners.add(NewOwner("acme"))
    minted = opened.mint(owner="acme", count=8, scopes=["read"])
    with over(opened) as one, ThreadPoolExecutor(16) as pool:
        texts = [each.text for each in minted] * 40
        decisions = list(pool.map(lambda text: one.verify(text, scopes=["read"], resource_owner="acme"), texts))

        assert all(decisions)
        assert [each.record.key.prefix for each in decisions] == [text.rpartition("_")[0] for text in texts]
        opened.admin.revoke(Selection.named(*[each.record.key.id for each in minted]))
        one.invalidate()
        codes = {each.code for each in pool.map(one.verify, texts)}

    assert codes == {Code.KEY_REVOKED}
    assert len(computed) < 8 * 16 + 1


def test_a_changed_profile_is_followed(opened: Opened):
    [minted] = opened.mint(scopes=["read"])
    timer = Timer()
    with over(opened, clock=timer.now, timer=timer) as one:
        timer.seconds = 0.9
        assert one.verify(minted.text, scopes=["read"])
        changed = document(scopes={"list": {"read": {"plans": ["gold"]}}}, plans={"gold": {}})
        ProfileAdmin(opened.store, ACTOR, clock=opened.clock).apply(read_profile(changed, source="test"))

        timer.seconds = 1.5  # the key itself was looked up less than a second ago

        assert one.verify(minted.text, scopes=["read"]).code is Code.FORBIDDEN_SCOPE


def test_a_store_that_is_moved_away_and_back_is_found_again(opened: Opened):
    [minted] = opened.mint()
    timer = Timer()
    away = opened.path.with_name("away.db")
    with over(opened, clock=timer.now, timer=timer) as one:
        assert one.verify(minted.text)

        opened.path.rename(away)
        for timer.seconds in (1.0, 2.0):
            with pytest.raises(StoreUnavailable):
                one.verify(minted.text)
        away.rename(opened.path)

        assert one.verify(minted.text)


@pytest.mark.parametrize("invalidated", [False, True])
def test_another_store_in_its_place_counts_within_the_refresh_time(opened: Opened, invalidated: bool):
    [minted] = opened.mint()
    later = copy_with_revoked(opened, minted)
    timer = Timer()
    with over(opened, clock=timer.now, timer=timer) as one:
        timer.seconds = 0.8  # what is looked up now would be used until 1.8
        assert one.verify(minted.text)

        later.replace(opened.path)
        if invalidated:
            one.invalidate()
        else:
            timer.seconds = 1.0

        assert one.verify(minted.text).code is Code.KEY_REVOKED


def test_no_thread_continues_while_a_change_is_noticed_and_not_yet_counted(opened: Opened):
    [minted] = opened.mint()
    later = copy_with_revoked(opened, minted)
    timer = Timer()
    answers: list[Code] = []
    meanwhile = threading.Thread(target=lambda: answers.append(one.verify(minted.text).code))

    class Watched(SqliteReader):
        def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:
            changed = super().refresh(now, deadline=deadline)
            if changed:
                meanwhile.start()
                meanwhile.join(0.2)  # it waits for us, or goes on with what was looked up before
            return changed

    with closing(Verifier(Watched(opened.path), clock=timer.now, timer=timer)) as one:
        timer.seconds = 0.95
        assert one.verify(minted.text)
        later.replace(opened.path)
        timer.seconds = 1.0

        answers.append(one.verify(minted.text).code)
        meanwhile.join()

    assert answers == [Code.KEY_REVOKED] * 2


def test_a_store_opened_long_before_is_read_again(opened: Opened):
    [minted] = opened.mint()
    later = copy_with_revoked(opened, minted)
    reader = SqliteReader(opened.path)
    later.replace(opened.path)

    timer = Timer()
    timer.seconds = 1.0

    with closing(Verifier(reader, clock=timer.now, timer=timer, opened=0.0)) as one:
        assert one.verify(minted.text).code is Code.KEY_REVOKED


def test_a_file_that_is_put_in_the_stores_place_is_never_half_read(opened: Opened, tmp_path: Path):
    [minted] = opened.mint()
    timer = Timer()
    with over(opened, clock=timer.now, timer=timer) as one:
        assert one.verify(minted.text)
        opened.store.close()
        strange = tmp_path / "strange.db"
        strange.write_bytes(opened.path.read_bytes().replace(b'"scheme"', b'"schema"'))

        strange.replace(opened.path)

        for timer.seconds in (1.0, 2.0, 3.0):
            with pytest.raises(StoreUnavailable):
                one.verify(minted.text)


def test_a_disabled_owner_stops_a_key_that_was_proven(opened: Opened):
    opened.owners.add(NewOwner("acme"))
    [minted] = opened.mint(owner="acme")
    with over(opened) as one:
        assert one.verify(minted.text)

        opened.owners.disable("acme")
        one.invalidate()

        assert one.verify(minted.text).code is Code.OWNER_INACTIVE


def test_the_example_in_the_documentation_runs(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(opened.path.parent)
    [minted] = opened.mint(scopes=["read"])

    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    [example] = finder.find(keyctl.verifier, globs={"key": minted.text})
    runner.run(example)

    assert runner.summarize(verbose=False).attempted >= 4
    assert runner.failures == 0


def test_the_package_says_that_it_is_typed():
    assert (Path(keyctl.__file__).parent / "py.typed").is_file()
