"""`keyctl doctor`: a healthy store is clean, each fault is found, and nothing that is broken stops it."""

from __future__ import annotations

import grp
import os
import shlex
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keyctl import private_files
from keyctl.cli.doctor_checks import CHECKS
from keyctl.store.opening import SCHEMA_REVISION
from tests.cli.helpers import (
    CHEAP,
    ago,
    config_file,
    dump,
    execute,
    locked,
    mint,
    mint_many,
    ordinarily,
    set_key,
    show,
    verify,
    with_profile,
)
from tests.runner import Cli

STORE = ".local/share/keyctl/keyctl.db"
WEAK = {"hashes"}  # what the stores of the tests have: their hashes cost next to nothing


def checks(cli: Cli, *args: Any, **how: Any) -> dict[str, dict[str, Any]]:
    """Return the result of each check by its name."""
    result = cli("doctor", "--json", *args, **how)
    answer = result.json
    assert answer["ok"] is (result.code == 0), result
    assert result.code == (0 if all(one["ok"] is not False for one in answer["checks"]) else 9), result
    return {one["name"]: one for one in answer["checks"]}


def wrong(cli: Cli, *args: Any, **how: Any) -> set[str]:
    """Return the names of the checks that found something."""
    return {name for name, one in checks(cli, *args, **how).items() if one["ok"] is False}


def found(cli: Cli, name: str, *args: Any, **how: Any) -> list[dict[str, Any]]:
    findings: list[dict[str, Any]] = checks(cli, *args, **how)[name]["findings"]
    return findings


def store_file(cli: Cli) -> Path:
    return cli.home / STORE


# ── a healthy store ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_store_with_a_key_is_healthy(empty: Cli):
    if "KEYCTL_STORE" in empty.env:
        empty("init", check=0)
    empty("mint", check=0)
    before = dump(empty)

    result = empty("doctor", check=0)

    assert result.out.splitlines() == [f"ok\t{name}\t\t\t" for name in CHECKS]
    assert result.err == ""
    assert dump(empty) == before


@pytest.mark.sqlite
def test_a_terminal_shows_the_same_in_lines(store: Cli):
    shown = store.tty("doctor", "--store", "./missing.db").expect(9).out

    assert "ok       configuration\n" in shown
    assert f"found    store: there is no keyctl store at {store.cwd}/missing.db\n" in shown
    assert f"         create it: keyctl init --store {store.cwd}/missing.db\n" in shown
    assert "skipped  log\n" in shown
    assert "keyctl: error: 1 problem found\n" in shown


@pytest.mark.sqlite
def test_a_terminal_shows_five_findings_of_a_check_and_how_many_more_there_are(store: Cli):
    mint_many(store, 7)
    execute(store, "update keys set delivered_at = null")

    assert "         … and 2 more: keyctl doctor | grep undelivered\n" in store.tty("doctor").expect(9).out
    assert len(found(store, "undelivered")) == 7


@pytest.mark.sqlite
def test_nothing_is_created_where_there_is_no_store(cli: Cli):
    [finding] = found(cli, "store")

    assert "there is no keyctl store" in finding["what"]
    assert finding["fix"] == "create it: keyctl init"
    assert not any(cli.home.iterdir())
    assert not any(cli.cwd.iterdir())


@pytest.mark.sqlite
def test_dry_run_without_fix_is_a_mistake(store: Cli):
    assert "--dry-run requires --fix" in store("doctor", "--dry-run", check=2).err


# ── stores and configurations that cannot be used ────────────────────────────────────────────────────────────────────


