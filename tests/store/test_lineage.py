"""The lineage of a key: the first key of a chain of rotations, whose limits and use its successors share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from keyctl.audit import key_state
from keyctl.history import Checkpoint
from keyctl.models import Key
from keyctl.store import key_pages
from keyctl.store.database import Database
from keyctl.store.integrity import check
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Filters
from keyctl.store.sqlite_reader import SqliteReader
from tests.stores import NOW, Opened, migrate
from tests.tampering import alter

# Each key, and the one that it replaces. In this order: serial ids sort as text. No store that keyctl wrote has a key
# whose predecessor is missing, or a circle.
CHAINS = {
    "9": None,
    "10": "9",
    "11": "10",
    "12": "11",
    "k": None,
    "b": "z",
    "z": None,
    "lost": "gone",
    "x": "y",
    "y": "x",
}
LINEAGES = dict.fromkeys(["9", "10", "11", "12"], "9") | {
    "k": "k",
    "b": "z",
    "z": "z",
    "lost": "gone",
    "x": "x",
    "y": "y",
}


@pytest.fixture
def location(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoreLocation]:
    if database == "postgres":
        yield StoreLocation.parse(request.getfixturevalue("empty_schema"))
    else:
        (tmp_path / "keys.db").touch()
        yield StoreLocation.of_file(tmp_path / "keys.db")


def chain(opened: Opened) -> list[str]:
    """Rotate a key twice; return the ids of the three."""
    [first] = opened.mint(name="first")
    second = opened.rotate(first.record.key.prefix, grace=timedelta(hours=1))
    third = opened.rotate(second.record.key.prefix, grace=timedelta(0))
    return [one.record.key.id for one in (first, second, third)]


def test_an_upgrade_gives_every_key_its_lineage(location: StoreLocation):
    insert = text(
        "insert into keys (id, prefix, phc, environment, scopes, allowed_ips, metadata, created_at, created_by,"
        " replaces) values (:id, :id, '', 'live', '[]', '[]', '{}', 0, 'x', :replaces)"
    )
    with closing(Database(location)) as database:
        database.write(lambda connection: migrate(connection, "0001"))
        rows = [{"id": key_id, "replaces": replaced} for key_id, replaced in CHAINS.items()]
        database.write(lambda connection: connection.execute(insert, rows))

        database.write(lambda connection: migrate(connection, "0002"))

        with database.read() as connection:
            found = dict(connection.execute(text("select id, lineage from keys")).all())
    assert found == LINEAGES


def test_a_key_and_all_its_successors_have_one_lineage(opened: Opened):
    first, second, third = chain(opened)
    [single] = opened.mint()
    several = opened.mint(count=2)

    lineages = {key.id: key.lineage for key in every_key(opened)}

    assert [lineages[one] for one in (first, second, third)] == [first] * 3
    assert lineages[single.record.key.id] == single.record.key.id
    assert all(one.record.key.lineage == one.record.key.id == lineages[one.record.key.id] for one in several)


@pytest.mark.sqlite
def test_every_reader_has_the_lineage_of_a_successor(opened: Opened):
    first, _, third = chain(opened)
    [key] = [key for key in every_key(opened) if key.id == third]

    with closing(SqliteReader(opened.path)) as reader:
        found = reader.find(key.prefix)

    assert found
    assert found.key.lineage == first


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("value", ["''", "'key_other'", "id", "the id of another"])
def test_a_lineage_altered_by_hand_is_found(opened: Opened, which: int, value: str):
    """Or the limits of a key could be counted apart from its predecessor's, or together with another customer's."""
    ids = chain(opened)
    [other] = opened.mint()
    start = checkpoint(opened)
    value = f"'{other.record.key.id}'" if value == "the id of another" else value

    alter(opened, f"update keys set lineage = {value} where id = '{ids[which]}'")

    for resume in (False, True):
        fault = check(opened.store, [start], resume=resume).fault
        if which == 0 and value == "id":
            assert fault is None  # it is that already
        else:
            assert fault
            assert "was altered outside keyctl: lineage is" in fault


def test_a_rotation_of_a_key_whose_lineage_was_altered_is_found(opened: Opened):
    [minted] = opened.mint()
    start = checkpoint(opened)
    prefix = minted.record.key.prefix
    alter(opened, "update keys set lineage = 'key_other'")
    opened.rotate(prefix, grace=timedelta(hours=1))

    alter(opened, f"update keys set lineage = id where prefix = '{prefix}'")

    for resume in (False, True):
        fault = check(opened.store, [start], resume=resume).fault
        assert fault is not None
        assert 'lineage is "key_other", and should be null' in fault


def test_rotations_on_both_sides_of_a_checkpoint_are_intact(opened: Opened):
    ids = chain(opened)
    start = checkpoint(opened)
    opened.rotate(ids[-1], grace=timedelta(0))

    verdict = check(opened.store, [start], resume=True)

    assert verdict.fault is None
    assert verdict.start == start


def test_the_state_of_keys_that_are_minted_together_is_the_same(opened: Opened):
    one, other = (key_state(minted.record.key) for minted in opened.mint(count=2))

    assert one == other
    assert one["lineage"] is None


def checkpoint(opened: Opened) -> Checkpoint:
    return Checkpoint(check(opened.store).position, NOW)


def every_key(opened: Opened) -> list[Key]:
    with opened.store.read() as connection:
        return [record.key for record in key_pages.page(connection, Filters(), now=opened.clock(), limit=None).records]
