"""`keyctl db copy`."""

from __future__ import annotations

import random
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keyctl.admin.store_copy import copy_store
from keyctl.errors import Refused
from keyctl.store.location import StoreLocation
from tests import postgres
from tests.cli.helpers import (
    CHEAP,
    Filled,
    dump,
    location,
    mint,
    mint_many,
    refused,
    show,
    verify,
)
from tests.cli.test_db_backup import fill
from tests.runner import Cli
from tests.stores import ACTOR, NOW, Opened, names


@pytest.fixture
def keys(filled: Filled) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = filled(fill)
    return found


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def to(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where there is no store yet."""
    url: str = request.getfixturevalue("empty_schema") if request.param == "postgres" else str(tmp_path / "new.db")
    return url


def at(cli: Cli, store: str) -> Cli:
    """The same user, with another store."""
    other = Cli(cli.home.parent)
    other.env["KEYCTL_STORE"] = store
    return other


def alter(file: str, statements: str) -> None:
    """Change a file behind keyctl's back, and without its foreign keys."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(statements)


def test_a_copy_has_every_row_and_an_event_that_says_where_from(store: Cli, keys: list[dict[str, Any]], to: str):
    before = dump(store)

    result = store("db", "copy", "--to", to, "--reason", "moving", check=0)

    assert result.out == f"{to}\n"
    assert "was not changed and still works" in result.err
    assert dump(store) == before
    new = at(store, to)
    after = dump(new)
    assert before
    assert after
    last = after["events"].pop()
    assert {name: rows for name, rows in after.items() if name != "audit_head"} == {
        name: rows for name, rows in before.items() if name != "audit_head"
    }
    [event] = new("audit", "list", "--limit", "1", "--json", check=0).json["events"]
    assert (event["seq"], event["action"], event["reason"]) == (last[0], "store.copied", "moving")
    [(_, seq, digest)] = before["audit_head"]
    assert event["detail"] == {"from": location(store), "event": {"seq": seq, "hash": digest}}
    assert new("audit", "verify", check=0).out == f"intact: {seq + 1} events, 3 keys, 2 owners\n"
    assert [verify(new, key["key"]) for key in keys] == ["VALID", "KEY_REVOKED", "KEY_LOCKED"]
    assert show(new, mint(new, "--owner", "below")["prefix"])["owner"] == "below"


@pytest.mark.sqlite
def test_a_new_file_is_private_and_nothing_else_is_left(store: Cli):
    store("db", "copy", "--to", "./new.db", check=0)

    assert names(store.cwd) == ["new.db"]
    assert stat.S_IMODE((store.cwd / "new.db").stat().st_mode) == 0o600


@pytest.mark.sqlite
def test_json_says_what_was_copied(store: Cli, keys: list[dict[str, Any]]):
    facts = store("db", "copy", "--to", "./new.db", "--json", check=0).json

    assert (facts["keys"], facts["owners"], facts["from"]) == (3, 2, location(store))
    assert facts["events"] == facts["seq"]
    assert facts["store"] == str(store.cwd / "new.db")


@pytest.mark.sqlite
def test_a_dry_run_copies_nothing(store: Cli, keys: list[dict[str, Any]], to: str):
    result = store("db", "copy", "--to", to, "--dry-run", check=0)

    assert result.out == ""
    assert "would copy 3 keys" in result.err
    assert dump(at(store, to)) is None


@pytest.mark.sqlite
def test_a_bundle_of_the_copy_follows_those_of_the_old_store(store: Cli, to: str):
    key = mint(store)["key"]
    trust = store("bundle", "key", "--create", check=0).out.strip()
    store("bundle", "export", "old.bundle", check=0)
    options = ("--trust", trust, "--bundle")
    assert verify(store, key, *options, "old.bundle") == "VALID"

    store("db", "copy", "--to", to, check=0)
    new = at(store, to)
    new("bundle", "export", "new.bundle", check=0)

    assert verify(new, key, *options, "new.bundle") == "VALID"
    assert new("verify", *options, "old.bundle", stdin=key).code == 20


@pytest.mark.sqlite
def test_a_place_that_is_taken_is_left_alone(store: Cli, to: str):
    other = at(store, to)
    other("init", *CHEAP, check=0)
    mint(other)
    before = dump(other)

    refused(store, "db", "copy", "--to", to, code=4, says=["there is a store", "nothing was copied"])
    refused(store, "db", "copy", "--to", location(store), code=4)

    assert dump(other) == before


@pytest.mark.sqlite
def test_empty_tables_that_an_administrator_made_are_filled(store: Cli, keys: list[dict[str, Any]], to: str):
    ddl = store("db", "upgrade", "--sql", "--store", to, check=0).out
    if to.startswith("postgres"):
        postgres.run(to, ddl)
    else:
        alter(to, ddl)

    store("db", "copy", "--to", to, check=0)

    at(store, to)("audit", "verify", check=0)


@pytest.mark.sqlite
def test_what_is_no_place_for_a_store_is_reported(store: Cli):
    (store.cwd / "text.db").write_text("precious")

    refused(store, "db", "copy", "--to", "./text.db", code=5, says="not a SQLite database")
    refused(store, "db", "copy", "--to", "./none/new.db", code=5, says="cannot write")
    refused(store, "db", "copy", "--to", "unknown", code=2, says="unknown store")
    result = store("db", "copy", "--to", "postgresql://u:hidden@localhost:1/x", check=5)
    assert "the password in --to is visible" in result.err
    assert "hidden" not in result.err
    assert names(store.cwd) == ["text.db"]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("altered", "code", "says"),
    [
        ("update events set reason = 'x' where seq = 2", 9, "event 2 was altered"),
        ("delete from events where seq = (select max(seq) from events)", 9, "is missing"),
        ("update owners set parent_id = id where handle = 'zz-top'", 5, "its own ancestor"),
        ("update keys set created_at = 'yesterday'", 5, "a value of another type"),
        ("create trigger t after insert on keys begin delete from keys; end", 5, "trigger t"),
    ],
)
def test_rows_that_no_store_can_have_are_blamed_on_the_source(
    store: Cli, keys: list[dict[str, Any]], altered: str, code: int, says: str
):
    alter(location(store), altered)

    refused(store, "db", "copy", "--to", "./new.db", code=code, says=[says, location(store)])

    assert names(store.cwd) == []