def no_file(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


def empty_file(path: Path) -> None:
    path.touch(0o600)


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(9000))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table notes (text)")


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (no_file, "there is no keyctl store at"),
        (folder, "is a folder, not a store"),
        (empty_file, "holds no keyctl store"),
        (garbage, "is not a keyctl store"),
        (pipe, "is not a regular file"),
        (dangling_link, "there is no keyctl store at"),
        (foreign_database, "holds no keyctl store"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_store_is_a_finding_and_the_other_checks_are_made(cli: Cli, make: Callable[[Path], None], says: str):
    path = cli.cwd / "keys.db"
    make(path)
    before = path.lstat().st_mode if os.path.lexists(path) else None

    results = checks(cli, "--store", path, "--fix")

    [finding] = results["store"]["findings"] + results["schema"]["findings"]
    assert says in finding["what"]
    assert {name for name, one in results.items() if one["ok"]} >= {"program", "configuration", "modes", "leftovers"}
    assert {name for name, one in results.items() if one["ok"] is None} >= {"log", "undelivered", "hashes"}
    assert before == (path.lstat().st_mode if os.path.lexists(path) else None)


@pytest.mark.sqlite
@pytest.mark.parametrize("size", [100, 20000])
def test_a_truncated_store_is_a_finding(store: Cli, size: int):
    mint(store)
    os.truncate(store_file(store), size)

    results = checks(store)

    assert any(results[name]["ok"] is False for name in ("store", "schema", "profile", "log"))
    assert results["leftovers"]["ok"] is True


@pytest.mark.sqlite
def test_a_damaged_page_is_reported_once(store: Cli):
    mint_many(store, 50)
    pages = bytearray(store_file(store).read_bytes())
    with closing(sqlite3.connect(store_file(store))) as connection:
        [root] = connection.execute("select rootpage from sqlite_master where name = 'keys'").fetchone()
        [size] = connection.execute("pragma page_size").fetchone()
    pages[(root - 1) * size : root * size] = b"\xff" * size
    store_file(store).write_bytes(pages)

    results = checks(store)

    damaged = [one["what"] for check in results.values() for one in check["findings"]]
    assert [text for text in damaged if "is damaged" in text] == damaged
    assert len(set(damaged)) == len(damaged)
    assert results["clock"]["ok"] is True


@pytest.mark.sqlite
@pytest.mark.torture
def test_no_damage_to_the_file_stops_it(store: Cli, rounds: Callable[[int, int], int]):
    mint_many(store, 30, "--owner", "acme", "--create-owner")
    whole = store_file(store).read_bytes()

    for seed in range(rounds(6, 300)):
        random = Random(seed)
        damaged, start = bytearray(whole), random.choice([0, random.randrange(len(whole))])
        for _ in range(random.choice([1, 5, 60])):
            damaged[(start + random.randrange(400)) % len(whole)] = random.randrange(256)
        store_file(store).write_bytes(damaged)

        results = checks(store, "--wait", "1s")  # the exit code is that of what was found

        assert results["leftovers"]["ok"] is True, seed


@pytest.mark.sqlite
def test_a_server_that_is_down_is_one_finding(cli: Cli):
    results = checks(cli, "--store", "postgresql://ops:hunter2@localhost:1/keys")

    [finding] = results["store"]["findings"]
    assert "cannot be reached" in finding["what"]
    assert "hunter2" not in finding["what"]
    assert results["clock"]["ok"] is True
    assert results["log"]["ok"] is None


def test_a_store_that_is_busy_is_waited_for_once(store: Cli):
    mint(store)
    with locked_exclusively(store):
        start = time.monotonic()
        results = checks(store, "--wait", "1s")
        elapsed = time.monotonic() - start

    [finding] = [one for check in results.values() for one in check["findings"]]
    assert "is busy: another process is writing to it" in finding["what"]
    assert elapsed < 10
    assert wrong(store) == WEAK


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("content", "env", "says"),
    [
        ("store = ", {}, "it is not TOML"),
        ("store = 'team'", {}, 'unknown store "team"'),
        ("", {"KEYCTL_WAIT": "soon"}, '"soon" is not a duration'),
        ("", {"KEYCTL_STORE": "mysql://host/keys"}, "unsupported store URL scheme"),
        ("", {"KEYCTL_ACTOR": "me\nyou"}, "U+000A"),
    ],
)
def test_a_broken_configuration_is_a_finding(store: Cli, content: str, env: dict[str, str], says: str):
    if content:
        config_file(store, content).chmod(0o600)

    results = checks(store, env=env)

    [finding] = results["configuration"]["findings"]
    assert says in finding["what"]
    assert results["store"]["ok"] is None
    assert results["modes"]["ok"] is True


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("revision", "fix"), [("0000", "keyctl db upgrade"), ("9999", "upgrade keyctl")])
def test_a_schema_of_another_version_is_a_finding(store: Cli, revision: str, fix: str):
    execute(store, "update alembic_version set version_num = :revision", revision=revision)

    results = checks(store)

    execute(store, "update alembic_version set version_num = :revision", revision=SCHEMA_REVISION)
    [finding] = results["schema"]["findings"]
    assert f"has schema {revision}" in finding["what"]
    assert fix in finding["fix"]
    assert results["log"]["ok"] is None


