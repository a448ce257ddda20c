from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.audit import (
    GENESIS,
    chain,
    key_entry,
    key_state,
    new_owner_entry,
    owner_entry,
    phc_digest,
    rehashed_entry,
    settings_detail,
)
from keyctl.history import History
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
    ("owner.added", None, {"owner": new_owner_entry(OWNER)}),
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
    faults = [fault for event in events for fault in history.follow(event)] + history.check_end(head)
    return faults[0] if faults else None


def replayed() -> History:
    history = History()
    for event in EVENTS:
        assert history.follow(event) == []
    return history


# ── the chain ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_untouched_history_has_no_fault():
    assert first_fault(EVENTS) is None


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

    assert history.check_owner(OWNER) == []
    assert history.check_key(LOCKED) == []
    assert history.check_key(REVOKED) == []
    assert [history.check_setting(name, value) for name, value in SETTINGS.items()] == [[], []]
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
    "lineage": "key_0",
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
    [fault] = replayed().check_key(replace(LOCKED, **{name: value}))

    assert "key_1" in fault
    assert LOCKED.phc not in fault
    assert OTHER.phc not in fault


def test_a_revocation_undone_is_found():
    [fault] = replayed().check_key(replace(REVOKED, revoked_at=None))

    assert fault.endswith("was altered outside keyctl: revoked_at is null, and should be 1782907200000")


def test_recording_use_is_no_alteration():
    assert replayed().check_key(replace(LOCKED, last_used_at=NOW)) == []


def test_a_hash_copied_from_another_row_is_found():
    assert "the hash of key" in replayed().check_key(replace(LOCKED, phc=REVOKED.phc))[0]


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
    [fault] = replayed().check_owner(replace(OWNER, **{name: value}))

    assert f"was altered outside keyctl: {name} is " in fault


def test_rows_that_no_event_made_are_found():
    assert "no event created it" in replayed().check_key(key(id="key_3"))[0]
    assert "no event created it" in replayed().check_owner(owner("stranger"))[0]


def test_a_row_that_is_there_twice_is_found():
    history = replayed()

    assert history.check_key(LOCKED) == []
    assert "no event created it" in history.check_key(LOCKED)[0]


def test_rows_that_are_gone_are_found():
    history = replayed()
    history.check_key(LOCKED)

    assert list(history.missing()) == [
        "key kc_live_bbbbbbbbbbbb is in the history, but missing from the store",
        "owner acme is in the history, but missing from the store",
    ]


@pytest.mark.parametrize(("name", "value"), [("profile", "{}"), ("hash", ""), ("unknown", "x")])
def test_an_altered_setting_is_found(name: str, value: str):
    assert replayed().check_setting(name, value) == [f"the store's {name} was altered outside keyctl"]


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

    assert history.check_key(LOCKED) == []


def test_a_setting_that_was_altered_before_an_event_is_found():
    detail = settings_detail({"profile": "{}"}, {"profile": SETTINGS["profile"]})

    assert fault_after("profile.applied", detail) == "the store's profile was altered outside keyctl before event 7"


# ── every fault ──────────────────────────────────────────────────────────────────────────────────────────────────────


def faults_of(events: Sequence[Event]) -> list[str]:
    history = History()
    return [fault for event in events for fault in history.follow(event)]


def test_an_altered_event_hides_no_later_fault():
    altered = [replace(event, reason="forged") if event.seq in (2, 5) else event for event in EVENTS]
    altered[3] = replace(altered[3], previous_hash="f" * 64)

    assert faults_of(altered) == [
        "event 2 was altered: its hash does not match its content",
        "event 4 does not follow the one before it: its previous hash differs",
        "event 4 was altered: its hash does not match its content",
        "event 5 was altered: its hash does not match its content",
    ]


def test_what_an_altered_event_sets_is_compared_as_it_is_written():
    history = History()
    events = [replace(event, reason="forged") if event.action == "key.minted" else event for event in EVENTS]

    assert len([fault for event in events for fault in history.follow(event)]) == 2
    assert history.check_key(LOCKED) == []
    assert "name is" in history.check_key(replace(REVOKED, name="altered"))[0]


def test_events_after_a_gap_are_checked():
    events = [*EVENTS[:2], *EVENTS[3:]]

    assert faults_of(events) == [
        "event 3 is missing: event 4 follows event 2",
        "event 5 changes key kc_live_aaaaaaaaaaaa (key_1), which no event created",
    ]


def test_after_an_event_that_cannot_be_read_the_log_continues():
    history = History()
    for event in EVENTS[:4]:
        assert history.follow(event) == []

    assert history.skip(5) == []
    assert history.follow(EVENTS[5]) == []
    assert history.check_end(HEAD) == []


def test_a_gap_before_an_event_that_cannot_be_read_is_found():
    history = History()

    assert history.skip(3) == ["event 1 is missing: event 3 follows event 0"]
    assert history.skip("three") == []


def test_every_key_of_an_event_that_was_altered_before_is_found():
    altered = [key_entry(replace(one, name="altered"), {"name": "x"}) for one in (LOCKED, REVOKED)]

    *_, first, second = faults_of(events_of([*STEPS, ("key.updated", None, {"keys": altered, "set": {}})]))

    assert "key kc_live_aaaaaaaaaaaa was altered outside keyctl before event 7" in first
    assert "key kc_live_bbbbbbbbbbbb was altered outside keyctl before event 7" in second


def test_a_long_value_is_shortened_in_a_fault():
    [fault] = replayed().check_key(replace(LOCKED, name="x" * 10_000))

    assert len(fault) < 400


@pytest.mark.parametrize(
    "detail",
    [
        {"keys": [{"id": "9" * 5000, "prefix": "x", "hash": "y"}], "set": {"replaces": ["x"]}},
        {"keys": None},
        {"keys": [{"id": [], "prefix": "x", "hash": "y"}]},
        {"keys": [{"id": "key_1", "prefix": "x", "hash": "y", "was": 7}]},
        {"settings": ["profile"]},
        {"settings": {}, "was": 7},
        {"owner": {"id": "own_9", "handle": "x", "set": None}},
    ],
)
@pytest.mark.parametrize("action", ["key.minted", "key.updated", "owner.added", "owner.updated"])
def test_a_detail_that_keyctl_does_not_write_is_a_fault_and_the_replay_continues(action: str, detail: dict[str, Any]):
    events = events_of([*STEPS, (action, None, detail), ("key.locked", None, {"keys": [key_entry(LOCKED)]})])

    history = History()
    faults = [fault for event in events for fault in history.follow(event)]

    assert len(faults) == 1
    assert "event 7" in faults[0]
    assert history.check_end((8, events[7].hash)) == []
    assert history.check_key(LOCKED) == []
    assert isinstance(list(history.missing()), list)
