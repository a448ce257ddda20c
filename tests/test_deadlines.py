"""No call waits longer than it was asked to, whatever the store does meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from keyctl.errors import StoreBusy, StoreUnavailable
from keyctl.store import postgres as driver
from keyctl.store.database import Database, Store
from keyctl.store.location import StoreLocation
from keyctl.store.postgres_connection import PostgresConnection
from keyctl.store.postgres_dialer import RIVAL_AFTER
from keyctl.store.schema import ddl
from keyctl.verifier import Verifier
from tests import postgres
from tests.runner import Cli
from tests.stores import Opened, new_store
from tests.tcp import Proxy, hear_nothing
from tests.test_verifier import Memory
from tests.test_verifier import mint as mint_in_memory

WAIT = 1.0
TOLERANCE = 0.7  # seconds, on a machine that is busy


@contextmanager
def in_time(seconds: float = WAIT) -> Iterator[None]:
    """Claim that what is done meanwhile takes about this time, and no longer."""
    start = time.monotonic()
    yield
    assert seconds - 0.1 <= time.monotonic() - start <= seconds + TOLERANCE


def all_at_once(count: int, call: Callable[[], object]) -> list[tuple[float, BaseException | None]]:
    """Make calls in as many threads; return how long each took, and its error."""

    def timed() -> tuple[float, BaseException | None]:
        start = time.monotonic()
        try:
            call()
        except StoreUnavailable as error:
            return time.monotonic() - start, error
        return time.monotonic() - start, None

    with ThreadPoolExecutor(count) as pool:
        return [each.result() for each in [pool.submit(timed) for _ in range(count)]]


# ── a file that another process has locked ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = new_store(tmp_path / "keys.db")
    yield opened
    opened.store.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        yield


@pytest.mark.parametrize("due", [True, False], ids=["refreshing", "looking up"])
def test_threads_that_wait_for_a_locked_file_all_end_at_their_deadline(opened: Opened, due: bool):
    key = opened.mint()[0].text
    timer = (lambda: time.monotonic() * 1e6) if due else (lambda: 0.0)
    with closing(Verifier.from_store(str(opened.path), wait=WAIT, timer=timer, cache_size=0)) as verifier:
        assert verifier.verify(key)

        with locked(opened.path):
            answers = all_at_once(8, lambda: verifier.verify(key))

        assert {type(error) for _, error in answers} == {StoreBusy}
        assert max(took for took, _ in answers) <= WAIT + TOLERANCE
        assert verifier.verify(key)


def test_a_file_that_is_unlocked_in_time_is_read(opened: Opened):
    key = opened.mint()[0].text
    with (
        closing(Verifier.from_store(str(opened.path), wait=10, cache_size=0)) as verifier,
        ThreadPoolExecutor(8) as pool,
    ):
        with locked(opened.path):
            answers = [pool.submit(verifier.verify, key) for _ in range(8)]
            time.sleep(0.3)
        start = time.monotonic()

        assert all(answer.result() for answer in answers)

    assert time.monotonic() - start < 2


# ── threads of one verifier ──────────────────────────────────────────────────────────────────────────────────────────


class Slow(Memory):
    """A keyring whose refresh waits for an event, and fails."""

    def __init__(self) -> None:
        text, record = mint_in_memory()
        super().__init__(record)
        self.key = text
        self.refreshes = 0
        self.let_go = threading.Event()

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:  # noqa: ARG002 - as called
        self.refreshes += 1
        self.let_go.wait(20)
        raise StoreUnavailable("the cable is out", hint="plug it in")


def test_calls_that_waited_for_a_refresh_that_failed_fail_with_it():
    keyring = Slow()
    verifier = Verifier(keyring, wait=20)
    verifier.invalidate()

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(verifier.verify, keyring.key) for _ in range(4)]
        while keyring.refreshes < 1:
            time.sleep(0.005)
        time.sleep(0.2)
        keyring.let_go.set()
        errors = [answer.exception() for answer in answers]

    assert [(str(error), error.hint) for error in errors] == [("the cable is out", "plug it in")] * 4
    assert keyring.refreshes == 1


def test_a_call_waits_for_another_ones_refresh_no_longer_than_for_its_own():
    keyring = Slow()
    verifier = Verifier(keyring, wait=WAIT)
    verifier.invalidate()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(verifier.verify, keyring.key)
        while keyring.refreshes < 1:
            time.sleep(0.005)
        with in_time(), pytest.raises(StoreBusy, match="did not answer within 1 s"):
            verifier.verify(keyring.key)
        keyring.let_go.set()
        assert str(first.exception()) == "the cable is out"


# ── a server that is silent ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place(own_server: str, empty_store: str) -> Iterator[str]:
    with postgres.schema(own_server, ddl("postgresql").rstrip(";"), empty_store) as url:
        yield url


@pytest.fixture
def on_server(place: str) -> Iterator[Opened]:
    opened = Opened(Store(StoreLocation.parse(place)))
    yield opened
    opened.store.close()


@pytest.fixture
def proxied(own_server: str) -> Iterator[Callable[..., Proxy]]:
    proxies: list[Proxy] = []

    def open_port(**how: object) -> Proxy:
        [folder] = parse_qs(urlsplit(own_server).query)["host"]
        proxies.append(Proxy(Path(folder, ".s.PGSQL.5432"), **how))
        return proxies[-1]

    yield open_port
    for proxy in proxies:
        proxy.close()


def through(place: str, proxy: Proxy) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?options={place.rpartition('options=')[2]}"


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Stop processes of the server."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.postgres
@pytest.mark.parametrize("due", [True, False], ids=["refreshing", "looking up"])
def test_a_verifier_gives_a_silent_server_up_at_its_deadline(
    on_server: Opened, place: str, proxied: Callable[..., Proxy], due: bool
):
    key = on_server.mint()[0].text
    proxy = proxied()
    timer = (lambda: time.monotonic() * 1e6) if due else (lambda: 0.0)
    with closing(Verifier.from_store(through(place, proxy), wait=WAIT, timer=timer, cache_size=0)) as verifier:
        assert verifier.verify(key)
        proxy.fall_silent()

        for _ in range(2):  # on the connection that it has, and while it connects
            answers = all_at_once(20, lambda: verifier.verify(key))

            assert all(isinstance(error, StoreUnavailable) for _, error in answers)
            assert max(took for took, _ in answers) <= WAIT + TOLERANCE
        proxy.speak()
        assert verifier.verify(key)


@pytest.mark.postgres
def test_a_stopped_server_process_is_replaced_by_another_one(on_server: Opened, place: str):
    key = on_server.mint()[0].text
    with closing(Store(StoreLocation.parse(place))) as store:
        verifier = Verifier(store, cache_size=0)
        assert verifier.verify(key)
        with store.read() as connection:
            pid = connection.scalar(text("select pg_backend_pid()"))
        with stopped(pid), in_time(driver.LOST_AFTER):
            assert verifier.verify(key)


@pytest.mark.postgres
def test_connections_that_were_lost_while_they_were_not_used_cost_no_answer(on_server: Opened, place: str):
    key = on_server.mint()[0].text
    with closing(Store(StoreLocation.parse(place))) as store:
        verifier = Verifier(store, cache_size=0)
        with store.read() as one, store.read() as other:
            pids = [connection.scalar(text("select pg_backend_pid()")) for connection in (one, other)]
        for pid in pids:
            postgres.run(place, f"select pg_terminate_backend({pid}, 5000)")

        assert all(verifier.verify(key) for _ in range(2))


@pytest.mark.postgres
@pytest.mark.parametrize("silence", [0.5, 2.5], ids=["shorter than a second", "longer"])
def test_a_network_that_loses_everything_for_a_time_costs_no_more_than_a_second_after_it(
    on_server: Opened, place: str, proxied: Callable[..., Proxy], silence: float
):
    key = on_server.mint()[0].text
    proxy = proxied()
    with closing(Verifier.from_store(through(place, proxy), wait=6, cache_size=0)) as verifier:
        assert verifier.verify(key)
        proxy.fall_silent()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(verifier.verify, key)
            time.sleep(silence)
            proxy.speak()
            start = time.monotonic()

            assert answer.result()

        assert time.monotonic() - start <= 1 + TOLERANCE


@pytest.mark.postgres
def test_a_server_is_found_beside_a_host_that_is_silent(on_server: Opened, place: str, proxied: Callable[..., Proxy]):
    key = on_server.mint()[0].text
    first, second = proxied(), proxied()
    url = through(place, first).replace(f":{first.port}", f":{first.port},127.0.0.1:{second.port}")
    with closing(Verifier.from_store(url, cache_size=0)) as verifier:
        first.fall_silent()

        with in_time(driver.LOST_AFTER + RIVAL_AFTER):
            assert verifier.verify(key)


@pytest.mark.postgres
def test_a_command_reaches_the_last_of_its_hosts(
    cli: Cli, on_server: Opened, place: str, proxied: Callable[..., Proxy]
):
    first, second = proxied(), proxied()
    first.fall_silent()
    url = through(place, first).replace(f":{first.port}", f":{first.port},127.0.0.1:{second.port}")
    cli("version", check=0)  # the first command takes longer
    start = time.monotonic()

    cli("list", "--store", url, check=0)

    assert time.monotonic() - start < 5


@pytest.mark.postgres
def test_connecting_takes_no_longer_than_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(StoreLocation.parse(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/x"), wait=30)

        with in_time(), pytest.raises(StoreUnavailable, match="connecting took longer than 1 s"):
            database.read(deadline=time.monotonic() + WAIT).__enter__()
    database.close()


def connected_too_late(
    place: str, monkeypatch: pytest.MonkeyPatch, *, seconds: float
) -> tuple[Database, list[PostgresConnection]]:
    """Return a database after a call that had no connection in time, and what is connected: each time takes so long."""
    made: list[PostgresConnection] = []
    connect = PostgresConnection.connect

    def slowly(*args: object, **how: object) -> PostgresConnection:
        time.sleep(seconds)
        made.append(connect(*args, **how))
        return made[-1]

    monkeypatch.setattr(PostgresConnection, "connect", slowly)
    database = Database(StoreLocation.parse(place))
    with pytest.raises(StoreUnavailable), database.read(deadline=time.monotonic() + 0.1):
        raise AssertionError("it is connected too late")
    return database, made


@pytest.mark.postgres
def test_a_connection_that_is_made_too_late_is_kept_for_the_next_call(place: str, monkeypatch: pytest.MonkeyPatch):
    database, made = connected_too_late(place, monkeypatch, seconds=0.5)
    with database.read(deadline=time.monotonic() + 5) as connection:
        assert connection.connection.driver_connection is made[0]
    end = time.monotonic() + 10
    while sum(connection.closed for connection in made) < len(made) - 1 and time.monotonic() < end:
        time.sleep(0.01)

    assert [connection.closed for connection in made] == [False] + [True] * (len(made) - 1)
    database.close()
    assert made[0].closed


@pytest.mark.postgres
def test_what_was_made_too_late_is_closed_with_the_database(place: str, monkeypatch: pytest.MonkeyPatch):
    database, made = connected_too_late(place, monkeypatch, seconds=0.3)

    database.close()

    end = time.monotonic() + 10
    while not (len(made) == 2 and all(connection.closed for connection in made)) and time.monotonic() < end:
        time.sleep(0.01)
    assert [connection.closed for connection in made] == [True] * 2


@pytest.mark.postgres
def test_a_transaction_gives_a_silent_server_up(
    place: str, proxied: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver, "ANSWER_TIMEOUT", 1)
    proxy = proxied()
    with closing(Database(StoreLocation.parse(through(place, proxy)), wait=WAIT)) as database:
        database.revision()
        proxy.fall_silent()
        with in_time(2), pytest.raises(StoreUnavailable, match="did not answer within 2"):
            database.revision()


@pytest.mark.postgres
def test_a_command_gives_a_silent_server_up(cli: Cli, on_server: Opened, place: str, proxied: Callable[..., Proxy]):
    proxy = proxied(silent_at=b"COMMIT")
    start = time.monotonic()

    result = cli("list", "--store", through(place, proxy), "--wait", "1s", check=5)

    assert time.monotonic() - start < 12
    assert "the server did not answer within 6 s" in result.err


@pytest.mark.postgres
@pytest.mark.parametrize("args", [["mint"], ["mint", "--out", "key.txt"], ["owner", "add", "acme"]], ids=" ".join)
def test_a_commit_that_is_not_answered_is_looked_up(
    cli: Cli, on_server: Opened, place: str, proxied: Callable[..., Proxy], args: list[str]
):
    url = through(place, proxied(meddle=hear_nothing))

    start = time.monotonic()
    cli(*args, "--store", url, "--wait", "1s", check=0)

    assert 5 <= time.monotonic() - start < 15
    cli("audit", "verify", "--store", place, check=0)


@pytest.mark.postgres
def test_a_commit_whose_outcome_a_silent_server_does_not_tell_is_said_to_be_unknown(
    cli: Cli, on_server: Opened, place: str, proxied: Callable[..., Proxy]
):
    def fall_silent(*connection: object) -> None:
        proxy.fall_silent()
        hear_nothing(*connection)

    proxy = proxied(meddle=fall_silent)

    start = time.monotonic()
    result = cli("mint", "--store", through(place, proxy), "--wait", "1s", check=5)

    assert time.monotonic() - start < 20
    assert result.out == ""
    assert "the outcome is unknown" in result.err
    assert "keyctl audit list" in result.err


@pytest.mark.postgres
def test_a_pool_without_a_free_connection_is_busy_in_time(on_server: Opened, place: str):
    with closing(Store(StoreLocation.parse(place), wait=WAIT)) as store, ExitStack() as taken:
        for _ in range(15):
            taken.enter_context(store.read())
        with in_time(), pytest.raises(StoreBusy, match="every connection is in use"):
            store.find("kc_live_x")
        with in_time(0.3), pytest.raises(StoreBusy):
            store.find("kc_live_x", deadline=time.monotonic() + 0.3)


@pytest.mark.postgres
def test_a_statement_that_sends_its_rows_slowly_is_not_silent(place: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "ANSWER_TIMEOUT", 0)
    with closing(Database(StoreLocation.parse(place), wait=0)) as database, database.read() as connection:
        # three times 0.6 s of silence: longer in all than the 1 s that is allowed at a time
        slow = "select repeat('x', 20000), pg_sleep(0.6) from generate_series(1, 3)"

        assert len(connection.execute(text(slow)).all()) == 3


@pytest.mark.postgres
def test_an_upgrade_may_be_silent_for_longer(place: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "ANSWER_TIMEOUT", 0)
    with closing(Database(StoreLocation.parse(place), wait=0)) as database:

        def upgrade(connection: object) -> None:
            driver.allow_any_time(connection)
            connection.execute(text("select pg_sleep(1.5)"))

        database.write(upgrade)
        with pytest.raises(StoreUnavailable, match="did not answer"), database.read() as connection:
            connection.execute(text("select pg_sleep(1.5)"))