@pytest.mark.parametrize("what", ["trigger", "view"])
def test_what_was_planted_in_the_schema_is_named(store: Cli, database: str, what: str):
    kind, statement, removal = {
        ("sqlite", "trigger"): (
            "trigger",
            "create trigger planted before update on keys begin select raise(ignore); end",
            "drop trigger planted",
        ),
        ("postgres", "trigger"): (
            "rule",
            "create rule planted as on update to keys do instead nothing",
            "drop rule planted on keys",
        ),
    }.get((database, what), ("view", "alter table owners rename to genuine", "alter table genuine rename to owners"))
    execute(store, statement)
    if kind == "view":
        execute(store, "create view owners as select * from genuine")

    results = checks(store)

    [finding], log = results["schema"]["findings"], results["log"]
    if kind == "view":
        execute(store, "drop view owners")
    execute(store, removal)
    assert f"the {kind} {'owners' if kind == 'view' else 'planted'}" in finding["what"]
    assert log["ok"] is False
    assert wrong(store) == WEAK


def test_a_profile_that_was_altered_is_found_and_so_is_the_difference_to_the_log(store: Cli):
    execute(store, "update settings set value = '{}' where name = 'profile'")

    results = checks(store)

    assert "is not a valid profile" in results["profile"]["findings"][0]["what"]
    assert results["profile"]["findings"][0]["fix"] == "restore the store from a backup"
    assert results["log"]["findings"][0]["value"] == "the store's profile was altered outside keyctl"
    assert results["undelivered"]["ok"] is True


def test_a_state_that_differs_from_the_log_is_found(store: Cli):
    prefix = mint(store)["prefix"]
    store("revoke", prefix, check=0)
    execute(store, "update keys set revoked_at = null, revoked_reason = null")

    [finding] = found(store, "log")

    assert "revoked_at is null" in finding["value"]
    assert finding["fix"] == "see: keyctl audit list"


@pytest.mark.sqlite
@pytest.mark.parametrize("value", ["x'ff00'", "'text'", "cast(x'ff' as text)", "9223372036854775807"])
def test_no_altered_row_stops_it(empty: Cli, value: str):
    cli = with_profile(
        empty, '[owners]\nrequired = true\n[lifetime]\ndefault = "1d"\nmaximum = "1d"\nrotate_every = "1h"'
    )
    columns = ("phc", "created_at", "expires_at", "owner_id", "prefix", "scopes", "locked_at")
    prefixes = [one["prefix"] for one in mint_many(cli, len(columns), "--owner", "acme", "--create-owner")]
    with closing(sqlite3.connect(store_file(cli))) as connection:
        for prefix, column in zip(prefixes, columns, strict=True):
            connection.execute("update keys set delivered_at = null where prefix = ?", (prefix,))
            connection.execute(f"update keys set {column} = {value} where prefix = ?", (prefix,))
        connection.execute(f"update events set at = {value} where seq = (select max(seq) from events)")
        connection.commit()

    assert wrong(cli) >= {"log"}


