"""Comparing a description with a store: which steps there are, and that none is left once they are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.desired.description import parse_description
from keyctl.desired.export import export
from keyctl.desired.plan import DELIVERY_TIME, Existing, KeyStep, OwnerStep, Plan, make_plan
from keyctl.models import Key, Owner
from keyctl.networks import parse_networks
from keyctl.profiles.files import load_profile
from tests.fuzzing import examples
from tests.samples import NOW

PROFILE = load_profile("standard")
ACME = Owner("own_1", "acme", "Acme", "account", None, None, {}, NOW, "jo")
SUB = replace(ACME, id="own_2", handle="sub", name=None, parent_id="own_1")
CI = Key(
    id="key_1",
    prefix="kc_test_ci",
    phc="",
    name="ci",
    owner_id="own_1",
    environment="test",
    scopes=("read",),
    allowed_ips=("10.0.0.0/8",),
    metadata={"team": "x"},
    created_at=NOW - timedelta(days=10),
    created_by="jo",
    lineage="key_1",
    delivered_at=NOW,
    expires_at=NOW + timedelta(days=80),
)
STORE = Existing((ACME, SUB), (CI,))
KEY = '[[keys]]\nname = "ci"\nowner = "acme"\nenvironment = "test"\n'


def planned(text: str, existing: Existing = STORE, **how: Any) -> Plan:
    return make_plan(PROFILE, parse_description(text.encode(), "x.toml"), existing, now=NOW, **how)


def differences(step: KeyStep | OwnerStep) -> dict[str, tuple[str | None, str | None]]:
    return {one.field: (one.old, one.new) for one in step.differences}


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ("", None),
        ('scopes = ["read"]', None),
        ('scopes = ["read", "write"]', {"scopes": ("read", "read, write")}),
        ("scopes = []", {"scopes": ("read", "none")}),
        ('expires = "90d"', None),
        ('expires = "2026-09-19T12:00:00Z"', None),
        ("expires = 2026-09-19T13:00:00+01:00", None),
        ('expires = "never"', {"expires": ("2026-09-19T12:00:00Z", "never")}),
        ('expires = "11d"', {"expires": ("2026-09-19T12:00:00Z", "2026-07-02T12:00:00Z")}),
        ('allowed_ips = ["10.0.0.0/8"]', None),
        ("allowed_ips = []", {"allowed_ips": ("10.0.0.0/8", "any")}),
        ('metadata = {team = "x", gone = ""}', None),
        ('metadata = {team = "", new = "y"}', {"metadata.team": ("x", None), "metadata.new": (None, "y")}),
        ("locked = false", None),
        ("locked = true", {"locked": ("false", "true")}),
    ],
)
def test_what_is_described_of_a_key_is_compared(fields: str, changed: dict[str, Any] | None):
    plan = planned(KEY + fields)

    assert plan.faults == ()
    assert [differences(step) for step in plan.changes] == ([] if changed is None else [changed])
    assert (plan.new_keys, plan.undescribed) == ((), ())


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ('handle = "acme"', None),
        ('handle = "acme"\nname = "Acme"\nkind = "account"\nparent = ""', None),
        ('handle = "acme"\nname = ""', {"name": ("Acme", None)}),
        ('handle = "acme"\ndisabled = true', {"disabled": ("false", "true")}),
        ('handle = "sub"\nparent = "acme"', None),
        ('handle = "sub"\nparent = ""', {"parent": ("acme", None)}),
        (
            'handle = "new"\nname = "N"\nparent = "sub"',
            {"kind": (None, "account"), "name": (None, "N"), "parent": (None, "sub")},
        ),
    ],
)
def test_what_is_described_of_an_owner_is_compared(fields: str, changed: dict[str, Any] | None):
    plan = planned(f"[[owners]]\n{fields}")

    assert plan.faults == ()
    assert [differences(step) for step in plan.owners] == ([] if changed is None else [changed])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[owners]]\nhandle = "acme"\nkind = "agency"', 'owners[0]: the owner acme exists, and its kind is "account"'),
        ('[[owners]]\nhandle = "a"\nkind = "acount"', 'owners[0]: unknown kind of owner "acount"'),
        ('[[owners]]\nhandle = "a"\nplan = "gold"', 'owners[0]: unknown plan "gold"'),
        ('[[owners]]\nhandle = "a"\nattributes = {x = 1}', 'owners[0]: an account has no attribute "x"'),
        ('[[owners]]\nhandle = "a"\nparent = "b"', 'owners[0].parent: no owner "b" here or in the store'),
        ('[[owners]]\nhandle = "a"\nparent = "a"', "owners[0].parent: a would be its own ancestor"),
        ('[[keys]]\nname = "a"\nowner = "nobody"', 'keys[0].owner: no owner "nobody" here or in the store'),
        ('[[keys]]\nname = "a"\nenvironment = "tset"', 'keys[0].environment: unknown environment "tset"'),
        ('[[keys]]\nname = "a"\nscopes = ["raed"]', 'keys[0].scopes: unknown scope "raed"'),
        (KEY + KEY, "keys[1]: acme/ci (test) is described in keys[0] already"),
        (
            '[[keys]]\nname = "a"\n[[keys]]\nname = "a"\nenvironment = "live"',
            "keys[1]: a (live) is described in keys[0]",
        ),
        (KEY + 'expires = "9d"', "keys[0].expires: 2026-06-30T12:00:00Z is in the past, and kc_test_ci is valid"),
    ],
)
def test_what_the_profile_or_the_store_contradicts_is_a_fault(text: str, fault: str):
    [found] = planned(text).faults

    assert found.startswith(fault)


def test_every_fault_is_found_at_once():
    text = '[[owners]]\nhandle = "a"\nplan = "x"\n[[keys]]\nname = "k"\nscopes = ["x"]\nowner = "b"\n[[keys]]\nname = 1'

    assert len(planned(text).faults) == 4


def test_keys_of_one_name_in_two_environments_are_two():
    plan = planned(KEY + KEY.replace('"test"', '"live"'))

    assert [(step.environment, step.owner) for step in plan.new_keys] == [("live", "acme")]


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        ({"replaced_by": "key_2"}, 1),  # its successor was revoked
        ({"delivered_at": None}, 1),
        ({"locked_at": NOW}, 0),
    ],
    ids=str,
)
def test_a_key_counts_if_it_is_the_current_one_and_was_delivered(changed: dict[str, Any], steps: int):
    existing = Existing((ACME,), (replace(CI, **changed),))

    plan = planned(KEY, existing)

    assert len(plan.new_keys) == steps
    assert len(plan.undescribed) == steps


def test_a_new_key_that_is_not_delivered_yet_is_waited_for_and_not_for_ever():
    new = replace(CI, delivered_at=None, created_at=NOW - DELIVERY_TIME + timedelta(seconds=1))

    waiting = planned(KEY, Existing((ACME,), (new,)))
    later = planned(KEY, Existing((ACME,), (replace(new, created_at=NOW - DELIVERY_TIME),)))

    assert (len(waiting.conflicts), waiting.size) == (1, 0)
    assert "kc_test_ci is being delivered as acme/ci (test) by another process" in waiting.conflicts[0]
    assert (len(later.conflicts), len(later.new_keys)) == (0, 1)


def test_two_live_keys_of_one_name_are_a_conflict():
    existing = Existing((ACME,), (CI, replace(CI, id="key_2", prefix="kc_test_other", lineage="key_2")))

    assert planned(KEY, existing).conflicts == (
        "keys[0]: 2 live keys are called acme/ci (test): kc_test_ci, kc_test_other",
    )


def test_what_a_described_key_was_rotated_from_is_not_pruned():
    old = replace(CI, id="key_0", prefix="kc_test_old", replaced_by="key_1")
    existing = Existing((ACME,), (old, replace(CI, replaces="key_0")))

    plan = planned(KEY, existing, prune=True)

    assert plan.size == 0
    assert [one.prefix for one in planned("", existing, prune=True).revocations] == ["kc_test_old", "kc_test_ci"]


def test_a_key_that_has_expired_as_described_is_not_minted_again():
    plan = planned('[[keys]]\nname = "old"\nexpires = "2026-01-01"')

    assert plan.size == 0
    assert [one.name for one in plan.expired] == ["old"]


def test_parents_come_before_their_children_in_any_order_of_the_file():
    text = "".join(
        f'[[owners]]\nhandle = "{one}"\nparent = "{above}"\n' for one, above in ["dc", "cb", "ba", ("a", "")]
    )

    assert [step.described.handle for step in planned(text).owners] == ["a", "b", "c", "d"]


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from(["a", "b", 'quote " and \\', "ünï", "x\u200dy", "= [#]"])
EXPIRIES = st.sampled_from([None, NOW + timedelta(days=1), NOW + timedelta(milliseconds=1)])


@st.composite
def stores(draw: st.DrawFn) -> Existing:
    owners = (replace(ACME, name=draw(st.none() | NAMES)), replace(SUB, disabled_at=draw(st.none() | st.just(NOW))))
    keys = [
        replace(
            CI,
            id=f"key_{i}",
            prefix=f"kc_test_{i}",
            lineage=f"key_{i}",
            name=draw(st.none() | NAMES),
            owner_id=draw(st.sampled_from([None, "own_1", "own_2"])),
            environment=draw(st.sampled_from(["live", "test"])),
            scopes=tuple(draw(st.lists(st.sampled_from(["read", "write", "admin"]), unique=True))),
            allowed_ips=parse_networks(draw(st.lists(st.sampled_from(["10.0.0.0/8", "::1/128"]), unique=True))),
            metadata=draw(st.dictionaries(st.sampled_from(["a", "b.c"]), NAMES)),
            expires_at=draw(EXPIRIES),
            locked_at=draw(st.none() | st.just(NOW)),
        )
        for i in range(draw(st.integers(0, 5)))
    ]
    return Existing(owners, tuple(keys))


@examples(15, 3000)
@given(stores())
def test_a_store_is_as_its_own_description_says(existing: Existing):
    plan = planned(export(existing, now=NOW).text, existing)

    assert (plan.faults, plan.conflicts, plan.size) == ((), (), 0)
    names = [(key.owner_id, key.environment, key.name) for key in existing.keys]
    assert {one.prefix for one in plan.undescribed} == {
        key.prefix for key, name in zip(existing.keys, names, strict=True) if key.name is None or names.count(name) > 1
    }


@examples(15, 3000)
@given(stores(), stores())
def test_a_step_for_each_field_that_differs_leads_to_the_description(existing: Existing, wanted: Existing):
    text = export(wanted, now=NOW).text
    plan = planned(text, existing)
    if plan.conflicts:  # two keys of a name that is described
        return

    changed = {step.key_id: step for step in plan.changes}
    wanted_keys = {key.prefix: key for key in wanted.keys}
    described = {(key.owner_id, key.environment, key.name): key for key in wanted_keys.values()}
    keys = tuple(
        _like(key, described[key.owner_id, key.environment, key.name], key.metadata) if key.id in changed else key
        for key in existing.keys
    )
    again = planned(text, Existing(wanted.owners, keys))

    assert (again.owners, again.changes) == ((), ())


def _like(key: Key, other: Key, metadata: Mapping[str, str]) -> Key:
    return replace(
        key,
        scopes=other.scopes,
        expires_at=other.expires_at,
        allowed_ips=other.allowed_ips or key.allowed_ips,
        metadata={**metadata, **other.metadata},
        locked_at=other.locked_at or key.locked_at,
    )
