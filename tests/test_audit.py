from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.audit import (
    GENESIS,
    History,
    chain,
    key_entry,
    key_state,
    new_owner_entry,
    owner_entry,
    owner_state,
    phc_digest,
    rehashed_entry,
    settings_detail,
)
from keyctl.models import Actor, Event, EventContent, Key, Owner
from tests.samples import NOW, key, owner

ROOT = Actor("root@host", "jane")
SETTINGS = {"profile": '{"name":"standard"}', "hash": '{"scheme":"argon2id"}'}
OWNER = owner("acme")
KEY = key(id="key_1", prefix="kc_live_aaaaaaaaaaaa", owner_id=OWNER.id, scopes=("read",))
OTHER = key(id="key_2", prefix="kc_live_bbbbbbbbbbbb", name="other")

# A small history: a store is made, with an owner and two keys; one is locked, the other revoked.
STEPS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("store.created", None, {"settings": {name: phc_digest(value) for name, value in SETTINGS.items()}}),
    ("owner.added", None, {"owner": {"id": OWNER.id, "set": owner_state(OWNER)}}),
    ("key.minted", "for the team", {"keys": [key_entry(KEY)], "set": key_state(KEY)}),
    ("key.minted", None, {"keys": [key_entry(OTHER)], "set": key_state(OTHER)}),
    ("key.locked", "abuse", {"keys": [key_entry(KEY, {"locked_at": NOW})], "set": {}}),
    ("key.revoked", None, {"keys": [key_entry(OTHER)], "set": {"revoked_at": 1782907200000, "revoked_reason": "x"}}),
]
LOCKED = replace(KEY, locked_at=NOW)
REVOKED = replace(OTHER, revoked_at=NOW, revoked_reason="x")


def events_of(steps: Sequence[tuple[str, str | None, dict[str, Any]]] = STEPS) -> list[Event]:
    made: list[Event] = []
    for i, (action, reason, detail) in enumerate(steps):
        made.append(
            chain(
                made[-1].hash if made else GENESIS,
                i + 1,
                EventContent(NOW + timedelta(seconds=i), ROOT, action, reason, json.loads(json.dumps(detail))),
            )
        )
    return made


EVENTS = events_of()
HEAD = (EVENTS[-1].seq, EVENTS[-1].hash)


def first_fault(events: Sequence[Event], head: tuple[int, str] = HEAD) -> str | None:
    history = History()
    return next((fault for event in events if (fault := history.follow(event))), None) or history.check_head(*head)


def replayed() -> History:
    history = History()
    for event in EVENTS:
        assert history.follow(event) is None
    return history


# ── the chain ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_untouched_history_has_no_fault():
    assert first_fault(EVENTS) is None


def test_the_hash_is_the_sha256_of_the_hash_before_and_the_events_canonical_json():
    event = chain(GENESIS, 7, EventContent(NOW, ROOT, "a.b", None, {"z": [1], "a": "é"}))
    body = (
        '["keyctl-audit-v1","' + "0" * 64 + '",7,1782907200000,"root@host","jane","a.b",null,{"a":"\\u00e9","z":[1]}]'
    )

    assert event.hash == sha256(body.encode()).hexdigest()
    assert event.hash == "155452f0f79213a7f24a1d7d8165bd696247eaf597dd23965bedcd4083768c1b"


def test_the_order_of_a_details_keys_does_not_matter():
    first = chain(GENESIS, 1, EventContent(NOW, ROOT, "a", None, {"a": 1, "b": 2}))
    second = chain(GENESIS, 1, EventContent(NOW, ROOT, "a", None, {"b": 2, "a": 1}))

    assert first.hash == second.hash


ALTERATIONS: dict[str, Callable[[Event], Event]] = {
    "seq": lambda event: replace(event, seq=event.seq + 1),
    "at, by a millisecond": lambda event: replace(event, at=event.at + timedelta(milliseconds=1)),
    "actor": lambda event: replace(event, actor=replace(event.actor, user="toor@host")),
    "claimed actor": lambda event: replace(event, actor=replace(event.actor, claimed="john")),
    "claimed actor dropped": lambda event: replace(event, actor=replace(event.actor, claimed=None)),
    "actors exchanged": lambda event: replace(event, actor=Actor("jane", "root@host")),
    "action": lambda event: replace(event, action=event.action + "x"),
    "action and reason run together": lambda event: replace(
        event, action=f"{event.action}{event.reason or ''}", reason=None if event.reason else ""
    ),
    "reason": lambda event: replace(event, reason="another"),
    "reason empty": lambda event: replace(event, reason=""),
    "detail emptied": lambda event: replace(event, detail={}),
    "detail with more": lambda event: replace(event, detail=dict(event.detail) | {"more": None}),
    "detail in another case": lambda event: replace(
        event, detail=json.loads(json.dumps(event.detail).upper().replace("NULL", "null"))
    ),
    "previous hash": lambda event: replace(event, previous_hash="f" * 64),
    "hash": lambda event: replace(event, hash="f" * 64),
    "hash in capitals": lambda event: replace(event, hash=event.hash.upper()),
}