@pytest.mark.sqlite
def test_an_interrupted_write_is_found_by_a_user_who_may_not_roll_it_back(store: Cli):
    interrupt_a_write(store)
    for path in (store_file(store), store_file(store).parent):
        path.chmod(0o400 if path.is_file() else 0o500)

    before = store_file(store).read_bytes()
    result = ordinarily(store, "keyctl doctor --json")

    results = {one["name"]: one for one in result.expect(9).json["checks"]}
    [finding] = results["journal"]["findings"]
    assert finding["value"] == f"{store_file(store)}-journal"
    assert finding["fix"] == f"keyctl list --store {store_file(store)}"
    assert results["store"]["ok"] is False
    assert store_file(store).read_bytes() == before
    for path in (store_file(store).parent, store_file(store)):
        path.chmod(0o600 if path.is_file() else 0o700)
    assert wrong(store) == WEAK | {"journal"}  # and rolled back, as any command of this user does
    assert wrong(store) == WEAK


# ── modes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

MODES = [
    (STORE, 0o644, 0o600, "every user may read the store"),
    (STORE, 0o660, 0o600, "its group may write to the store"),
    (".local/share/keyctl", 0o777, 0o700, "every user may write to the folder of the store"),
    (".local/share/keyctl", 0o710, 0o700, "its group may enter the folder of the store"),
    (".config/keyctl", 0o775, 0o755, "its group may write to the configuration folder"),
    (".config/keyctl/config.toml", 0o622, 0o600, "every user may write to the configuration file"),
    (".config/keyctl/bundle.key", 0o640, 0o600, "its group may read the key that signs bundles"),
    (".local/state/keyctl", 0o755, 0o700, "every user may read the folder of the accepted bundles"),
    (".local/state/keyctl/bundles.json", 0o644, 0o600, "every user may read the list of accepted bundles"),
]


@pytest.mark.sqlite
@pytest.mark.parametrize(("name", "mode", "right", "says"), MODES, ids=[f"{one[0]}-{one[1]:o}" for one in MODES])
def test_a_mode_that_gives_others_too_much_is_found_and_fixed(store: Cli, name: str, mode: int, right: int, says: str):
    path = store.home / name
    private_files.make_folder(path.parent if path.suffix else path)
    if path.suffix and not path.exists():
        path.touch()
    path.chmod(mode)

    [finding] = found(store, "modes", "--fix", "--dry-run")
    assert (finding["what"], finding["value"]) == (says, f"{path} (mode {mode:04o})")
    assert finding["fix"] == f"chmod {right:o} {path}"
    assert (finding["fixable"], finding["fixed"]) == (True, False)
    assert path.stat().st_mode & 0o777 == mode
    [finding] = found(store, "modes", "--fix")
    assert finding["fixed"] is True
    assert path.stat().st_mode & 0o777 == right


@pytest.mark.sqlite
def test_a_configuration_is_private_only_if_it_has_a_password(store: Cli):
    file = config_file(store, "[stores]\nteam = 'postgresql://ops@localhost/keys'\n")
    file.chmod(0o644)
    assert wrong(store) == WEAK

    file.write_text("[stores]\nteam = 'postgresql://ops:hunter2@localhost/keys'\n")
    [finding] = found(store, "modes")

    assert finding["what"] == "every user may read the configuration file, which has a password"


@pytest.mark.sqlite
def test_the_folder_of_another_store_is_named_and_never_changed(store: Cli):
    shared = store.cwd / "shared"
    shared.mkdir()
    store("init", "--store", shared / "keys.db", *CHEAP, check=0)
    shared.chmod(0o777)

    [finding] = found(store, "modes", "--store", shared / "keys.db", "--fix")

    assert finding["what"] == "every user may write to the folder of the store"
    assert (finding["fixable"], shared.stat().st_mode & 0o777) == (False, 0o777)


