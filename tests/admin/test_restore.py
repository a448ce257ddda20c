"""A restore, on either database. Each one ends with a check of the whole store against its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from keyctl.admin.keys import ScopeChange, Update
from keyctl.admin.owners import NewOwner
from keyctl.admin.restore import Restored, open_backup, restore
from keyctl.admin.token import AdminToken
from keyctl.errors import CheckFailed, Refused, StoreUnavailable
from keyctl.models import Key
from keyctl.store import event_search, events, schema
from keyctl.store.backup import back_up
from keyctl.store.copying import copy_store
from keyctl.store.database import Database, Store
from keyctl.store.event_search import EventFilters
from keyctl.store.integrity import check
from keyctl.store.location import StoreLocation
from keyctl.store.new_file import new_file
from keyctl.store.selection import Selection
from tests.stores import ACTOR, Opened, new_store

Change = Callable[[Opened, str], Any]


@pytest.fixture
def prefix(opened: Opened) -> str:
    """A key of an owner below another one, and a second key."""
    opened.owners.add(NewOwner("top"))
    opened.owners.add(NewOwner("below", parent="top", name="Below"))
    [minted] = opened.mint(
        name="ci", owner="below", scopes=["read", "write"], metadata=["team=x"], allowed_ips=["::1"], expires="90d"
    )
    opened.mint(name="other")
    return minted.record.key.prefix


@pytest.fixture
def file(opened: Opened, prefix: str, tmp_path: Path, empty_file: bytes) -> Path:
    """A backup of that. As by `back_up`, which takes far longer to create the tables."""
    path = tmp_path / "backup.db"
    path.write_bytes(empty_file)
    database = Database(StoreLocation.of_file(path))
    database.write(lambda connection: copy_store(opened.store, connection, database))
    database.close()
    opened.clock.advance(hours=1)
    return path


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    with new_file(path) as database:
        database.write(schema.prepare)
    return path.read_bytes()


def restored(opened: Opened, file: Path, *, dry_run: bool = False) -> Restored:
    with open_backup(file) as backup:
        done = restore(backup, opened.store.location, ACTOR, now=opened.clock(), dry_run=dry_run)
    assert check(opened.store).fault is None or dry_run
    return done


def key(opened: Opened, prefix: str) -> Key:
    record = opened.store.find(prefix)
    assert record
    return record.key


def execute(opened: Opened, *statements: str) -> None:
    """Change the database behind keyctl's back."""
    for statement in statements:
        opened.store.write(lambda connection: connection.exec_driver_sql(statement))  # noqa: B023 - runs at once


def actions(opened: Opened, after: int) -> list[str]:
    newest = event_search.find(opened.store, EventFilters())
    return [event.action for event in takewhile(lambda event: event.seq > after, newest)][::-1]


def last(opened: Opened) -> int:
    with opened.store.read() as connection:
        head = events.head(connection)
    assert head
    return head[0]


# ── what ended stays ended ───────────────────────────────────────────────────────────────────────────────────────────

ENDED: dict[str, Change] = {
    "revoked": lambda opened, prefix: opened.admin.revoke(Selection.named(prefix), reason="leaked"),
    "locked": lambda opened, prefix: opened.admin.lock(Selection.named(prefix)),
    "locked for a time": lambda opened, prefix: opened.admin.lock(Selection.named(prefix), duration=timedelta(days=1)),
    "expiring earlier": lambda opened, prefix: opened.admin.expire(Selection.named(prefix), "1h"),
    "replaced": lambda opened, prefix: opened.rotate(prefix, grace=timedelta(0)),
    "replaced, in its grace": lambda opened, prefix: opened.rotate(prefix, grace=timedelta(hours=1)),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("end", ENDED.values(), ids=ENDED)
def test_a_key_that_ended_since_the_backup_stays_so(opened: Opened, prefix: str, file: Path, end: Change):
    end(opened, prefix)
    ended, before = key(opened, prefix), last(opened)

    done = restored(opened, file)

    assert key(opened, prefix) == ended
    assert done.ended == [prefix]
    assert not done.changes_store
    assert last(opened) == before


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "ended",
    [
        {"revoked_at": 1, "revoked_reason": "'by hand'"},
        {"locked_at": 1},
        {"locked_at": 1, "locked_until": 2**43},
        {"expires_at": 2},
    ],
    ids=str,
)
def test_a_key_that_was_ended_outside_keyctl_stays_so_and_then_with_an_event(
    opened: Opened, prefix: str, file: Path, ended: dict[str, Any]
):
    values = ", ".join(f"{name} = {value}" for name, value in ended.items())
    execute(opened, f"update keys set {values} where prefix = '{prefix}'")
    before, seq = key(opened, prefix), last(opened)

    restored(opened, file)

    assert key(opened, prefix) == before
    assert actions(opened, seq) == ["store.restored", "key.restored"]