def test_every_field_of_an_event_is_altered_somewhere_below():
    altered = {
        field.name
        for change in ALTERATIONS.values()
        for field in fields(Event)
        if getattr(change(EVENTS[2]), field.name) != getattr(EVENTS[2], field.name)
    }

    assert altered == {field.name for field in fields(Event)}


@pytest.mark.parametrize("change", ALTERATIONS.values(), ids=ALTERATIONS.keys())
@pytest.mark.parametrize("i", range(len(EVENTS)))
def test_any_field_of_any_event_altered_is_found(i: int, change: Callable[[Event], Event]):
    altered = [*EVENTS[:i], change(EVENTS[i]), *EVENTS[i + 1 :]]
    if altered == EVENTS:
        pytest.fail("nothing was altered")

    assert first_fault(altered)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every single value in a detail."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, inner in below for found in paths(inner, (*path, name))] or [path]


@pytest.mark.parametrize(("i", "path"), [(i, path) for i, event in enumerate(EVENTS) for path in paths(event.detail)])
def test_any_single_value_in_a_detail_altered_is_found(i: int, path: tuple[Any, ...]):
    detail = json.loads(json.dumps(EVENTS[i].detail))
    *above, last = path
    table = detail
    for part in above:
        table = table[part]
    table[last] = "altered"
    altered = [*EVENTS[:i], replace(EVENTS[i], detail=detail), *EVENTS[i + 1 :]]

    assert first_fault(altered) == f"event {i + 1} was altered: its hash does not match its content"


@pytest.mark.parametrize("i", range(len(EVENTS)))
def test_an_event_altered_with_its_hash_breaks_the_next(i: int):
    event = EVENTS[i]
    forged = chain(
        event.previous_hash, event.seq, EventContent(event.at, event.actor, event.action, "forged", event.detail)
    )

    fault = first_fault([*EVENTS[:i], forged, *EVENTS[i + 1 :]])

    assert fault is not None
    assert f"event {i + 2} does not follow" in fault or "head was altered" in fault


@given(st.permutations(EVENTS))
def test_events_in_another_order_are_found(events: list[Event]):
    assert (first_fault(events) is None) is (events == EVENTS)


@given(st.sets(st.integers(0, len(EVENTS) - 1), min_size=1))
def test_events_removed_are_found_at_the_first_gap(removed: set[int]):
    fault = first_fault([event for i, event in enumerate(EVENTS) if i not in removed])

    assert fault is not None
    assert fault.startswith(f"event {min(removed) + 1} is missing")


def test_events_removed_and_numbered_anew_are_found():
    renumbered = [replace(event, seq=i + 1) for i, event in enumerate(EVENTS[:2] + EVENTS[3:])]

    assert "event 3 does not follow the one before it" in (first_fault(renumbered) or "")


def test_an_event_twice_is_found():
    assert first_fault([*EVENTS[:3], EVENTS[2], *EVENTS[3:]])


@pytest.mark.parametrize("length", range(len(EVENTS)))
def test_a_log_cut_short_is_found(length: int):
    fault = first_fault(EVENTS[:length])

    assert fault == f"event {length + 1} is missing: the log should continue to event 6"


def test_a_log_with_more_than_its_head_says_is_found():
    assert "head was altered" in (first_fault(EVENTS, (5, EVENTS[4].hash)) or "")
    assert "head was altered" in (first_fault(EVENTS, (6, "f" * 64)) or "")


# ── rows against the history ─────────────────────────────────────────────────────────────────────────────────────────


def test_rows_as_their_history_says_have_no_fault():
    history = replayed()

    assert history.check_owner(OWNER) is None
    assert history.check_key(LOCKED) is None
    assert history.check_key(REVOKED) is None
    assert [history.check_setting(name, value) for name, value in SETTINGS.items()] == [None, None]
    assert list(history.missing()) == []


