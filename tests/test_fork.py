"""A process that verifies keys in threads, and forks: gunicorn with --preload, multiprocessing."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from keyctl import hashing
from keyctl.bundles.signing import SigningKey
from keyctl.codes import Code
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.verifier import Verifier
from tests import postgres
from tests.bundle_files import export
from tests.stores import NOW, Opened, new_store
from tests.test_verifier import Memory, mint

CHILDREN = 16


def fork_while_verifying(**given: Any) -> str:
    return run("tests.forking", children=CHILDREN, **given)


def run(program: str, **given: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = new_store(tmp_path / "keys.db")
    yield opened
    opened.store.close()


@pytest.fixture
def on_server(postgres_schema: str, empty_store: str) -> Iterator[Opened]:
    postgres.run(postgres_schema, empty_store)
    opened = Opened(Store(StoreLocation.parse(postgres_schema)))
    yield opened
    opened.store.close()


def texts(opened: Opened, count: int = 8) -> list[str]:
    return [minted.text for minted in opened.mint(count=count)]


def test_every_child_verifies_from_a_sqlite_file(opened: Opened):
    assert fork_while_verifying(store=str(opened.path), keys=texts(opened)) == ""


def test_every_child_verifies_from_a_bundle(opened: Opened, tmp_path: Path):
    keys, signer = texts(opened), SigningKey.create(tmp_path / "signing.key")
    export(opened, tmp_path / "keys.bundle", signer)

    faults = fork_while_verifying(bundle=str(tmp_path / "keys.bundle"), trust=[signer.public_text], keys=keys)

    assert faults == ""


@pytest.mark.postgres
def test_every_child_verifies_from_a_server_on_connections_of_its_own(on_server: Opened):
    assert fork_while_verifying(store=on_server.store.location.url, keys=texts(on_server)) == ""


@pytest.mark.torture
@pytest.mark.parametrize("keyring", ["file", "bundle", pytest.param("server", marks=pytest.mark.postgres)])
def test_a_verifier_is_shared_in_every_way_that_python_has(
    keyring: str, request: pytest.FixtureRequest, tmp_path: Path, rounds: Callable[[int, int], int]
):
    opened: Opened = request.getfixturevalue("on_server" if keyring == "server" else "opened")
    given: dict[str, Any] = {"keys": texts(opened, 20), "times": rounds(1, 200)}
    if keyring == "bundle":
        signer = SigningKey.create(tmp_path / "signing.key")
        export(opened, tmp_path / "keys.bundle", signer)
        given |= {"bundle": str(tmp_path / "keys.bundle"), "trust": [signer.public_text]}
    else:
        given |= {"store": opened.store.location.url}

    assert run("tests.sharing", **given) == ""


# ── what another thread was doing ────────────────────────────────────────────────────────────────────────────────────


def in_child(work: Callable[[], object]) -> str:
    """Fork, and return how `work` ended in the child, which must be within 10 seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(10)
        try:
            answer = str(work())
        except BaseException as error:  # noqa: BLE001 - for the parent to see
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, answer
    return answer


pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class Waiting(Memory):
    """A keyring whose refresh waits, in one thread of one process."""

    def __init__(self) -> None:
        self.key, record = mint()
        super().__init__(record)
        self.process = os.getpid()
        self.began, self.let_go = threading.Event(), threading.Event()

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:  # noqa: ARG002 - as called
        if os.getpid() == self.process:
            self.began.set()
            self.let_go.wait(20)
        return False


def test_a_refresh_in_another_thread_does_not_block_a_child():
    keyring = Waiting()
    verifier = Verifier(keyring, clock=lambda: NOW)
    verifier.invalidate()
    thread = threading.Thread(target=verifier.verify, args=(keyring.key,))
    thread.start()
    keyring.began.wait(10)

    assert in_child(lambda: verifier.verify(keyring.key).code) == Code.VALID

    keyring.let_go.set()
    thread.join()


