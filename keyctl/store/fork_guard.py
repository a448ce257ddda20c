"""Lets this process fork only while none of its other threads is in a transaction on a SQLite file.

SQLite keeps the locks of a process in its memory. A child inherits those of the other threads, which nothing in it ever
releases: as long as it lived, it would find the file busy.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_WAIT = 10.0  # seconds until it forks all the same

_changed = threading.Condition(threading.Lock())
_running: Counter[int] = Counter()  # transactions, by thread
_forking = False


@contextmanager
def no_fork() -> Iterator[None]:
    """Make a fork by another thread wait for the end of this transaction."""
    thread = threading.get_ident()
    with _changed:
        # A transaction within another one may begin: the fork waits for that one.
        _changed.wait_for(lambda: not _forking or thread in _running)
        _running[thread] += 1
    try:
        yield
    finally:
        with _changed:
            _running[thread] -= 1
            if not _running[thread]:
                del _running[thread]
            _changed.notify_all()


def _before() -> None:
    global _forking  # noqa: PLW0603 - the state of the process
    _changed.acquire()
    _forking = True
    _changed.wait_for(lambda: not _running.keys() - {threading.get_ident()}, LONGEST_WAIT)


def _after_in_parent() -> None:
    global _forking  # noqa: PLW0603
    _forking = False
    _changed.notify_all()
    _changed.release()


def _after_in_child() -> None:
    for thread in _running.keys() - {threading.get_ident()}:
        del _running[thread]
    _after_in_parent()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