ALTERED_KEYS: dict[str, Any] = {
    "prefix": "kc_live_cccccccccccc",
    "phc": OTHER.phc,
    "name": "renamed",
    "owner_id": None,
    "environment": "test",
    "scopes": ("read", "admin"),
    "allowed_ips": ("0.0.0.0/0",),
    "metadata": {"a": "b"},
    "created_at": NOW - timedelta(days=1),
    "created_by": "nobody",
    "delivered_at": NOW,
    "expires_at": NOW + timedelta(days=1),
    "locked_at": None,
    "locked_until": NOW,
    "revoked_at": NOW,
    "revoked_reason": "x",
    "replaces": "key_0",
    "replaced_by": "key_9",
}


def test_every_column_of_a_key_but_its_id_and_last_use_is_altered_below():
    assert ALTERED_KEYS.keys() == {field.name for field in fields(Key)} - {"id", "last_used_at"}


@pytest.mark.parametrize(("name", "value"), ALTERED_KEYS.items(), ids=ALTERED_KEYS.keys())
def test_a_key_altered_in_one_column_is_found(name: str, value: object):
    fault = replayed().check_key(replace(LOCKED, **{name: value}))

    assert fault is not None
    assert "key_1" in fault
    assert LOCKED.phc not in fault
    assert OTHER.phc not in fault


def test_a_revocation_undone_is_found():
    fault = replayed().check_key(replace(REVOKED, revoked_at=None))

    assert fault is not None
    assert fault.endswith("was altered outside keyctl: revoked_at is null, and should be 1782907200000")


def test_recording_use_is_no_alteration():
    assert replayed().check_key(replace(LOCKED, last_used_at=NOW)) is None


def test_a_hash_copied_from_another_row_is_found():
    assert "the hash of key" in (replayed().check_key(replace(LOCKED, phc=REVOKED.phc)) or "")


ALTERED_OWNERS: dict[str, Any] = {
    "handle": "emca",
    "name": "renamed",
    "kind": "agency",
    "parent_id": "own_above",
    "plan": "ultra",
    "attributes": {"seats": 5},
    "created_at": NOW - timedelta(days=1),
    "created_by": "nobody",
    "disabled_at": NOW,
}


def test_every_column_of_an_owner_but_its_id_is_altered_below():
    assert ALTERED_OWNERS.keys() == {field.name for field in fields(Owner)} - {"id"}


@pytest.mark.parametrize(("name", "value"), ALTERED_OWNERS.items())
def test_an_owner_altered_in_one_column_is_found(name: str, value: object):
    fault = replayed().check_owner(replace(OWNER, **{name: value}))

    assert fault is not None
    assert f"was altered outside keyctl: {name} is " in fault


def test_rows_that_no_event_made_are_found():
    assert "no event created it" in (replayed().check_key(key(id="key_3")) or "")
    assert "no event created it" in (replayed().check_owner(owner("stranger")) or "")


def test_a_row_that_is_there_twice_is_found():
    history = replayed()

    assert history.check_key(LOCKED) is None
    assert "no event created it" in (history.check_key(LOCKED) or "")


def test_rows_that_are_gone_are_found():
    history = replayed()
    history.check_key(LOCKED)

    assert list(history.missing()) == [
        "key kc_live_bbbbbbbbbbbb is in the history, but missing from the store",
        "owner acme is in the history, but missing from the store",
    ]


@pytest.mark.parametrize(("name", "value"), [("profile", "{}"), ("hash", ""), ("unknown", "x")])
def test_an_altered_setting_is_found(name: str, value: str):
    assert replayed().check_setting(name, value) == f"the store's {name} was altered outside keyctl"


# ── what an event has of the state before it ─────────────────────────────────────────────────────────────────────────


def fault_after(action: str, detail: dict[str, Any]) -> str | None:
    """Return what is wrong with one more event."""
    return first_fault(events_of([*STEPS, (action, None, detail)]), (-1, ""))


OTHER_HASH = replace(KEY, phc=OTHER.phc)