def test_a_key_that_was_revived_outside_keyctl_is_revoked_again(opened: Opened, prefix: str, file: Path):
    opened.admin.revoke(Selection.named(prefix), reason="leaked")
    revoked = key(opened, prefix)
    execute(opened, f"update keys set revoked_at = null, revoked_reason = null where prefix = '{prefix}'")

    done = restored(opened, file)

    assert key(opened, prefix) == revoked
    assert (done.repaired, done.ended) == ([prefix], [prefix])


def test_an_end_in_the_backup_comes_back(opened: Opened, prefix: str, tmp_path: Path):
    opened.admin.lock(Selection.named(prefix))
    opened.owners.disable("top")
    back_up(opened.store, tmp_path / "backup.db")
    opened.admin.unlock(Selection.named(prefix))
    opened.admin.expire(Selection.named(prefix), "never")
    opened.owners.enable("top")

    done = restored(opened, tmp_path / "backup.db")

    record = opened.store.find(prefix)
    assert record
    assert record.key.locked_at
    assert record.key.expires_at
    assert record.inactive_owner
    assert (done.changed, done.owners, done.ended) == ([prefix], ["top"], [])


def test_an_owner_disabled_since_the_backup_stays_so(opened: Opened, prefix: str, file: Path):
    opened.owners.disable("top")

    assert not restored(opened, file).changes_store

    record = opened.store.find(prefix)
    assert record
    assert record.inactive_owner


# ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_scopes_networks_metadata_and_owners_become_what_they_were(opened: Opened, prefix: str, file: Path):
    before, owners = key(opened, prefix), opened.store.find_owners("below")
    opened.admin.update(Selection.named(prefix), Update(name="oops", allowed_ips=[], metadata=["team=", "x=y"]))
    opened.admin.scope(Selection.named(prefix), ScopeChange(only=["admin"]))
    opened.owners.update("below", name="oops", parent="")
    seq = last(opened)

    done = restored(opened, file)

    assert key(opened, prefix) == before
    assert opened.store.find_owners("below") == owners
    assert (done.changed, done.owners) == ([prefix], ["below"])
    assert actions(opened, seq) == ["store.restored", "owner.restored", "key.restored"]


def test_newer_keys_and_owners_stay(opened: Opened, prefix: str, file: Path):
    [newer] = opened.mint(name="newer", owner="newcomer")
    opened.owners.update("newcomer", parent="below")

    done = restored(opened, file)

    record = opened.store.find(newer.record.key.prefix)
    assert record
    assert [owner.handle for owner in record.owners] == ["newcomer", "below", "top"]
    assert done.newer == [newer.record.key.prefix]
    assert not done.changes_store


def test_the_settings_stay(opened: Opened, prefix: str, file: Path):
    AdminToken(opened.store, ACTOR).set("a token that is long")
    opened.store.reload()
    before = opened.store.settings
    opened.admin.update(Selection.named(prefix), Update(name="oops"))

    restored(opened, file)

    opened.store.reload()
    assert opened.store.settings == before


