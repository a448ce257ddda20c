"""Applying descriptions to the stores of every built-in profile, and what an interruption or another process leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyctl.admin.apply import Applier, read_existing
from keyctl.admin.keys import ScopeChange
from keyctl.desired.description import DescriptionInvalid, parse_description
from keyctl.desired.export import export
from keyctl.desired.plan import DELIVERY_TIME, Plan
from keyctl.errors import NotDelivered, Refused
from keyctl.store.selection import Selection
from tests.stores import ACTOR, Kept, Opened, new_store

PLATFORMS = {
    "standard": '[[keys]]\nname = "a"\nowner = "b"\n[[owners]]\nhandle = "b"\nparent = "c"\n[[owners]]\nhandle = "c"\n',
    "vantax": '[[owners]]\nhandle = "sub"\nkind = "sub-account"\nparent = "top"\n'
    '[[owners]]\nhandle = "top"\nkind = "agency"\n'
    '[[keys]]\nname = "a"\nowner = "top"\n[[keys]]\nname = "a"\nowner = "sub"\nscopes = ["SUB-ACCOUNT"]\n',
    "vantaprism": '[[owners]]\nhandle = "c"\nplan = "ultra"\nattributes = {allowed_origins = ["https://b.example"]}\n'
    '[[keys]]\nname = "a"\nowner = "c"\nscopes = ["infection-analysis", "view:cookies"]\nexpires = "30d"\n',
    "vexa": '[[keys]]\nname = "a"\nscopes = ["tx"]\n[[owners]]\nhandle = "jo@example.com"\n[[keys]]\n'
    'name = "a"\nowner = "jo@example.com"\nscopes = ["bot"]\n',
    "voxpria": '[[owners]]\nhandle = "c"\nplan = "enterprise"\nattributes = {limits = ["5000/1h", "100/1m"]}\n'
    '[[keys]]\nname = "a"\nowner = "c"\n',
    "ventryx": '[[owners]]\nhandle = "c"\n[[keys]]\nname = "a"\nowner = "c"\nexpires = "30d"\nlocked = true\n',
}
KEYS = '[[keys]]\nname = "a"\n[[keys]]\nname = "b"\n[[keys]]\nname = "c"\n'


def plan(opened: Opened, text: str, *, prune: bool = False) -> Plan:
    return applier(opened).plan(parse_description(text.encode(), "keys.toml"), prune=prune)


def apply(opened: Opened, text: str, *, prune: bool = False) -> None:
    found = plan(opened, text, prune=prune)
    applier(opened).carry_out(parse_description(text.encode(), "keys.toml"), found, lambda _: Kept())


def applier(opened: Opened) -> Applier:
    return Applier(opened.store, ACTOR, "keys.toml", clock=opened.clock)


def exported(opened: Opened) -> str:
    with opened.store.read() as connection:
        return export(read_existing(connection, now=opened.clock()), now=opened.clock()).text


def live(opened: Opened) -> list[str]:
    """Return the names of the live keys, in order."""
    with opened.store.read() as connection:
        return sorted(key.name or "" for key in read_existing(connection, now=opened.clock()).keys)


@pytest.mark.parametrize("profile", PLATFORMS)
def test_a_store_of_every_profile_can_be_described_and_made_elsewhere(profile: str, tmp_path: Path):
    one, other = (new_store(tmp_path / f"{name}.db", profile) for name in ("one", "other"))

    apply(one, PLATFORMS[profile])
    text = exported(one)
    apply(other, text)

    assert exported(other) == text
    assert [plan(one, described).size for described in (text, PLATFORMS[profile])] == [0, 0]
    assert [plan(other, described).size for described in (text, PLATFORMS[profile])] == [0, 0]
    assert text.count("[[keys]]") == PLATFORMS[profile].count("[[keys]]")
    for opened in (one, other):
        opened.store.close()


def test_a_key_that_cannot_be_delivered_leaves_the_rest_to_the_next_run(opened: Opened):
    class Full(Kept):
        def hand_over(self) -> None:
            raise OSError(28, "No space left on device")

    description = parse_description(KEYS.encode(), "keys.toml")
    found = plan(opened, KEYS)
    with pytest.raises(NotDelivered):
        applier(opened).carry_out(description, found, lambda step: Full() if step.described.name == "b" else Kept())
    assert live(opened) == ["a"]

    apply(opened, KEYS)

    assert live(opened) == ["a", "b", "c"]


def test_a_run_that_was_killed_during_a_delivery_is_completed_after_a_while(opened: Opened):
    class Killed(Kept):
        def hand_over(self) -> None:
            raise SystemExit

        def abandon(self) -> None:
            raise SystemExit  # so that nothing is revoked either

    found = plan(opened, KEYS)
    with pytest.raises(SystemExit):
        applier(opened).carry_out(parse_description(KEYS.encode(), "keys.toml"), found, lambda _: Killed())

    with pytest.raises(Refused, match=r"keys\[0\]: \w+ is being delivered as a \(live\) by another process"):
        plan(opened, KEYS)
    opened.clock.advance(seconds=DELIVERY_TIME.total_seconds())
    apply(opened, KEYS, prune=True)

    assert live(opened) == ["a", "b", "c"]


TEXT = '[[owners]]\nhandle = "acme"\nname = "Acme"\n[[keys]]\nname = "a"\nowner = "acme"\nscopes = ["write"]\n' + KEYS


@pytest.mark.parametrize("change", ["owner", "key", "new key"])
def test_a_plan_that_is_out_of_date_changes_nothing(opened: Opened, change: str):
    [key] = opened.mint(name="a", owner="acme", scopes=["read"])
    found = plan(opened, TEXT)
    if change == "owner":
        opened.owners.update("acme", name="Other")
    elif change == "key":
        opened.admin.scope(Selection.named(key.record.key.id), ScopeChange(only=["admin"]))
    else:
        opened.mint(name="c")
    before = exported(opened)

    with pytest.raises(Refused, match="was changed by another process since it was compared"):
        applier(opened).carry_out(parse_description(TEXT.encode(), "x"), found, lambda _: Kept())

    assert exported(opened) == before


def test_a_change_of_what_is_not_described_is_not_in_the_way(opened: Opened):
    [key] = opened.mint(name="a", owner="acme", scopes=["read"])
    found = plan(opened, TEXT)
    opened.admin.expire(Selection.named(key.record.key.id), "30d")

    applier(opened).carry_out(parse_description(TEXT.encode(), "x"), found, lambda _: Kept())

    assert 'scopes = ["write"]\nexpires = "2026-01-31T12:00:00Z"' in exported(opened)


def test_a_plan_is_checked_in_a_transaction_that_is_rolled_back(opened: Opened):
    opened.mint(name="a", scopes=["read"])
    before = exported(opened)

    found = plan(
        opened, '[[owners]]\nhandle = "new"\n[[keys]]\nname = "a"\nscopes = []\n[[keys]]\nname = "b"', prune=True
    )

    assert found.size == 3
    assert exported(opened) == before
    with pytest.raises(DescriptionInvalid) as error:
        plan(opened, '[[keys]]\nname = "b"\nowner = "no"\nscopes = ["raed"]')
    assert len(error.value.faults) == 2