@pytest.mark.parametrize(
    ("action", "detail", "expected"),
    [
        ("key.updated", {"keys": [key_entry(OTHER_HASH, {"name": "x"})]}, 'hash is "'),
        (
            "key.updated",
            {"keys": [key_entry(replace(KEY, prefix="kc_live_x"), {"name": "x"})]},
            'prefix is "kc_live_x"',
        ),
        ("key.unlocked", {"keys": [key_entry(KEY, {"locked_at": None})]}, "locked_at is null"),
        ("key.rehashed", {"keys": [rehashed_entry(OTHER_HASH, "new")]}, 'hash is "'),
        (
            "key.minted",
            {"keys": [key_entry(key(id="key_3"))], "set": key_state(replace(KEY, replaces="key_1", scopes=("admin",)))},
            'scopes is ["admin"], and should be ["read"]',
        ),
    ],
)
def test_an_event_of_a_key_that_was_altered_before_is_found(action: str, detail: dict[str, Any], expected: str):
    fault = fault_after(action, detail)

    assert fault is not None
    assert fault.startswith(f"key {KEY.prefix} was altered outside keyctl before event 7: {expected}")


@pytest.mark.parametrize(
    ("action", "detail", "expected"),
    [
        ("key.minted", {"keys": [key_entry(KEY)], "set": key_state(KEY)}, "creates key kc_live_aaaaaaaaaaaa (key_1)"),
        ("key.locked", {"keys": [key_entry(key(id="key_9"))]}, "changes key"),
        ("owner.added", {"owner": new_owner_entry(OWNER)}, "creates owner acme"),
        ("owner.disabled", {"owner": owner_entry(owner("other"), {"disabled_at": NOW})}, "changes owner other"),
        ("key.locked", {"keys": [{}]}, "was altered: keyctl writes its detail differently"),
        ("key.locked", {"keys": ["key_1"]}, "was altered: keyctl writes its detail differently"),
        ("owner.disabled", {"owner": None}, "was altered: keyctl writes its detail differently"),
    ],
)
def test_an_event_that_does_not_fit_what_exists_is_found(action: str, detail: dict[str, Any], expected: str):
    assert f"event 7 {expected}" in (fault_after(action, detail) or "")


@pytest.mark.parametrize(
    ("action", "detail"),
    [
        ("key.updated", {"keys": [key_entry(LOCKED, {"name": "x"})]}),
        ("key.unlocked", {"keys": [key_entry(LOCKED, {"locked_at": None})]}),
        ("key.rehashed", {"keys": [rehashed_entry(LOCKED, "new")]}),
        ("key.rehashed", {"keys": [key_entry(replace(LOCKED, phc="new"))]}),  # as the first stores have it
        ("owner.disabled", {"owner": owner_entry(OWNER, {"disabled_at": NOW})}),
        ("profile.applied", settings_detail(SETTINGS, {"profile": "{}"})),
        ("admin_token.set", settings_detail(SETTINGS, {"admin_token": "a hash"})),
    ],
)
def test_an_event_of_what_was_not_altered_has_no_fault(action: str, detail: dict[str, Any]):
    assert fault_after(action, detail) == "the log's head was altered: it does not match event 7, the last one"


def test_only_a_rehash_changes_the_hash_that_a_key_should_have():
    history = replayed()
    changed = {"hash": phc_digest("new"), "prefix": "kc_live_x"}
    forged = {"keys": [key_entry(LOCKED) | {"set": changed}], "set": changed}
    event = chain(EVENTS[-1].hash, 7, EventContent(NOW, ROOT, "key.updated", None, forged))

    history.follow(event)

    assert history.check_key(LOCKED) is None


def test_a_setting_that_was_altered_before_an_event_is_found():
    detail = settings_detail({"profile": "{}"}, {"profile": SETTINGS["profile"]})

    assert fault_after("profile.applied", detail) == "the store's profile was altered outside keyctl before event 7"


# ── what never enters it ─────────────────────────────────────────────────────────────────────────────────────────────


def test_no_event_holds_a_stored_hash():
    written = json.dumps([event.detail for event in EVENTS])

    for one in (KEY, OTHER):
        assert one.phc not in written
        assert one.phc.split("$")[-1] not in written
        assert phc_digest(one.phc) in written
        assert "phc" not in key_state(one)
    assert "argon2id$" not in written


def test_a_naive_time_enters_no_event():
    naive = NOW.replace(tzinfo=None)

    with pytest.raises(ValueError, match="naive"):
        chain(GENESIS, 1, EventContent(naive, ROOT, "a", None, {}))
    with pytest.raises(ValueError, match="naive"):
        key_state(key(expires_at=naive))
    with pytest.raises(ValueError, match="naive"):
        key_entry(key(), {"expires_at": naive})
