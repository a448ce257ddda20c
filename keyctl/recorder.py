"""Records how often keys are used, beside a `Verifier` and never in the way of its answers.

>>> recorder = Recorder.to_store("./keys.db", name="api")
>>> verifier = Verifier.from_store("./keys.db", recorder=recorder)

`keyctl usage` shows what was recorded, and `keyctl help usage` describes it.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from keyctl.errors import UsageError
from keyctl.store.fork_guard import LONGEST_WAIT  # and its handlers come before those of this module
from keyctl.text import brief
from keyctl.usage.counts import Counts
from keyctl.usage.files import UsageFile
from keyctl.usage.outcomes import WRONG_SECRET
from keyctl.usage.report import LONGEST_INTERVAL, LONGEST_NAME, Identity, Report, is_name, to_line, uses_of

if TYPE_CHECKING:
    from keyctl.decision import Decision

__all__ = ["Recorder"]

LIMIT = 100_000  # cells in memory, of about 250 bytes each
IDLE = 60.0  # seconds after which a recorder reports that there is nothing to report
_KEYS = 5_000  # in one report, and one transaction
_logger = logging.getLogger("keyctl.recorder")


class _Destination(Protocol):
    """Where reports go to: a store or a file. `store_id` is None until it is known."""

    store_id: str | None

    def write(self, report: Report) -> None:
        """Write a report, or nothing of it. To write it again has no effect. Raises KeyctlError."""

    def close(self) -> None: ...


class Recorder:
    """Counts what a verifier answers about each key, and reports it from a thread of its own.

    It counts by key, hour and code: allowed, each refusal of a key whose secret was verified, and wrong secrets of a
    prefix that exists. It keeps no address, no path and nothing of a key's text. An answer never waits for it.

    Make one with `to_store` or `to_file`, and give it to one verifier. Safe to share between threads. A child of fork
    begins with nothing counted, as another process of the same name. At the end of the process, and before a fork, it
    reports what is left; a process that is killed loses what it counted since its last report.

    Args:
        destination: Private: `to_store` and `to_file` choose it.
        name: The name of the service.
        every: Seconds between two reports.
        limit: How many cells (key, hour and code) are counted at most while nothing can be reported.
        clock: Returns Unix seconds. For tests.
    """

    def __init__(
        self,
        destination: _Destination,
        *,
        name: str | None = None,
        every: float = 10.0,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < every <= LONGEST_INTERVAL / 1000:
            raise UsageError(f"a recorder cannot report every {every:g} s", hint="give 1 to 3600 seconds: every=10")
        self._destination = destination
        self._name = _checked_name(name)
        self._every = every
        self._limit = limit
        self._clock = clock
        self._dropped = 0
        self._closed = False
        self._forked = False
        self._add: Callable[[str, str], None] = _ignore
        self._begin()
        _recorders.add(self)

    @classmethod
    def to_store(cls, url: str | os.PathLike[str], *, name: str | None = None, every: float = 10.0) -> Recorder:
        """Return a recorder that writes to a store, in one short transaction for each report.

        Args:
            url: The path or URL of a SQLite file, or `postgresql://…`, as for `Verifier.from_store`. The user must be
                allowed to write to it.
            name: The name of the service, which all of its processes share: letters, digits and `. _ @ : -`, at most
                100. None is the name of the host.
            every: Seconds between two reports, which is also what a killed process may lose.

        Returns:
            A recorder that has reported once: close it.

        Raises:
            StoreUnavailable: There is no store there, or it cannot be written to.
            ConfigurationInvalid: The store's schema is of another version of keyctl.
            UsageError: `url` has an unknown scheme, or `name` or `every` is out of range.
        """
        from keyctl.store.usage_reports import StoreDestination  # noqa: PLC0415 - SQLAlchemy, only where it is needed

        name = _checked_name(name)
        destination = StoreDestination(os.fspath(url), warn=_logger.warning)
        try:
            recorder = cls(destination, name=name, every=every)
            recorder._report(at_once=True)
        except BaseException:
            destination.close()
            raise
        recorder._start()
        return recorder

    @classmethod
    def to_file(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        every: float = 10.0,
        max_bytes: int = 10 * 2**20,
        keep: int = 5,
    ) -> Recorder:
        """Return a recorder that appends to a file, for a verifier of a bundle. `keyctl usage import` reads it.

        Args:
            path: The file, which is created for its owner alone (mode 0600).
            name: As in `to_store`.
            every: Seconds between two reports, which is also what a killed process may lose.
            max_bytes: The size at which the file is renamed to `PATH.1`, and a new one is begun; 1 or more.
            keep: How many renamed files there are, 1 or more; the oldest one is removed.

        Returns:
            An open recorder: close it.

        Raises:
            StoreUnavailable: The file cannot be written to.
            UsageError: `name`, `every`, `max_bytes` or `keep` is out of range.
        """
        name = _checked_name(name)
        return cls(_FileDestination(UsageFile(Path(path), max_bytes=max_bytes, keep=keep)), name=name, every=every)

    @property
    def name(self) -> str:
        """The name of the service."""
        return self._name

    @property
    def dropped(self) -> int:
        """How many answers were not counted, because there was no room for them while nothing could be reported."""
        return self._dropped + self._counts.dropped

    def record(self, decision: Decision, /) -> None:
        """Count an answer. Called by the verifier; answers that are about no key are not counted."""
        record = decision.record
        if record is not None:
            self._add(record.key.id, decision.code)

    def record_wrong_secret(self, key_id: str, /) -> None:
        """Count a wrong secret that was presented for a key. Called by the verifier."""
        self._add(key_id, WRONG_SECRET)

    def bind(self, store_id: str) -> None:
        """Take the id of the store whose keys are counted. Called by the verifier. Raises UsageError for another."""
        known = self._destination.store_id
        if known not in (None, store_id):
            raise UsageError(
                f"the recorder {self._name} is for the store {known}, and the verifier has keys of {store_id}",
                hint="give each verifier a recorder of its own, for the same store",
            )
        if known is None:
            self._destination.store_id = store_id
            self._start()

    def flush(self) -> bool:
        """Report now what is counted, and return whether that was possible. If it was not, it is kept for later."""
        try:
            return self._report(at_once=True)
        except Exception:  # noqa: BLE001 - an application must not fail for its counts
            self._note_failure()
            return False

    def close(self) -> None:
        """Report what is left, and end. Nothing is counted afterwards; to close it again has no effect."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        self._add = _ignore
        if self._started:
            try:
                complete = self._report(at_once=True, ended=True)
            except Exception:  # noqa: BLE001
                self._note_failure()
                complete = False
            if not complete:
                _logger.warning("the recorder %s ends, and what it could not report is lost", self._name)
        atexit.unregister(self.close)
        self._destination.close()

    # ── reports ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        """Begin as a new process, with nothing counted."""
        self._counts = Counts(self._limit, self._clock)
        self._identity = Identity(self._name, os.urandom(10).hex(), _host(), os.getpid())
        self._sequence = 0
        self._until = self._now()  # of the last report
        self._pending: list[Report] = []  # taken out of the counts, and not written
        self._reporting = threading.Lock()
        self._stop = threading.Event()
        self._started = False
        self._failing = False
        self._add = self._add_first

    def _add_first(self, key_id: str, outcome: str) -> None:
        """Count the first answer of this process: one that verifies nothing needs no thread."""
        self._counts.add(key_id, outcome)
        self._start()

    def _start(self) -> None:
        if self._started or self._closed or self._destination.store_id is None:
            return
        self._started = True
        self._add = self._counts.add
        atexit.register(self.close)
        if self._forked and "multiprocessing.util" in sys.modules:
            # A child of multiprocessing does not run what is registered for the exit of a process.
            sys.modules["multiprocessing.util"].Finalize(None, self.close, exitpriority=0)
        try:
            threading.Thread(target=self._run, args=(self._stop,), name="keyctl-recorder", daemon=True).start()
        except RuntimeError:  # no more threads: what is counted is reported at the end
            _logger.warning("the recorder %s cannot start its thread, and reports only at the end", self._name)

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            try:
                self._report()
            except Exception:  # noqa: BLE001 - the thread must go through everything that may go wrong
                self._note_failure()

    def _report(self, *, at_once: bool = False, ended: bool = False) -> bool:
        """Write what was counted since the last report; return whether it could have its turn. Raises KeyctlError."""
        if self._destination.store_id is None:
            return True
        if not self._reporting.acquire(timeout=LONGEST_WAIT):
            return False
        try:
            if self._pending:
                self._write_pending()
            if ended or at_once or len(self._counts) or self._now() - self._until >= IDLE * 1000:
                self._take(ended=ended)
                self._write_pending()
        finally:
            self._reporting.release()
        return True

    def _take(self, *, ended: bool) -> None:
        taken = self._counts.take()
        if taken.dropped:
            self._dropped += taken.dropped
            _logger.warning(
                "the recorder %s had no room for %d answers, which are not counted", self._name, taken.dropped
            )
        since, until = self._until, max(self._now(), self._until)
        self._until = until
        uses = list(uses_of(taken).items())
        parts = [uses[i : i + _KEYS] for i in range(0, len(uses), _KEYS)] or [[]]
        for part in parts:
            self._sequence += 1
            last = part is parts[-1]
            self._pending.append(
                Report(
                    store_id=self._destination.store_id or "",
                    recorder=self._identity,
                    sequence=self._sequence,
                    every=int(max(self._every, IDLE) * 1000),
                    since=since,
                    until=until,
                    keys=dict(part),
                    dropped=taken.dropped if last else 0,
                    ended=ended and last,
                )
            )

    def _write_pending(self) -> None:
        while self._pending:
            self._destination.write(self._pending[0])
            del self._pending[0]
        if self._failing:
            self._failing = False
            _logger.warning("the recorder %s reports again", self._name)

    def _note_failure(self) -> None:
        """Log an error that is being handled: the first of several in a row."""
        if not self._failing:
            self._failing = True
            kept = f"at most {self._limit:,} counts are kept"
            _logger.warning("the recorder %s cannot report, and retries: %s; %s", self._name, sys.exc_info()[1], kept)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    # ── fork ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _before_fork(self) -> None:
        if self._started and not self._closed and not self._failing and len(self._counts):
            self.flush()  # a process that forks to become a daemon ends without its handlers

    def _renew(self) -> None:
        """In a child of fork, begin with nothing: the parent reports what it has counted."""
        self._forked = True
        self._begin()
        if self._closed:
            self._add = _ignore


