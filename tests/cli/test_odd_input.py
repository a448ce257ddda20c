"""Input that is nobody's bug but the user's: refused in plain words, and never an internal error."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import stat
from contextlib import closing, nullcontext, suppress

import pytest

from keyctl.cli.json_objects import event_object, key_object
from keyctl.errors import KeyctlError
from keyctl.store import event_search, key_pages
from keyctl.store.database import Database, Store
from keyctl.store.event_search import EventFilters
from keyctl.store.integrity import check
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Filters
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.store.tables import metadata
from keyctl.times import utc_now
from keyctl.verifier import Verifier
from tests.cli.helpers import config_file, mint, mint_many, refused, write_profile
from tests.runner import Cli

HUGE = 9223372036854775807
DEEP = "[" * 50_000


def test_a_key_that_expires_at_the_end_of_time_can_be_rotated(store: Cli):
    prefix = mint(store, "--expires", "9999-12-31T23:59:59Z")["prefix"]

    for _ in range(2):
        prefix = store("rotate", prefix, "--json", check=0).json["key"].rpartition("_")[0]

    assert store("show", prefix, "--json", check=0).json["expires_at"] == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize("number", [HUGE, HUGE + 1, 10**30, 2**31])
def test_a_limit_of_any_size_is_a_limit(store: Cli, number: int):
    mint_many(store, 3)

    assert len(store("list", "--limit", str(number), check=0).out.splitlines()) == 3
    events = store("audit", "list", "--limit", str(number), check=0).out
    assert store("audit", "list", "--before", str(number), check=0).out == events
    assert store("audit", "list", "--before", str(-number), check=0).out == ""


def test_an_empty_cursor_is_not_the_first_page(store: Cli):
    mint(store)

    refused(store, "list", "--after", "", code=2, says="--after is empty")


@pytest.mark.parametrize("owner", [b"\xff", b"acme\xed\xa0\x80"])
def test_an_owner_that_is_not_utf8_is_refused(store: Cli, owner: bytes):
    key = mint(store)["key"]

    refused(store, "verify", "--resource-owner", owner, stdin=key, code=2, says="is not UTF-8")


@pytest.mark.parametrize("command", ["verify", "list", "init", "mint"])
def test_a_store_whose_path_is_not_utf8_is_refused(cli: Cli, command: str):
    refused(cli, command, "--store", b"./x\xff.db", stdin="x", code=2, says="is not UTF-8")


@pytest.mark.parametrize(
    "content",
    [
        *(
            f"store = {DEEP}",
            f"wait = {'5' * 5000}",
            f"wait = '{'5' * 5000}'",
            "wait = 0x" + "f" * 5000,
            "wait = 1e999",
        ),
        *(
            "wait = 1979-05-27",
            "stores.x = 1",
            "[[stores]]",
            "'' = 1",
            "stores.'' = 'x'",
            "store = ''",
            "store = '\x7f'",
        ),
    ],
    ids=lambda content: content[:16],
)
def test_an_odd_configuration_is_reported(cli: Cli, content: str):
    config_file(cli, content)

    for command in ("list", "mint", "verify"):
        assert cli(command, stdin="kc_live_x").code in (0, 2, 5, 6, 11)


@pytest.mark.parametrize(
    "rules",
    [
        *(f"x = {'5' * 5000}", "x = 0x" + "f" * 5000, f"x = {DEEP}", "defaults.scopes = [0x" + "f" * 5000 + "]"),
        *("verification.refresh_seconds = 0x" + "f" * 5000, "verification.refresh_seconds = -0x" + "f" * 5000),
        *("verification.refresh_seconds = 10000000000000", "verification.refresh_seconds = 86401"),
        "owners.kinds.a.attributes.b = {type = 'integer', default = 0x" + "f" * 5000 + "}",
        "lifetime.default = 0x" + "f" * 5000,
    ],
    ids=lambda rules: rules[:40],
)
def test_an_odd_profile_is_reported(cli: Cli, rules: str):
    file = write_profile(cli)
    file.write_text(f"{rules}\n{file.read_text()}")

    for args in (["profile", "check", file], ["init", "--profile", file]):
        refused(cli, *args, code=6)


# ── rows that keyctl has not written ─────────────────────────────────────────────────────────────────────────────────

ODD_VALUES = [b"\x00\xff", DEEP, "[[1]]", "{}", "5" * 5000, "NaN", '"\\ud800"', 1, 1.5, -(2**63), "", None]


@pytest.mark.sqlite
@pytest.mark.parametrize("table", ["keys", "owners", "events", "settings", "audit_head"])
def test_a_row_that_keyctl_has_not_written_is_a_finding_and_never_an_internal_error(store: Cli, table: str):
    store("owner", "add", "acme", check=0)
    minted = mint(store, "--owner", "acme", "--meta", "a=b")
    location = StoreLocation.parse(str(store.home / ".local/share/keyctl/keyctl.db"))
    original = location.file.read_bytes()
    for column in set(metadata.tables[table].columns) - {metadata.tables["audit_head"].c.id}:
        for value in ODD_VALUES:
            location.file.write_bytes(original)
            with closing(sqlite3.connect(location.file)) as connection, suppress(sqlite3.IntegrityError):
                before = connection.execute(f"select * from {table}").fetchall()
                connection.execute(f"update {table} set {column.name} = ?", (value,))
                connection.commit()
                changed = connection.execute(f"select * from {table}").fetchall() != before
                case = f"{table}.{column.name} = {value!r:.20}"
                assert bool(_fault_of(location)) == changed or column.name == "last_used_at", case
                _use(location, minted["key"])


def _fault_of(location: StoreLocation) -> str | None:
    with closing(Database(location)) as database:
        try:
            return check(database).fault
        except KeyctlError as error:
            return error.message


def _use(location: StoreLocation, key: str) -> None:
    """Verify and list, as the commands do; every error is one of keyctl's own."""
    with suppress(KeyctlError), closing(SqliteReader(location.file)) as reader:
        Verifier(reader).verify(key)
    with suppress(KeyctlError), closing(Store(location)) as opened, opened.read() as connection:
        for record in key_pages.page(connection, Filters(), now=utc_now()).records:
            json.dumps(key_object(record, opened.profile, now=utc_now()))
        for event in event_search.find(opened, EventFilters()):
            json.dumps(event_object(event))


