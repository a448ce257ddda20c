"""What only a server can do to a store: be elsewhere, refuse, lose the connection, be asked by many at once."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from keyctl.errors import StoreBusy, StoreUnavailable, UsageError
from keyctl.store import postgres as driver
from keyctl.store import schema
from keyctl.store.database import Connection, Database, Store
from keyctl.store.integrity import check
from keyctl.store.location import StoreLocation
from keyctl.store.schema import ddl
from keyctl.store.tables import metadata
from tests import postgres
from tests.cli.helpers import CHEAP, config_file, dump, mint, refused, verify
from tests.runner import Cli, Result
from tests.stores import Opened
from tests.tcp import Meddle, Proxy, deliver_late, lose_the_answer, lose_the_request

pytestmark = pytest.mark.postgres

COMMANDS = [["list"], ["mint"], ["verify"], ["revoke", "kc_live_x", "--yes"], ["owner", "add", "x"], ["db", "status"]]
PASSWORD = "hunter2"
KEY = "kc_live_" + "0" * 12 + "_" + "0" * 38


@pytest.fixture
def place(own_server: str, empty_store: str) -> Iterator[str]:
    """The URL of an empty store on a server that is the tests' own."""
    with postgres.schema(own_server, ddl("postgresql").rstrip(";"), empty_store) as url:
        yield url


@pytest.fixture
def store(cli: Cli, place: str) -> Iterator[Cli]:
    cli.env["KEYCTL_STORE"] = place
    yield cli
    cli.close()


@pytest.fixture
def opened(place: str) -> Iterator[Opened]:
    opened = Opened(Store(StoreLocation.parse(place)))
    yield opened
    opened.store.close()


@pytest.fixture
def proxied(own_server: str) -> Iterator[Callable[..., Proxy]]:
    """Opens a port behind which the server is."""
    proxies: list[Proxy] = []

    def open_port(**how: Any) -> Proxy:
        [folder] = parse_qs(urlsplit(own_server).query)["host"]
        proxies.append(Proxy(Path(folder, ".s.PGSQL.5432"), **how))
        return proxies[-1]

    yield open_port
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def guarded(own_server: str, place: str) -> Iterator[str]:
    """A role that needs its password, and may do everything."""
    with psycopg.connect(own_server, autocommit=True) as connection:
        connection.execute(f"create role guarded superuser login password '{PASSWORD}'")
        yield "guarded"
        connection.execute("drop role guarded")


def over_tcp(place: str, port: int, *, user: str = "postgres", host: str = "127.0.0.1") -> str:
    """The same store, as if it were on another machine."""
    options = place.rpartition("options=")[2]
    return f"postgresql://{user}@{host}:{port}/postgres?options={options}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def out_of_reach(cli: Cli, *args: str, code: int = 5, says: str | list[str], **how: Any) -> Result:
    """Claim that a command fails with a message and a hint, as text, as JSON and for a debugger; no password in any."""
    result = cli(*args, **how).expect(code)
    as_json = cli("--json", *args, **how).expect(code)
    debugging = cli(*args, **{**how, "env": {**how.get("env", {}), "KEYCTL_DEBUG": "1"}}).expect(code)
    for one in (result, as_json, debugging):
        assert one.out == "", one
        assert PASSWORD not in one.err, one
    assert "Traceback" not in result.err
    assert "Traceback" in debugging.err
    assert len(result.err.splitlines()) <= 3, result
    for words in [says] if isinstance(says, str) else says:
        assert words in result.err, result
    assert as_json.err.splitlines()[-1].startswith('{"error":{"code":"')
    return result


# ── out of reach ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", [*COMMANDS, ["init"], ["db", "upgrade"], ["audit", "verify"]], ids=" ".join)
def test_a_server_that_refuses(cli: Cli, command: list[str]):
    url = f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/keys"

    result = out_of_reach(
        cli,
        *command,
        stdin=KEY,
        env={"KEYCTL_STORE": url},
        says=["postgresql://me:***@127.0.0.1:", "cannot be reached"],
    )

    assert "--wait 30s" in result.err