class _FileDestination:
    """Appends each report to a file. The store is the one whose bundle is verified."""

    def __init__(self, file: UsageFile) -> None:
        file.check()
        self._file = file
        self.store_id: str | None = None

    def write(self, report: Report) -> None:
        self._file.append(to_line(report))

    def close(self) -> None:
        pass


def _checked_name(name: str | None) -> str:
    """Return the name, or that of the host. Raises UsageError."""
    if name is None:
        return re.sub(r"[^A-Za-z0-9._-]", "-", _host()).lstrip("._-")[:LONGEST_NAME] or "host"
    if not is_name(name):
        raise UsageError(
            f'"{brief(name)}" cannot be the name of a recorder',
            hint=f"use letters, digits and . _ @ : -, at most {LONGEST_NAME}, such as api",
        )
    return name


def _host() -> str:
    return socket.gethostname()


def _ignore(_key_id: str, _outcome: str) -> None:
    """Count nothing: the recorder is closed."""


_recorders: WeakSet[Recorder] = WeakSet()


def _before_fork() -> None:
    for recorder in list(_recorders):
        recorder._before_fork()


def _renew_recorders() -> None:
    for recorder in list(_recorders):
        recorder._renew()


# What is registered last runs first before a fork: a report needs a transaction, which the guard then does not permit.
os.register_at_fork(before=_before_fork, after_in_child=_renew_recorders)