@pytest.mark.sqlite
def test_the_group_that_a_store_is_for_may_read_it_and_no_other_group(store: Cli):
    own = grp.getgrgid(store_file(store).stat().st_gid).gr_name
    store_file(store).chmod(0o640)
    store_file(store).parent.chmod(0o2750)

    for group, flagged in ((own, False), ("no-such-group", True), ("\x00", True)):
        execute(store, "delete from settings where name = 'reader_group'")
        execute(store, "insert into settings values ('reader_group', :name)", name=group)
        assert ("modes" in wrong(store)) is flagged, group


@pytest.mark.sqlite
def test_a_key_file_that_others_may_read_is_found(store: Cli):
    (store.cwd / "a key").write_text("x")
    (store.cwd / "token").write_text("x")
    (store.cwd / "a key").chmod(0o640)
    (store.cwd / "token").chmod(0o604)
    args = ["--key-file", "a key", "--key-file", "missing", "--admin-token-file", "token"]

    findings = found(store, "key-file", *args)

    assert [(one["what"], one["value"], one["fix"]) for one in findings] == [
        ("its group may read the key file", "a key (mode 0640)", "chmod 600 'a key'"),
        ("the mode of the key file cannot be read: No such file or directory", "missing", None),
        ("every user may read the file of the admin token", "token (mode 0604)", "chmod 600 token"),
    ]
    store("doctor", *args, "--fix", check=9)
    assert [one["value"] for one in found(store, "key-file", *args)] == ["missing"]
    [finding] = found(store, "key-file", env={"KEYCTL_ADMIN_TOKEN_FILE": "gone"})
    assert finding["value"] == "gone"


# ── leftovers ────────────────────────────────────────────────────────────────────────────────────────────────────────

LEFT = ".website.key.0123456789abcdef"


@pytest.mark.sqlite
@pytest.mark.parametrize("name", [LEFT, f"{LEFT}.body"])
def test_a_leftover_is_found_and_removed_once_it_is_old(store: Cli, name: str):
    left = store.cwd / name
    left.write_text("kc_live_")

    [finding] = found(store, "leftovers")
    assert (finding["value"], finding["fix"]) == (str(left), f"rm {left}")
    young = store("doctor", "--fix", check=9)
    assert f"warning: not fixed: {left}: it changed in the last 10 minutes" in young.err
    assert left.exists()

    os.utime(left, (time.time() - 700,) * 2)
    assert f"fixable\tleftovers\ta command was killed or is still running, and its file may contain a key\t{left}" in (
        store("doctor", "--fix", "--dry-run", check=9).out
    )
    assert left.exists()
    fixed = store("doctor", "--fix", check=9).out  # the hashes remain
    assert (
        f"fixed\tleftovers\ta command was killed or is still running, and its file may contain a key\t{left}" in fixed
    )
    assert not left.exists()


@pytest.mark.sqlite
def test_leftovers_are_looked_for_wherever_keyctl_writes(store: Cli):
    elsewhere = store.cwd / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "key").touch(0o600)
    folders = [store.home / name for name in (".local/share/keyctl", ".config/keyctl", ".local/state/keyctl")]
    for folder in (*folders, elsewhere):
        folder.mkdir(0o700, parents=True, exist_ok=True)
        (folder / LEFT).touch(0o600)

    values = [one["value"] for one in found(store, "leftovers", "--key-file", elsewhere / "key")]

    assert values == [str(folder / LEFT) for folder in (*folders, elsewhere)]


@pytest.mark.sqlite
def test_links_folders_and_other_names_are_no_leftovers(store: Cli):
    for name in (".key.0123456789abcde", ".key.0123456789abcdeF", "key.0123456789abcdef", f"{LEFT}.bak"):
        (store.cwd / name).touch()
    (store.cwd / LEFT).symlink_to("key.0123456789abcdef")
    (store.cwd / f"{LEFT}.body").mkdir()
    before = sorted(path.name for path in store.cwd.iterdir())

    assert found(store, "leftovers", "--fix") == []
    assert sorted(path.name for path in store.cwd.iterdir()) == before