# ── files that are no files ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["list", "verify", "init", "mint", "audit verify", "db status"])
def test_a_pipe_is_neither_a_configuration_nor_a_store(cli: Cli, command: str):
    pipe = cli.cwd / "pipe"
    os.mkfifo(pipe)

    for args, code in ((["--config", pipe], 6), (["--store", pipe], 5)):
        result = cli(*command.split(), *args, stdin=f"kc_live_{'0' * 12}_{'0' * 38}", timeout=20)
        assert result.code == code, result
        assert "is not a regular file" in result.err


def test_no_configuration_can_be_asked_for(cli: Cli):
    config_file(cli, "nonsense = 1")

    cli("mint", "--config", "/dev/null", check=0)


@pytest.mark.sqlite
@pytest.mark.parametrize("special", ["pipe", "lock", "state", "lock is a pipe"])
def test_what_a_bundle_needs_is_never_waited_for_without_end(store: Cli, special: str):
    key = mint(store)["key"]
    public = store("bundle", "key", "--create", check=0).out.split()[-1]
    store("bundle", "export", "b", "--valid-for", "1h", check=0)
    state = store.home / ".local/state/keyctl/bundles.json"
    state.parent.mkdir(parents=True)
    bundle = "b"
    if special == "pipe":
        bundle = "pipe"
        os.mkfifo(store.cwd / "pipe")
    elif special == "state":
        os.mkfifo(state)
    elif special == "lock is a pipe":
        os.mkfifo(state.with_suffix(".lock"))
    with state.with_suffix(".lock").open("w") if special == "lock" else nullcontext() as lock:
        if lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        result = store("verify", "--bundle", bundle, "--trust", public, stdin=key, timeout=20)

    if special == "lock is a pipe":  # it can be locked as well as a file
        result.expect(0)
        return
    assert result.code == (20 if special == "pipe" else 6), result
    assert "VALID" not in result.out or special == "pipe"


@pytest.mark.sqlite
def test_a_folder_above_the_store_is_for_its_owner_alone_whatever_the_umask(cli: Cli):
    cli.shell("umask 000; keyctl init && keyctl bundle key --create", check=0)

    for folder in (".local", ".local/share", ".local/share/keyctl", ".config", ".config/keyctl"):
        assert stat.S_IMODE((cli.home / folder).stat().st_mode) == 0o700, folder
