"""A server that fails in the middle of a command, cannot be written to, is full, or slow.

Each command ends with exit 5 and names the cause; nothing is half done, and the next command works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from keyctl.profiles.files import load_profile
from keyctl.store.location import StoreLocation
from keyctl.store.schema import create
from tests.cli.helpers import verify
from tests.cluster import FAST, IMMEDIATE, Server, running_server
from tests.runner import Cli, Result
from tests.stores import ACTOR, CHEAP, NOW
from tests.tcp import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.torture(only=True)]

# {0} and {1} are prefixes of keys that are there, {2} is new.
COMMANDS = [
    ["mint"],
    ["mint", "--count", "50"],
    ["mint", "--out", "new.txt"],
    ["rotate", "{0}", "--grace", "0"],
    ["rotate", "{0}", "--grace", "1h", "--out", "new.txt"],
    ["revoke", "{0}", "{1}", "--yes"],
    ["lock", "{0}"],
    ["owner", "add", "owner-{2}"],
]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.config.getoption("--postgres")) as server:
        fill(server)
        yield server


def fill(server: Server) -> None:
    store, _ = create(StoreLocation.parse(server.url), load_profile("standard"), CHEAP, actor=ACTOR, now=NOW)
    store.close()


@pytest.fixture
def store(cli: Cli, server: Server) -> Cli:
    cli.env["KEYCTL_STORE"] = server.url
    return cli


class Keys:
    """Keys that are there before a fault, and what must hold of all keys after it."""

    def __init__(self, store: Cli) -> None:
        self._store = store
        self.texts = store("mint", "--count", "2", check=0).out.split()
        self.prefixes = [text.rpartition("_")[0] for text in self.texts]
        self._known = set(self._statuses())

    def arguments(self, command: list[str]) -> list[str]:
        return [word.format(*self.prefixes, uuid4().hex) for word in command]

    def check(self, result: Result, *, wrote: bool) -> None:
        """Claim that a command has done all that it does, or nothing; and that the store works."""
        self._store("audit", "verify", check=0)
        out = self._store.cwd / "new.txt"
        given = result.out.split() if result.args[0] in ("mint", "rotate") else []
        given += out.read_text().split() if out.exists() else []
        delivered = {text.rpartition("_")[0] for text in given}
        statuses = self._statuses()
        for prefix in statuses.keys() - self._known:
            assert (statuses[prefix] == "active") is (prefix in delivered), (prefix, statuses[prefix], result)
        for text in given:
            assert verify(self._store, text) == "VALID"
        changed = [status != "active" for status in (statuses[prefix] for prefix in self.prefixes)]
        if result.args[0] == "revoke":
            assert len(set(changed)) == 1, (changed, result)
        if result.args[0] == "rotate":
            assert delivered or not any(changed), (changed, result)
        if not wrote:
            assert not any(changed), (changed, result)
            assert not given, result
        out.unlink(missing_ok=True)
        assert list(self._store.cwd.iterdir()) == []
        assert verify(self._store, self._store("mint", check=0).out) == "VALID"
        self._known = set(self._statuses())

    def _statuses(self) -> dict[str, str]:
        listed = self._store("list", "--all", "--json", check=0).json["keys"]
        return {key["prefix"]: key["status"] for key in listed}


def refused(result: Result, *, says: str) -> Result:
    """Claim that a command has ended with exit 5 and this cause."""
    result.expect(5)
    assert says in result.err, result
    assert "Traceback" not in result.err, result
    assert "$argon2id$" not in result.err, result
    return result


@contextmanager
def held(server: Server) -> Iterator[Callable[[], None]]:
    """Be in the middle of another write; yield a function that waits until a command waits for it."""
    with psycopg.connect(server.url) as connection, psycopg.connect(server.url, autocommit=True) as watching:
        connection.execute("select * from audit_head for update")

        def wait() -> None:
            end = time.monotonic() + 20
            while watching.execute("select count(*) from pg_locks where not granted").fetchone() == (0,):
                assert time.monotonic() < end, "no command waits"
                time.sleep(0.01)

        yield wait


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("how", [IMMEDIATE, FAST], ids=["immediate", "fast"])
def test_a_server_that_is_stopped_in_the_middle_of_a_command(store: Cli, server: Server, command: list[str], how: Any):
    keys = Keys(store)
    try:
        with held(server) as wait:
            process = store.spawn(*keys.arguments(command), "--wait", "20s")
            wait()
            server.stop(how)
    except psycopg.OperationalError:  # the connection that held the lock is gone as well
        pass
    result = refused(process.wait(), says="the store postgresql://postgres@127.0.0.1")
    refused(store("list"), says="cannot be reached")
    server.start()

    keys.check(result, wrote=False)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_stopped_at_any_moment(store: Cli, server: Server, command: list[str]):
    """Random moments: also between the transactions of one command, where a key is delivered or revoked."""
    for moment in range(8):
        keys = Keys(store)
        process = store.spawn(*keys.arguments(command))
        time.sleep(0.02 + 0.02 * moment)
        server.stop()
        result = process.wait()
        server.start()

        assert result.code in (0, 5, 21), result
        assert "Traceback" not in result.err, result
        keys.check(result, wrote=True)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_read_only(store: Cli, server: Server, command: list[str]):
    keys = Keys(store)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("alter database postgres set default_transaction_read_only = on")
        try:
            result = refused(store(*keys.arguments(command)), says="cannot be written to: the server is read-only")
            assert verify(store, keys.texts[0]) == "VALID"
        finally:
            connection.execute("alter database postgres reset default_transaction_read_only")

    keys.check(result, wrote=False)


def test_a_standby_answers_and_refuses_changes(store: Cli, server: Server):
    keys = Keys(store)
    with server.standby() as standby:
        env = {"KEYCTL_STORE": standby.url}
        store("verify", stdin=keys.texts[0], env=env, check=0)
        store("audit", "verify", env=env, check=0)
        for command in COMMANDS:
            result = refused(store(*keys.arguments(command), env=env), says="the server is read-only")
            keys.check(result, wrote=False)
            server.wait_for_standby(standby)
        to_write = f"{standby.url}?target_session_attrs=read-write"
        both = to_write.replace(f":{standby.port}", f":{standby.port},127.0.0.1:{server.port}")
        store("mint", env={"KEYCTL_STORE": both}, check=0)
        refused(store("mint", env={"KEYCTL_STORE": to_write}), says="read-only")
        promoted = store.spawn("mint", "--wait", "20s", env={"KEYCTL_STORE": to_write})
        time.sleep(0.5)
        standby.promote()
        promoted.wait().expect(0)


def test_a_server_whose_disk_is_full(cli: Cli, request: pytest.FixtureRequest):
    with running_server(request.config.getoption("--postgres"), disk="160m") as server:
        fill(server)
        cli.env["KEYCTL_STORE"] = server.url
        for command in (["mint", "--count", "5000"], *COMMANDS):
            keys = Keys(cli)
            with server.full_disk():
                result = cli(*keys.arguments(command))
                assert cli("verify", stdin=keys.texts[0]).code in (0, 5)
            server.stop()  # without space for its log, PostgreSQL itself gives up
            server.start()

            assert result.code in (0, 5, 21), result  # what fits into the space that the tables have is written
            if "5000" in command:
                refused(result, says="No space left on device")
            keys.check(result, wrote=True)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_slow(store: Cli, server: Server, command: list[str]):
    """Slow is not a fault: what takes a long time, but less than the limits, succeeds."""
    keys = Keys(store)
    with closing(Proxy(server.socket, delay=0.15)) as proxy:
        env = {"KEYCTL_STORE": server.url.replace(str(server.port), str(proxy.port))}
        result = store(*keys.arguments(command), env=env, check=0)

    keys.check(result, wrote=True)