@pytest.mark.sqlite
def test_a_working_directory_that_was_removed_stops_nothing(store: Cli):
    result = store.shell('mkdir gone; cd gone; rmdir "$PWD"; keyctl doctor --json --key-file key', check=9)

    assert [one["name"] for one in result.json["checks"] if one["ok"] is None] == []


@pytest.mark.sqlite
def test_a_folder_that_cannot_be_read_is_a_finding(store: Cli):
    folder = store.home / ".config/keyctl"
    folder.mkdir(0o700, parents=True)
    folder.chmod(0o300)

    results = {one["name"]: one for one in ordinarily(store, "keyctl doctor --json").expect(9).json["checks"]}

    [finding] = results["leftovers"]["findings"]
    assert finding["what"] == "a folder cannot be searched for leftovers: Permission denied"
    assert results["store"]["ok"] is True


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_may_not_have_been_delivered_is_found_until_it_is_used_or_revoked(store: Cli):
    one, two = mint_many(store, 2)
    execute(store, "update keys set delivered_at = null")

    findings = {finding["value"]: finding for finding in found(store, "undelivered")}

    assert findings.keys() == {one["prefix"], two["prefix"]}
    fix = findings[one["prefix"]]["fix"]
    assert fix == f"if you have it: keyctl verify --record --key-file FILE; if not: keyctl revoke {one['prefix']}"
    store("verify", "--record", stdin=one["key"], check=0)
    store("revoke", two["prefix"], check=0)
    assert found(store, "undelivered") == []


def test_a_rotation_that_was_not_finished_is_found_with_both_ways_to_finish_it(store: Cli):
    old = mint(store)
    new = store("rotate", old["prefix"], "--json", check=0).json
    set_key(store, old["prefix"], replaced_by=None, expires_at=None)
    set_key(store, new["prefix"], delivered_at=None)

    [finding] = found(store, "undelivered")
    assert (finding["what"], finding["value"]) == (f"a rotation of {old['prefix']} was not finished", new["prefix"])
    record = f"keyctl verify --record --key-file FILE, then keyctl revoke {old['prefix']}"
    assert finding["fix"] == f"if you have it: {record}; if not: keyctl rotate {old['prefix']} --yes"

    # Finished by hand, its delivery is still not recorded. Its use settles that.
    store("revoke", old["prefix"], check=0)
    [finding] = found(store, "undelivered")
    assert (finding["what"], finding["value"]) == ("a key may not have been delivered", new["prefix"])
    store("verify", "--record", stdin=new["key"], check=0)
    assert found(store, "undelivered") == []


def test_starting_an_unfinished_rotation_over_leaves_nothing_to_find(store: Cli):
    old = mint(store)
    new = store("rotate", old["prefix"], "--json", check=0).json
    set_key(store, old["prefix"], replaced_by=None, expires_at=None)
    set_key(store, new["prefix"], delivered_at=None)
    [finding] = found(store, "undelivered")

    store(*shlex.split(finding["fix"].partition("if not: keyctl ")[2]), check=0)

    assert found(store, "undelivered") == []
    assert verify(store, new["key"]) == "KEY_REVOKED"


def test_keys_that_the_profile_would_not_permit_are_found(empty: Cli):
    rules = '[owners]\nrequired = true\n[lifetime]\ndefault = "30d"\nmaximum = "30d"\nrotate_every = "20d"\n'
    cli = with_profile(empty, rules)
    minted = mint_many(cli, 5, "--owner", "acme", "--create-owner")
    good, ownerless, endless, due, locked = (one["prefix"] for one in minted)
    assert wrong(cli) == WEAK
    set_key(cli, ownerless, owner_id=None)
    set_key(cli, endless, expires_at=None)
    set_key(cli, due, created_at=ago(days=20))
    set_key(cli, locked, created_at=ago(days=20), locked_at=ago(days=1))

    results = checks(cli)

    [owner], [rotation] = results["owners"]["findings"], results["rotation"]["findings"]
    assert (owner["value"], owner["fix"].rpartition(": ")[2]) == (ownerless, f"keyctl revoke {ownerless}")
    assert (rotation["value"], rotation["fix"]) == (due, f"keyctl rotate {due}")
    expiry = {one["value"]: one for one in results["expiry"]["findings"]}
    assert good not in expiry
    assert expiry[endless]["what"] == "a key never expires, and lives longer than 30d, the profile's maximum"
    for prefix in expiry:
        cli(*shlex.split(expiry[prefix]["fix"])[1:], check=0)
    cli(*shlex.split(rotation["fix"])[1:], check=0)
    results = checks(cli)
    assert results["expiry"]["findings"] == results["rotation"]["findings"] == []
    assert show(cli, endless)["expires_at"] is not None