def test_hashes_in_other_threads_do_not_take_a_childs_cores(monkeypatch: pytest.MonkeyPatch):
    text, record = mint()
    verifier = Verifier(Memory(record), clock=lambda: NOW, max_wait=0.5)
    let_go, compute, parent = threading.Event(), hashing.verify_secret, os.getpid()

    def slow(*args: Any) -> bool:
        if os.getpid() == parent:
            let_go.wait(20)
        return compute(*args)

    monkeypatch.setattr(hashing, "verify_secret", slow)
    threads = [threading.Thread(target=verifier.verify, args=(text,)) for _ in range(os.cpu_count() or 1)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)

    assert in_child(lambda: verifier.verify(text).code) == Code.VALID

    let_go.set()
    for thread in threads:
        thread.join()


def test_a_child_looks_up_again_what_the_parent_had_verified():
    text, record = mint()
    keyring = Memory(record)
    verifier = Verifier(keyring, clock=lambda: NOW, timer=lambda: 0.0)
    assert verifier.verify(text)
    keyring.change(record.key.prefix, revoked_at=NOW)

    assert in_child(lambda: verifier.verify(text).code) == Code.KEY_REVOKED
    assert verifier.verify(text)


def test_a_look_up_at_the_fork_leaves_a_child_no_lock_that_it_does_not_have(opened: Opened):
    """SQLite would let the child read what another process is writing: it takes the lock for the parent's."""
    [minted] = opened.mint()
    began = threading.Event()
    with closing(SqliteReader(opened.path, wait=0.1)) as reader:

        def look() -> None:
            rows = reader._connection.execute("select * from settings")
            rows.fetchone()  # from here on a shared lock is held
            began.set()
            time.sleep(0.5)
            rows.fetchall()

        thread = threading.Thread(target=lambda: reader._look(look, deadline=None))
        thread.start()
        began.wait(10)

        def find_while_another_writes() -> object:
            writing = subprocess.Popen(
                [sys.executable, "-c", WRITE, str(opened.path)], stdout=subprocess.PIPE, text=True
            )
            assert writing.stdout
            writing.stdout.readline()
            reader.refresh(NOW)
            return reader.find(minted.record.key.prefix)

        answer = in_child(find_while_another_writes)
        thread.join()

    assert answer.startswith("StoreBusy: ")


WRITE = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
connection.execute("begin exclusive")
print("writing", flush=True)
time.sleep(3)
"""


@pytest.mark.postgres
def test_a_child_has_none_of_the_parents_connections(on_server: Opened):
    def inherited() -> bool:
        return socket in [link(fd) for fd in Path("/proc/self/fd").iterdir()]

    with on_server.store.read() as connection:
        own = connection.connection.driver_connection
        assert own
        socket = link(Path("/proc/self/fd", str(own.pgconn.socket)))
        assert inherited()

        assert in_child(inherited) == "False"

        assert connection.exec_driver_sql("select 1").scalar() == 1


def link(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # that of the folder, which is closed by now
        return ""


def test_what_is_no_longer_used_is_not_kept_for_a_fork(opened: Opened):
    verifier = Verifier.from_store(str(opened.path))
    store = Store(opened.store.location)
    kept = [weakref.ref(one) for one in (verifier, verifier._engine.keyring, store)]
    verifier.close()
    store.close()

    del verifier, store
    gc.collect()

    assert [one() for one in kept] == [None] * 3


def test_a_fork_in_each_of_several_threads_at_once(opened: Opened):
    key = opened.mint()[0].text
    with closing(Verifier.from_store(str(opened.path), clock=lambda: NOW)) as verifier:
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda: answers.append(in_child(lambda: verifier.verify(key).code)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert answers == [Code.VALID] * 4
        assert verifier.verify(key)


def test_a_child_of_a_child_verifies(opened: Opened):
    key = opened.mint()[0].text
    with closing(Verifier.from_store(str(opened.path), clock=lambda: NOW)) as verifier:
        assert in_child(lambda: in_child(lambda: verifier.verify(key).code)) == Code.VALID