def test_a_dry_run_changes_nothing(opened: Opened, prefix: str, file: Path):
    opened.admin.update(Selection.named(prefix), Update(name="oops"))
    before = last(opened)

    done = restored(opened, file, dry_run=True)

    assert done.changed == [prefix]
    assert (key(opened, prefix).name, last(opened)) == ("oops", before)


def test_the_last_use_is_the_later_one(opened: Opened, prefix: str, file: Path):
    execute(opened, f"update keys set last_used_at = 5000 where prefix = '{prefix}'")

    assert not restored(opened, file).changes_store
    assert key(opened, prefix).last_used_at

    back_up(opened.store, file, replace=True)
    execute(opened, f"update keys set last_used_at = 1000, name = 'x' where prefix = '{prefix}'")
    restored(opened, file)

    used = key(opened, prefix).last_used_at
    assert used
    assert used.timestamp() == 5


# ── what was altered outside keyctl ──────────────────────────────────────────────────────────────────────────────────

OWNER = "id, handle, kind, attributes, created_at, created_by"
KEY = "id, prefix, phc, environment, scopes, allowed_ips, metadata, created_at, created_by"
ALTERED = {
    "all keys missing": ["delete from keys"],
    "an owner of another's": [
        f"insert into owners ({OWNER}) values ('own_x', 'z', 'x', '{{}}', 1, '')",
        "update owners set parent_id = 'own_x' where handle = 'top'",
        "update keys set owner_id = 'own_x' where name = 'ci'",
    ],
    "handles exchanged": [
        "update owners set handle = 'x' where handle = 'top'",
        "update owners set handle = 'top' where handle = 'below'",
        "update owners set handle = 'below' where handle = 'x'",
    ],
    "a counter added": ["insert into counters values ('key', 7)"],
}


@pytest.mark.parametrize("statements", ALTERED.values(), ids=ALTERED)
def test_what_was_altered_is_repaired(opened: Opened, prefix: str, file: Path, statements: list[str]):
    repairs(opened, prefix, file, statements)


ALSO_ALTERED = {
    "wider scopes": ["update keys set scopes = '[\"admin\"]'"],
    "another hash": ["update keys set phc = (select max(phc) from keys)"],
    "a key that is missing": ["delete from keys where name = 'ci'"],
    "a row that cannot be read": ["update keys set metadata = 'x'"],
    "a row that is written differently": ['update keys set scopes = \'[ "read","write" ]\''],
    "prefixes exchanged": [
        "update keys set prefix = 'x' || prefix",
        "update keys set prefix = (select substr(max(prefix), 2) from keys) where name = 'ci'",
    ],
    "a key of another's": [
        f"insert into keys ({KEY}) values ('key_x', 'kc_live_x', '', 'live', '[]', '[]', '{{}}', 1, '')"
    ],
    "another profile": ["update settings set value = '{\"a\": 1}' where name = 'profile'"],
    "a setting removed": ["delete from settings where name = 'hash'"],
}


@pytest.mark.sqlite
@pytest.mark.parametrize("statements", ALSO_ALTERED.values(), ids=ALSO_ALTERED)
def test_this_is_repaired_as_well(opened: Opened, prefix: str, file: Path, statements: list[str]):
    repairs(opened, prefix, file, statements)


def repairs(opened: Opened, prefix: str, file: Path, statements: list[str]) -> None:
    before = key(opened, prefix)
    execute(opened, *statements)
    assert check(opened.store).fault

    done = restored(opened, file)

    assert done.changes_store
    assert key(opened, prefix) == before
    assert opened.store.find_owners("below")[1].handle == "top"


@pytest.mark.sqlite
def test_rows_without_their_owners_are_repaired(opened: Opened, prefix: str, file: Path):
    before = opened.store.find(prefix)
    with closing(sqlite3.connect(opened.path)) as connection:  # without foreign keys
        connection.executescript("delete from owners; update keys set owner_id = 'nowhere'")

    restored(opened, file)

    assert opened.store.find(prefix) == before