def test_weak_hashes_are_found_until_they_are_replaced(store: Cli):
    key = mint(store)

    own, row = found(store, "hashes")

    assert own["what"] == "new keys are hashed with Argon2id below OWASP's minimum"
    assert (own["value"], own["fix"]) == ("argon2id m=8,t=1,p=1", "keyctl db hash --argon2 m=19456,t=2,p=1")
    assert row["what"] == "a key is hashed with Argon2id below OWASP's minimum: argon2id m=8,t=1,p=1"
    assert row["value"] == key["prefix"]
    assert row["fix"].startswith(f"keyctl rotate {key['prefix']}; or keyctl verify --record")
    store(*shlex.split(own["fix"])[1:], check=0)
    assert [one["what"] for one in found(store, "hashes")] == [row["what"]]
    store("verify", "--record", stdin=key["key"], check=0)
    assert wrong(store) == set()


@pytest.mark.sqlite
def test_a_pepper_that_is_missing_is_a_finding(cli: Cli):
    cli("db", "pepper", "peppers", "--id", "a", check=0)
    cli("mint", "--init", "--quiet", "--pepper-file", "peppers", check=0)
    assert wrong(cli, "--pepper-file", "peppers") == set()

    [missing] = found(cli, "peppers")

    assert missing["what"] == "a valid key has a hash that needs a pepper, and no pepper file is given"
    assert (missing["value"], missing["fix"]) == ("a", "give the file: --pepper-file FILE")
    (cli.cwd / "peppers").chmod(0o644)
    results = checks(cli, env={"KEYCTL_PEPPER_FILE": "peppers"})
    assert "other users may read or change the pepper file" in results["peppers"]["findings"][0]["what"]
    assert results["modes"]["findings"][0]["fix"] == "chmod 640 peppers"
    cli("doctor", "--fix", "--pepper-file", "peppers", check=0)


def test_an_event_from_the_future_is_a_finding(store: Cli):
    execute(store, "update events set at = :later", later=ago(hours=-2))

    [finding] = found(store, "clock")

    assert finding["what"].startswith("the clock is behind the newest event")


@pytest.mark.sqlite
def test_an_altered_prefix_puts_no_command_into_what_is_typed(store: Cli):
    prefix = mint(store)["prefix"]
    set_key(store, prefix, prefix="$(reboot)\x1b[2J", delivered_at=None)

    out = store("doctor", check=9).out

    assert "keyctl revoke '$(reboot)\\x1b[2J'" in out
    assert "\x1b" not in out


def locked_exclusively(cli: Cli) -> AbstractContextManager[object]:
    """Let no other process read the store."""
    if "KEYCTL_STORE" in cli.env:
        return locked(cli)
    connection = sqlite3.connect(store_file(cli), isolation_level=None)
    connection.execute("begin exclusive")
    return closing(connection)


def interrupt_a_write(cli: Cli) -> None:
    """Leave a journal that has to be rolled back, as a process does that is killed."""
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('pragma cache_size = 1'); c.execute('begin immediate'); c.execute('create table t (a)');"
        "c.executemany('insert into t values (?)', (('y' * 100,) for _ in range(1000))); os.kill(os.getpid(), 9)"
    )
    cli.shell(f'python -c "{script}" {store_file(cli)}', check=-9)
    assert store_file(cli).with_name("keyctl.db-journal").stat().st_size > 512