@pytest.mark.sqlite
def test_a_row_that_the_target_refuses_is_blamed_on_the_source(store: Cli, keys: list[dict[str, Any]], to: str):
    alter(location(store), "delete from owners where handle = 'below'")

    refused(store, "db", "copy", "--to", to, code=5, says=["table keys has a row", location(store)])

    assert dump(at(store, to)) is None


def test_a_change_during_the_copy_is_not_lost(opened: Opened, tmp_path: Path):
    opened.mint()
    target = StoreLocation.of_file(tmp_path / "new.db")

    with pytest.raises(Refused, match="was changed during the copy, after event 3: nothing was copied"):
        copy_store(opened.store, target, ACTOR, now=NOW, on_rows=lambda _: opened.mint() and None)

    assert not target.file.exists()


@pytest.mark.torture
@pytest.mark.sqlite
def test_a_copy_that_is_killed_is_absent_or_complete(store: Cli, to: str, rounds: Callable[[int, int], int]):
    mint_many(store, 20)
    new = at(store, to)
    for _ in range(rounds(1, 50)):
        process = store.spawn("db", "copy", "--to", to)
        time.sleep(random.uniform(0.05, 0.4))
        process.kill(9)
        process.wait()
        if dump(new) is not None:
            break
    if dump(new) is None:
        store("db", "copy", "--to", to, "--wait", "30s", check=0)
    assert new("audit", "verify", "--json", check=0).json["keys"] == 20