BEYOND = {
    "a setting added": ["insert into settings values ('earlier_formats', '[]')"],
    "an event edited": ["update events set reason = 'x' where seq = 2"],
    "an event removed": ["delete from events where seq = 2"],
    "the last events removed": ["delete from events where seq > 9"],
    "the head moved": ["update audit_head set seq = 9, hash = (select hash from events where seq = 9)"],
    "a newer key removed": ["delete from keys where name = 'newer'"],
    "a newer key with another hash": [
        "update keys set phc = (select phc from keys where name = 'oops') where name = 'newer'"
    ],
}


@pytest.mark.sqlite
@pytest.mark.parametrize("statements", BEYOND.values(), ids=BEYOND)
def test_what_cannot_be_repaired_is_named_and_nothing_is_changed(
    opened: Opened, prefix: str, file: Path, statements: list[str]
):
    opened.mint(name="newer")
    opened.admin.update(Selection.named(prefix), Update(name="oops"))
    execute(opened, *statements)
    fault = check(opened.store).fault
    assert fault

    with pytest.raises((CheckFailed, Refused), match="nothing was changed"):
        restored(opened, file)

    assert key(opened, prefix).name == "oops"
    assert check(opened.store).fault == fault


def test_a_trigger_is_named(opened: Opened, prefix: str, file: Path):
    execute(opened, "drop table counters", "create view counters as select 'x' as name, 1 as value")

    with pytest.raises(StoreUnavailable, match="view counters"):
        restored(opened, file)

    execute(opened, "drop view counters", "create table counters (name text primary key, value bigint not null)")


# ── other states of the same store ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
class TestAnEarlierState:
    """The store is an earlier copy than the backup: its log is brought up to date."""

    @pytest.fixture
    def earlier(self, opened: Opened, prefix: str, tmp_path: Path) -> tuple[Opened, Path]:
        early, late = tmp_path / "early.db", tmp_path / "late.db"
        back_up(opened.store, early)
        opened.mint(name="newer", owner="newcomer")
        opened.admin.update(Selection.named(prefix), Update(name="later"))
        back_up(opened.store, late)
        return Opened(Store(StoreLocation.of_file(early)), opened.clock), late

    def test_it_gets_all_that_the_backup_has(self, opened: Opened, prefix: str, earlier: tuple[Opened, Path]):
        store, late = earlier

        done = restored(store, late)

        assert done.log_continued
        assert (done.changed, done.owners, done.repaired) == ([prefix], ["newcomer"], [])
        assert last(store) == last(opened) + 1
        assert key(store, prefix) == key(opened, prefix)
        assert [owner.handle for owner in store.store.find_owners("newcomer")] == ["newcomer"]
        store.store.close()

    def test_what_was_revoked_there_outside_keyctl_stays_so(self, prefix: str, earlier: tuple[Opened, Path]):
        store, late = earlier
        execute(store, f"update keys set revoked_at = 1 where prefix = '{prefix}'")

        restored(store, late)

        assert key(store, prefix).revoked_at
        store.store.close()


@pytest.mark.sqlite
def test_a_store_that_went_another_way_is_left_alone(opened: Opened, prefix: str, file: Path, tmp_path: Path):
    other = tmp_path / "other.db"
    other.write_bytes(file.read_bytes())
    copy = Opened(Store(StoreLocation.of_file(other)), opened.clock)
    copy.admin.update(Selection.named(prefix), Update(name="here"))
    copy.store.close()
    opened.admin.revoke(Selection.named(prefix))

    with pytest.raises(Refused, match=r"differ before event \d+: neither continues the other"):
        restored(opened, other)

    assert key(opened, prefix).name == "ci"


@pytest.mark.sqlite
def test_another_store_is_left_alone(file: Path, tmp_path: Path):
    another = new_store(tmp_path / "another.db", "vexa")

    with pytest.raises(Refused, match=r"is store_\w+, and .* is a backup of store_\w+: nothing was changed"):
        restored(another, file)

    another.store.close()
