"""What was planted in the schema: it is refused where a store is opened, and named by `audit verify`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keyctl.admin.owners import NewOwner
from keyctl.admin.token import AdminToken
from keyctl.errors import StoreUnavailable
from keyctl.store.database import Store
from keyctl.store.integrity import check
from keyctl.store.selection import Selection
from keyctl.store.sqlite_file import read_settings
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.store.suggestions import Suggestions
from tests import postgres
from tests.runner import Cli
from tests.stores import ACTOR, Opened, new_store

ENDLESS = (
    "alter table settings rename to genuine",
    (
        "create view settings as with recursive planted(name, value) as"
        " (select 'a', 'b' union all select name, value from planted) select * from planted"
    ),
)
DISCARD = "create function planted() returns trigger language plpgsql as 'begin return null; end'"
REVIVE = (
    "create function planted() returns trigger language plpgsql as 'begin"
    " update keys set revoked_at = null, locked_at = null where id = new.id; return null; end'"
)
PLANTED: dict[str, dict[str, tuple[tuple[str, ...], str, str]]] = {
    "sqlite": {
        "trigger": (
            ("create trigger planted before update on keys begin select raise(ignore); end",),
            "drop trigger planted",
            "the trigger planted on keys",
        ),
        "another": (
            ("create trigger planted before insert on events begin select raise(ignore); end",),
            "drop trigger planted",
            "the trigger planted on events",
        ),
        "view": (
            ("alter table keys rename to genuine", "create view keys as select * from genuine"),
            "drop view keys; alter table genuine rename to keys",
            "the view keys",
        ),
        "endless view": (ENDLESS, "drop view settings; alter table genuine rename to settings", "the view settings"),
    },
    "postgres": {
        "trigger": (
            (DISCARD, "create trigger planted before update on keys for each row execute function planted()"),
            "drop function planted cascade",
            "the trigger planted on keys",
        ),
        "another": (
            ("create rule planted as on update to keys do instead nothing",),
            "drop rule planted on keys",
            "the rule planted on keys",
        ),
        "view": (
            ("alter table keys rename to genuine", "create view keys as select * from genuine"),
            "drop view keys; alter table genuine rename to keys",
            "the view keys",
        ),
        "endless view": (
            ENDLESS,
            "drop view settings; alter table genuine rename to settings",
            "the view settings",
        ),
    },
}


@contextmanager
def planted(opened: Opened, statements: tuple[str, ...], removal: str) -> Iterator[None]:
    """Change the schema past keyctl, and back: the tests of a process share one on PostgreSQL."""

    def run(sql: str) -> None:
        if opened.store.location.file:
            with closing(sqlite3.connect(opened.path)) as connection:
                connection.executescript(sql)
        else:
            postgres.run(opened.store.location.url, sql)

    run("; ".join(statements))
    try:
        yield
    finally:
        run(removal)


@pytest.mark.parametrize("what", ["trigger", "view", "endless view", "another"])
def test_a_planted_schema_is_refused_where_a_store_is_opened_and_named_by_the_check(
    opened: Opened, database: str, what: str
):
    statements, removal, named = PLANTED[database][what]
    opened.mint()

    with planted(opened, statements, removal):
        with pytest.raises(StoreUnavailable) as error:
            Store(opened.store.location)
        verdict = check(opened.store)

    assert error.value.message == f"the store {opened.store.location} is damaged: {named} was added outside keyctl"
    assert (error.value.exit_code, error.value.hint) == (5, f"keyctl audit verify --store {opened.store.location}")
    assert verdict.fault == f"{named} was added outside keyctl"
    Store(opened.store.location).close()
    assert check(opened.store).fault is None


@pytest.mark.sqlite
@pytest.mark.parametrize("what", PLANTED["sqlite"])
def test_verification_refuses_a_planted_schema_and_nothing_waits_for_it(tmp_path: Path, what: str):
    opened = new_store(tmp_path / "store.db")
    statements, removal, named = PLANTED["sqlite"][what]

    with planted(opened, statements, removal):
        for read in (SqliteReader, read_settings):
            with pytest.raises(StoreUnavailable, match=f"damaged: {named} was added outside keyctl"):
                read(opened.path)
        with pytest.raises(StoreUnavailable, match="was added outside keyctl"):
            Suggestions(opened.store.location, wait=1).owners("", most=5)
    opened.store.close()


@pytest.mark.sqlite
def test_every_command_ends_where_the_settings_are_a_view_without_an_end(cli: Cli, tmp_path: Path):
    opened = new_store(tmp_path / "store.db")
    prefix = opened.mint()[0].record.key.prefix

    with planted(opened, *PLANTED["sqlite"]["endless view"][:2]):
        for args in (["list"], ["mint"], ["revoke", prefix, "--yes"], ["init"], ["db", "upgrade"], ["db", "status"]):
            result = cli(*args, "--store", opened.path, check=5)
            assert "damaged: the view settings was added outside keyctl" in result.err, args
        cli("verify", "--store", opened.path, stdin="kc_live_0", check=5)
        result = cli("audit", "verify", "--store", opened.path, check=9)
        assert result.err.startswith("keyctl: error: the view settings was added outside keyctl\n")
    opened.store.close()


@pytest.mark.sqlite
def test_a_database_of_another_program_may_have_views(cli: Cli, tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.executescript("create table notes (text); create view recent as select * from notes")

    assert "holds no keyctl store" in cli("list", "--store", tmp_path / "other.db", check=6).err


# ── planted after the store was opened ───────────────────────────────────────────────────────────────────────────────

CHANGES: dict[str, Callable[[Opened, str], object]] = {
    "revoke": lambda opened, prefix: opened.admin.revoke(Selection.named(prefix)),
    "lock": lambda opened, prefix: opened.admin.lock(Selection.named(prefix)),
}
LATER = {
    ("sqlite", "discards"): (
        ("create trigger planted before update on keys begin select raise(ignore); end",),
        "drop trigger planted",
    ),
    ("sqlite", "reverts"): (
        (
            (
                "create trigger planted after update on keys begin"
                " update keys set revoked_at = null, locked_at = null where id = new.id; end"
            ),
        ),
        "drop trigger planted",
    ),
    ("postgres", "discards"): (
        (DISCARD, "create trigger planted before update on keys for each row execute function planted()"),
        "drop function planted cascade",
    ),
    ("postgres", "reverts"): (
        (
            REVIVE,
            (
                "create trigger planted after update on keys for each row"
                " when (pg_trigger_depth() = 0) execute function planted()"
            ),
        ),
        "drop function planted cascade",
    ),
}


@pytest.mark.parametrize("does", ["discards", "reverts"])
@pytest.mark.parametrize("command", CHANGES)
def test_no_key_is_reported_as_changed_that_was_not(opened: Opened, database: str, command: str, does: str):
    prefix = opened.mint()[0].record.key.prefix

    with (
        planted(opened, *LATER[database, does]),
        pytest.raises(StoreUnavailable, match=r"is damaged: .* and nothing was changed"),
    ):
        CHANGES[command](opened, prefix)

    assert check(opened.store).fault is None


INSERTS: dict[str, Callable[[Opened], object]] = {
    "keys": lambda opened: opened.mint(),
    "owners": lambda opened: opened.owners.add(NewOwner("acme")),
    "events": lambda opened: opened.owners.add(NewOwner("acme")),
    "settings": lambda opened: AdminToken(opened.store, ACTOR).set("a password of mine"),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("table", INSERTS)
def test_an_insert_that_is_discarded_is_an_error(opened: Opened, table: str):
    statement = f"create trigger planted before insert on {table} begin select raise(ignore); end"

    with (
        planted(opened, (statement,), "drop trigger planted"),
        pytest.raises(StoreUnavailable, match="it wrote 0 rows instead of 1"),
    ):
        INSERTS[table](opened)

    assert check(opened.store).fault is None


@pytest.mark.sqlite
def test_an_owner_is_not_reported_as_disabled_that_is_not(opened: Opened):
    opened.owners.add(NewOwner("acme"))
    revert = "create trigger planted after update on owners begin update owners set disabled_at = null; end"

    with (
        planted(opened, (revert,), "drop trigger planted"),
        pytest.raises(StoreUnavailable, match=r"disabled_at of owner .* cannot be set"),
    ):
        opened.owners.disable("acme")

    assert check(opened.store).fault is None
