from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.stores import Opened

pytestmark = pytest.mark.sqlite

# A program that forks while a thread of its own is in a transaction.
PROGRAM = """
import os, sys, threading, time
from pathlib import Path
from keyctl.store import fork_guard
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation

store = Store(StoreLocation.of_file(Path(sys.argv[1])), wait=1)
began, done = threading.Event(), threading.Event()

def read(connection):
    connection.exec_driver_sql("select count(*) from keys").scalar()
    began.set()
    done.wait(float(sys.argv[2]))

def reading():
    with store.read() as connection:
        read(connection)

def write(connection):
    connection.exec_driver_sql("update keys set name = 'changed'")
    read(connection)

def writing():
    store.write(write)

def fork(work):
    if (child := os.fork()) == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0

"""


def run(opened: Opened, seconds: float, script: str) -> str:
    program = PROGRAM + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, str(opened.path), str(seconds)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("work", ["reading", "writing"])
def test_a_child_can_write_though_a_thread_was_in_a_transaction_at_the_fork(opened: Opened, work: str):
    opened.mint()

    run(
        opened,
        0.3,
        f"""
        threading.Thread(target={work}).start()
        began.wait()
        fork(lambda: store.write(lambda connection: connection.exec_driver_sql("update keys set name = 'child'")))
        """,
    )


def test_a_thread_may_fork_within_its_own_transaction(opened: Opened):
    run(
        opened,
        0,
        """
        start = time.monotonic()
        with store.read():
            fork(lambda: None)
        with store.read():
            pass
        assert time.monotonic() - start < fork_guard.LONGEST_WAIT
        """,
    )


def test_a_transaction_that_does_not_end_delays_a_fork_only_until_the_deadline(opened: Opened):
    run(
        opened,
        30,
        """
        fork_guard.LONGEST_WAIT = 0.1
        threading.Thread(target=reading).start()
        began.wait()
        fork(lambda: None)
        done.set()
        """,
    )


def test_transactions_go_on_after_a_fork_in_the_parent_and_in_the_child(opened: Opened):
    opened.mint()

    run(
        opened,
        0,
        """
        fork(lambda: (reading(), writing()))
        reading()
        writing()
        """,
    )