def test_a_server_that_never_answers(cli: Cli):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/keys"
        start = time.monotonic()

        result = cli("list", "--store", url, "--wait", "2s", check=5)

    assert 2 <= time.monotonic() - start < 15
    assert "127.0.0.1" in result.err
    assert "timeout" in result.err


def test_a_host_that_is_not_there_is_named(cli: Cli):
    result = cli("list", "--store", "postgresql://db.invalid/keys", check=5)

    assert "postgresql://db.invalid/keys cannot be reached" in result.err


@pytest.mark.parametrize(
    "url", ["postgresql://me:{}x y@h/d", "postgresql://[", "postgresql://h/d?nonsense=1&password={}"]
)
def test_a_url_that_is_none_is_a_usage_error(cli: Cli, url: str):
    for command in (["list"], ["mint", "--init"]):
        out_of_reach(
            cli, *command, env={"KEYCTL_STORE": url.format(PASSWORD)}, code=2, says="is not a valid database URL: "
        )


def test_a_database_that_is_not_there(cli: Cli, own_server: str):
    url = own_server.replace("/postgres?", "/nothing?")

    out_of_reach(cli, "list", env={"KEYCTL_STORE": url}, says=["there is no store", "/nothing", "createdb"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_without_a_store(cli: Cli, empty_schema: str, command: list[str]):
    cli.env["KEYCTL_STORE"] = empty_schema

    refused(cli, *command, stdin=KEY, code=6, says=["holds no keyctl store", "keyctl init --store"])


@pytest.mark.parametrize(("version", "says"), [("0000", "keyctl db upgrade"), ("9999", "upgrade keyctl")])
def test_an_older_and_a_newer_schema(store: Cli, place: str, version: str, says: str):
    postgres.run(place, f"update alembic_version set version_num = '{version}'")

    for command in [["list"], ["mint"], ["verify"], ["init"], ["audit", "verify"]]:
        refused(store, *command, stdin=KEY, code=6, says=[f"has schema {version}", says])


def test_a_table_of_another_program_is_not_changed(cli: Cli, empty_schema: str):
    postgres.run(empty_schema, "create table keys (id int); create table orders (id int)")
    cli.env["KEYCTL_STORE"] = empty_schema

    result = cli("init", check=5)

    assert "tables that are not keyctl's: keys\n" in result.err
    assert "search_path" in result.err
    with psycopg.connect(empty_schema) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = current_schema order by 1")
        assert tables.fetchall() == [("keys",), ("orders",)]


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_password(store: Cli, place: str, guarded: str, proxied: Callable[..., Proxy]):
    port = proxied().port
    for secret in ("", f":not-{PASSWORD}"):
        url = over_tcp(place, port, user=f"{guarded}{secret}")

        result = out_of_reach(store, "mint", env={"KEYCTL_STORE": url}, says=["refused the connection", "127.0.0.1"])

        assert "~/.pgpass" in result.err
    assert dump(store) is not None


def test_a_server_without_a_free_connection_is_busy(
    store: Cli, own_server: str, place: str, guarded: str, proxied: Callable[..., Proxy]
):
    postgres.run(own_server, f"alter role {guarded} nosuperuser connection limit 0")
    url = over_tcp(place, proxied().port, user=f"{guarded}:{PASSWORD}")

    out_of_reach(store, "list", env={"KEYCTL_STORE": url}, says=["is busy: ", "too many connections", "try again"])


def test_libpqs_own_ways_to_give_a_password(store: Cli, place: str, guarded: str, proxied: Callable[..., Proxy]):
    port = proxied().port
    url = over_tcp(place, port, user=guarded)
    options = place.rpartition("options=")[2].replace("%3D", "=")
    passwords = store.home / ".pgpass"
    passwords.write_text(f"127.0.0.1:{port}:postgres:{guarded}:{PASSWORD}\n")
    passwords.chmod(0o600)
    services = store.home / "services"
    services.write_text(
        f"[team]\nhost=127.0.0.1\nport={port}\ndbname=postgres\nuser={guarded}\npassword={PASSWORD}\noptions={options}\n"
    )
    ways = {
        "~/.pgpass": {"KEYCTL_STORE": url},
        "PGPASSWORD": {"KEYCTL_STORE": url, "HOME": str(store.cwd), "PGPASSWORD": PASSWORD},
        "service": {
            "KEYCTL_STORE": "postgresql:///?service=team",
            "HOME": str(store.cwd),
            "PGSERVICEFILE": str(services),
        },
        "in the URL": {"KEYCTL_STORE": url.replace("@", f":{PASSWORD}@"), "HOME": str(store.cwd)},
    }

    for way, env in ways.items():
        result = store("mint", "--name", way, "--json", env=env, check=0)
        assert PASSWORD not in result.err, way
        shown = store("config", "show", env=env, check=0)
        assert PASSWORD not in shown.out + shown.err, way
        assert store("db", "status", "--json", env=env, check=0).json["state"] == "current"

    names = {key["name"] for key in store("list", "--json", check=0).json["keys"]}
    assert names == set(ways)


def test_a_store_has_a_name_in_the_configuration(store: Cli, place: str):
    config_file(store, f'store = "team"\n[stores]\nteam = "{place}"\n')
    mint(store, "--name", "ours")
    env = {"KEYCTL_STORE": None}

    for args, how in [([], {"env": env}), (["--store", "team"], {"env": env}), ([], {"env": {"KEYCTL_STORE": "team"}})]:
        assert "ours" in store("list", *args, **how, check=0).out


def test_a_password_on_the_command_line_is_warned_of(store: Cli, place: str):
    url = place.replace("postgres@/", f"postgres:{PASSWORD}@/")

    result = store("list", "--store", url, check=0)

    assert "visible to every process" in result.err
    assert PASSWORD not in result.out + result.err
    assert "visible" not in store("list", env={"KEYCTL_STORE": url}, check=0).err


@pytest.mark.parametrize(
    ("url", "env", "warned"),
    [
        ("postgresql://u@db.example:{}/keys?hostaddr=127.0.0.1", {}, True),
        ("postgresql://u@db.example:{}/keys?hostaddr=127.0.0.1&sslmode=require", {}, True),
        ("postgresql://u@:{}/keys?host=db.example&hostaddr=127.0.0.1", {}, True),
        ("postgresql://u@:{}/keys?hostaddr=127.0.0.1", {"PGHOST": "db.example"}, True),
        ("postgresql://u@db.example:{}/keys?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=system", {}, False),
        ("postgresql://u@127.0.0.1:{}/keys", {}, False),
        ("postgresql://u@localhost:{}/keys", {}, False),
        ("postgresql://u@:{}/keys?host=/nowhere", {}, False),
    ],
)
def test_a_server_elsewhere_whose_certificate_is_not_verified_is_warned_of(
    cli: Cli, url: str, env: dict[str, str], warned: bool
):
    result = cli("list", "--store", url.format(free_port()), env=env, check=5)

    assert ("its certificate is not verified: add sslmode=verify-full" in result.err) is warned, result


# ── in the middle of it ──────────────────────────────────────────────────────────────────────────────────────────────


def waiting(place: str, count: int = 1) -> list[int]:
    """Wait until this many server processes wait for a lock in this schema; return their ids."""
    schema_name = place.rpartition("%3D")[2]
    query = (
        "select l.pid from pg_locks l where not granted and exists (select from pg_locks o join pg_class c on"
        " o.relation = c.oid join pg_namespace n on n.oid = c.relnamespace where o.pid = l.pid and n.nspname = %s)"
    )
    end = time.monotonic() + 30
    with psycopg.connect(place, autocommit=True) as connection:
        while time.monotonic() < end:
            found = [pid for (pid,) in connection.execute(query, [schema_name])]
            if len(found) >= count:
                return found
            time.sleep(0.02)
    raise AssertionError("nobody waits for a lock")


def hold(place: str) -> psycopg.Connection:
    """Be another process in the middle of a write."""
    connection = psycopg.connect(place)
    connection.execute("select * from audit_head for update")
    return connection


def test_a_store_that_another_process_writes_to_is_busy_after_the_wait(store: Cli, place: str):
    before = dump(store)
    with hold(place):
        start = time.monotonic()
        result = store("mint", "--wait", "1s", check=5)
        assert 1 <= time.monotonic() - start < 10
        assert store("list", "--wait", "0", check=0).out == ""

    assert "is busy: another process is writing to it" in result.err
    assert result.out == ""
    assert dump(store) == before


def test_a_write_waits_until_the_other_process_is_done(store: Cli, place: str):
    with hold(place) as other:
        process = store.spawn("mint", "--wait", "30s")
        waiting(place)
        other.commit()

    process.wait().expect(0)


@pytest.mark.parametrize("args", [["mint", "--out", "key.txt"], ["mint", "--count", "3"], ["owner", "add", "acme"]])
def test_a_server_process_that_is_ended_leaves_nothing_half_done(store: Cli, place: str, args: list[str]):
    before = dump(store)
    with hold(place) as other:
        process = store.spawn(*args, "--wait", "30s", env={"KEYCTL_DEBUG": "1"})
        [pid] = waiting(place)
        other.execute("select pg_terminate_backend(%s)", [pid])
        result = process.wait().expect(5)

    assert result.out == ""
    assert "keyctl: error: the store postgresql://" in result.err
    assert "$argon2id$" not in result.err
    assert dump(store) == before
    assert list(store.cwd.iterdir()) == []
    store("mint", check=0)


def test_a_network_that_goes_away_leaves_nothing_half_done(store: Cli, place: str, proxied: Callable[..., Proxy]):
    proxy = proxied()
    before = dump(store)
    with hold(place):
        process = store.spawn("mint", "--wait", "30s", env={"KEYCTL_STORE": over_tcp(place, proxy.port)})
        waiting(place)
        proxy.close()
        result = process.wait().expect(5)

    assert result.out == ""
    assert "127.0.0.1" in result.err
    assert dump(store) == before


def test_a_server_that_is_read_only_can_be_read(store: Cli, place: str):
    key = mint(store)
    before = dump(store)
    env = {"KEYCTL_STORE": f"{place}%20-cdefault_transaction_read_only%3Don"}

    assert key["prefix"] in store("list", env=env, check=0).out
    assert store("verify", stdin=key["key"], env=env, check=0).out.startswith("VALID")
    store("audit", "verify", env=env, check=0)
    for args in (
        *(["mint"], ["mint", "--out", "new.txt"], ["rotate", key["prefix"]], ["lock", key["prefix"]]),
        *(["owner", "add", "x"], ["verify", "--record"]),
    ):
        out_of_reach(store, *args, stdin=key["key"], env=env, says=["the server is read-only", "primary"])
    assert dump(store) == before
    assert list(store.cwd.iterdir()) == []


def test_a_store_is_not_created_on_a_server_that_is_read_only(cli: Cli, empty_schema: str):
    env = {"KEYCTL_STORE": f"{empty_schema}%20-cdefault_transaction_read_only%3Don"}

    out_of_reach(cli, "init", env=env, says="the server is read-only")


# ── a commit whose outcome was not reported ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("args", [["mint"], ["mint", "--out", "key.txt"], ["owner", "add", "acme"]], ids=" ".join)
@pytest.mark.parametrize("meddle", [lose_the_answer, deliver_late])
def test_a_commit_that_was_applied_counts(
    store: Cli, place: str, proxied: Callable[..., Proxy], args: list[str], meddle: Meddle
):
    env = {"KEYCTL_STORE": over_tcp(place, proxied(meddle=meddle).port)}

    result = store(*args, env=env, check=0)

    if args[0] == "mint":
        text = result.out or (store.cwd / "key.txt").read_text()
        assert verify(store, text) == "VALID"
        assert [bool(key["delivered_at"]) for key in store("list", "--json", check=0).json["keys"]] == [True]
    else:
        assert store("owner", "list", check=0).out.startswith("acme")
    store("audit", "verify", check=0)


@pytest.mark.parametrize("args", [["mint"], ["mint", "--out", "key.txt"], ["owner", "add", "acme"]], ids=" ".join)
def test_a_commit_that_was_not_applied_is_an_error(
    store: Cli, place: str, proxied: Callable[..., Proxy], args: list[str]
):
    before = dump(store)
    env = {"KEYCTL_STORE": over_tcp(place, proxied(meddle=lose_the_request).port)}

    result = store(*args, env=env, check=5)

    assert result.out == ""
    assert "127.0.0.1" in result.err
    assert dump(store) == before
    assert list(store.cwd.iterdir()) == []


def test_a_delivery_whose_note_was_lost_says_that_the_key_works(store: Cli, place: str, proxied: Callable[..., Proxy]):
    env = {"KEYCTL_STORE": over_tcp(place, proxied(meddle=lose_the_request, after=1).port)}

    result = store("mint", env=env, check=5)

    assert "was delivered and works, but the delivery could not be recorded" in result.err
    assert verify(store, result.out) == "VALID"
    store("audit", "verify", check=0)


def test_where_the_outcome_cannot_be_looked_up_that_is_said(store: Cli, place: str, proxied: Callable[..., Proxy]):
    def lose_everything(*connection: Any) -> None:
        proxy.refuse()
        lose_the_answer(*connection)

    proxy = proxied(meddle=lose_everything)

    result = store("mint", env={"KEYCTL_STORE": over_tcp(place, proxy.port)}, check=5)

    assert "the outcome is unknown" in result.err
    assert "keyctl audit list" in result.err
    assert result.out == ""


# ── several at once ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ["40001", "40P01", "23505"], ids=["serialisation", "deadlock", "unique"])
def test_a_transaction_that_another_one_was_before_runs_again(opened: Opened, state: str):
    tries = []

    def work(connection: Connection) -> str:
        tries.append(connection.execute(text("select count(*) from settings")).scalar())
        connection.execute(text(f"insert into settings values ('try {len(tries)}', 'x')"))
        if len(tries) < 4:
            connection.execute(text(f"do $$ begin raise sqlstate '{state}'; end $$"))
        return "done"

    assert opened.store.write(work) == "done"
    assert len(set(tries)) == 1  # each began where the first did
    assert len(tries) == 4


def test_what_always_collides_is_reported_in_the_end(opened: Opened):
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        connection.execute(text("do $$ begin raise sqlstate '40001'; end $$"))

    with pytest.raises(StoreUnavailable, match="40001"):
        opened.store.write(work)
    assert len(tries) == 10


def test_a_real_deadlock_is_broken_and_both_get_their_way(opened: Opened):
    names = [f"key {i}" for i in range(2)]
    opened.store.write(lambda c: [c.execute(text("insert into settings values (:n, '0')"), {"n": n}) for n in names])
    met = threading.Barrier(2, timeout=20)

    def change(order: list[str]) -> None:
        tries: list[int] = []

        def work(connection: Connection) -> None:
            tries.append(1)
            for name in order:
                connection.execute(text("update settings set value = value || '1' where name = :n"), {"n": name})
                if name == order[0] and len(tries) == 1:
                    met.wait()

        opened.store.write(work)

    threads = [threading.Thread(target=change, args=[order]) for order in (names, names[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with opened.store.read() as connection:
        values = connection.execute(text("select value from settings where name like 'key %'")).scalars()
        assert list(values) == ["011", "011"]


@pytest.mark.parametrize("command", [["init", *CHEAP], ["mint", "--init"]], ids=" ".join)
def test_of_several_creations_at_once_one_makes_the_store_and_all_have_it(
    cli: Cli, empty_schema: str, command: list[str]
):
    cli.env["KEYCTL_STORE"] = empty_schema
    processes = [cli.spawn(*command, "--wait", "60s") for _ in range(5)]

    for process in processes:
        process.wait().expect(0)

    events = cli("audit", "list", "--action", "store.created", "--json", check=0).json["events"]
    assert len(events) == 1
    cli("audit", "verify", check=0)
    cli.close()


UPGRADE = """
import sys
from keyctl.store.location import StoreLocation
from keyctl.store import schema
from keyctl.store.database import Database
schema.__file__, schema.SCHEMA_REVISION = sys.argv[1], "9999"
print(*schema.upgrade(Database(StoreLocation.parse(sys.argv[2]), wait=30)))
"""
SLOW = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade():
    op.execute("select pg_sleep(1)")
    op.add_column("keys", sa.Column("new", sa.Integer))
"""


def test_of_two_upgrades_at_once_one_runs_and_the_other_waits(place: str, tmp_path: Path):
    newest = schema.SCHEMA_REVISION
    migrations = Path(schema.__file__).with_name("migrations")
    shutil.copytree(migrations, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "migrations/versions/9999_slow.py").write_text(SLOW.format(newest=newest))
    command = [sys.executable, "-c", UPGRADE, str(tmp_path / "schema.py"), place]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    answers = sorted(process.communicate(timeout=60)[0] for process in processes)

    assert answers == [f"{newest} 9999\n", "9999 9999\n"]
    with psycopg.connect(place) as connection:
        connection.execute("select new from keys")


def test_an_upgrade_may_take_longer_than_a_statement(place: str, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(
        schema, "_migrate", lambda connection: seen.append(connection.scalar(text("show statement_timeout")))
    )
    database = Database(StoreLocation.parse(place))

    schema.upgrade(database)

    assert seen == ["0"]
    with database.read() as connection:
        assert connection.scalar(text("show statement_timeout")) == "1min"
    database.close()


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_comes_up_is_waited_for_if_asked(store: Cli, place: str, proxied: Callable[..., Proxy]):
    port = free_port()
    url = over_tcp(place, port)
    assert "cannot be reached" in store("list", "--store", url, check=5).err
    process = store.spawn("list", "--store", url, "--wait", "30s")
    time.sleep(0.5)

    proxied(port=port)

    process.wait().expect(0)


def test_waiting_ends(cli: Cli):
    start = time.monotonic()

    cli("list", "--store", f"postgresql://127.0.0.1:{free_port()}/x", "--wait", "1s", check=5)

    assert 1 <= time.monotonic() - start < 10


def test_a_password_that_is_wrong_is_not_tried_again(
    store: Cli, place: str, guarded: str, proxied: Callable[..., Proxy]
):
    start = time.monotonic()

    store("list", "--store", over_tcp(place, proxied().port, user=guarded), "--wait", "60s", check=5)

    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("lock_timeout", "2500ms"),
        ("statement_timeout", f"{driver.STATEMENT_TIMEOUT // 60}min"),
        ("idle_in_transaction_session_timeout", f"{driver.IDLE_TIMEOUT // 60}min"),
        ("application_name", "keyctl"),
    ],
)
def test_every_connection_has_its_time_outs(place: str, setting: str, expected: str):
    database = Database(StoreLocation.parse(place), wait=2.5)
    with database.read() as connection:
        read = connection.scalar(text(f"show {setting}"))
    written = database.write(lambda connection: connection.scalar(text(f"show {setting}")))
    database.close()

    assert (read, written) == (expected, expected)


def test_a_statement_that_takes_too_long_is_given_up(place: str):
    database = Database(StoreLocation.parse(place))

    def work(connection: Connection) -> None:
        connection.execute(text("set local statement_timeout = 100"))
        connection.execute(text("select pg_sleep(10)"))

    with pytest.raises(StoreBusy, match="took longer than"):
        database.write(work)
    database.close()


def test_what_only_reads_sees_one_state_and_cannot_write(opened: Opened):
    with opened.store.read() as connection:
        assert connection.scalar(text("select count(*) from keys")) == 0
        opened.mint()
        assert connection.scalar(text("select count(*) from keys")) == 0
        assert connection.scalar(text("show transaction_read_only")) == "on"
        assert connection.scalar(text("show transaction_isolation")) == "repeatable read"


# ── the schema ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tables_of(place: str) -> dict[str, Any]:
    """Everything about the tables of a schema that the engine can report."""
    database = Database(StoreLocation.parse(place))
    with database.read() as connection:
        inspector = inspect(connection)
        facets = ("get_pk_constraint", "get_indexes", "get_foreign_keys", "get_unique_constraints")
        told = {
            table: [
                *(getattr(inspector, facet)(table) for facet in facets),
                [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)],
            ]
            for table in inspector.get_table_names()
        }
    database.close()
    return told


def test_the_migrations_make_what_the_metadata_would(place: str, own_server: str):
    database = Database(StoreLocation.parse(place))
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    database.close()

    with postgres.schema(own_server) as declared:
        other = Database(StoreLocation.parse(declared))
        other.write(metadata.create_all)
        other.close()
        upgraded = tables_of(place)
        del upgraded["alembic_version"]
        assert tables_of(declared) == upgraded


def test_texts_are_sorted_by_code_point_whatever_the_cluster_speaks(place: str):
    with psycopg.connect(place) as connection:
        query = (
            "select distinct collation_name from information_schema.columns"
            " where table_schema = current_schema and data_type = 'text'"
        )
        assert connection.execute(query).fetchall() == [("C",)]


def test_a_dba_may_run_the_printed_ddl_and_init_does_the_rest(cli: Cli, empty_schema: str):
    cli.env["KEYCTL_STORE"] = empty_schema
    printed = cli("db", "upgrade", "--sql", check=0)
    assert not re.search(r"\bdrop\b", printed.out.lower())
    with psycopg.connect(empty_schema, autocommit=True) as connection:
        connection.execute(printed.out)
    assert "is not initialised" in cli("list", check=6).err

    assert cli("init", *CHEAP, "--json", check=0).json["created"]

    key = cli("mint", check=0).out
    assert verify(cli, key) == "VALID"
    assert "up to date" in cli("db", "upgrade", check=0).err
    cli("audit", "verify", check=0)


def test_the_ddl_is_printed_without_a_server(cli: Cli):
    printed = cli("db", "upgrade", "--sql", "--store", f"postgresql://127.0.0.1:{free_port()}/x", check=0)

    assert printed.out.startswith("BEGIN;")
    assert re.search(r"CREATE TABLE keys\b", printed.out)


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(opened: Opened, place: str, monkeypatch: pytest.MonkeyPatch):
    before = postgres.contents(place), tables_of(place)

    def fail(connection: Connection) -> None:
        connection.execute(text("create table half_done (x int)"))
        connection.execute(text("update settings set value = 'half done'"))
        raise LookupError

    monkeypatch.setattr(schema, "_migrate", fail)
    with pytest.raises(LookupError):
        schema.upgrade(opened.store)

    assert (postgres.contents(place), tables_of(place)) == before
    assert check(opened.store).fault is None


def test_a_message_holds_no_parameters(opened: Opened):
    key = opened.mint()[0].record.key

    def collide(connection: Connection) -> None:
        connection.execute(text("insert into owners (id, handle) values ('x', :phc)"), {"phc": key.phc})

    with pytest.raises(StoreUnavailable) as error:
        opened.store.write(collide)

    cause = error.value.__cause__
    told = f"{error.value} {error.value.hint} {cause} {cause!r} {cause.__cause__} {cause.__cause__!r}"
    assert "violates not-null constraint" in told
    assert "$argon2id$" not in told


def test_the_location_needs_no_server_to_be_refused():
    with pytest.raises(UsageError, match="is not a valid database URL"):
        Database(StoreLocation.parse(f"postgresql://me:{PASSWORD}@h:port:x/d?{PASSWORD}"))
