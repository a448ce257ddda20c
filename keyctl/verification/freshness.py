"""When what was read of a keyring is read again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from keyctl.errors import StoreBusy, StoreUnavailable
from keyctl.verification.keyring import Keyring


class Freshness:
    """Refreshes a keyring every `refresh_seconds` of its profile, in one thread at a time.

    Attributes:
        generation: Counts the changes. What was looked up in an earlier generation must be looked up again.
    """

    def __init__(self, keyring: Keyring, *, timer: Callable[[], float], wait: float, opened: float | None) -> None:
        self._keyring = keyring
        self._timer = timer
        self._wait = wait
        self.generation = 0
        self._make_locks()
        self._refreshed = timer() if opened is None else opened
        self._refreshed_in = 0  # which generation
        self._failed: tuple[float, StoreUnavailable] | None = None  # the last refresh that failed, and when

    def refresh(self, now: datetime, deadline: float) -> None:
        """Read a profile that was changed, or a file that was replaced; begin a new generation if so.

        Raises BundleUntrusted if the bundle then in use is too old, and StoreUnavailable at the deadline.
        """
        asked = self._timer()
        if self._is_due(asked):
            # Other threads that are due wait here, so that none uses what was looked up before the change.
            with self._turn(deadline):
                if self._is_due(asked):
                    self._refresh_keyring(now, asked, deadline)
        self._keyring.check(now)

    def is_due(self) -> bool:
        """Whether `refresh` would read from the keyring now."""
        return self._is_due(self._timer())

    def is_current(self, generation: int, looked_up: float) -> bool:
        """Whether what was looked up then may still be used."""
        return generation == self.generation and self._timer() - looked_up < self._keyring.profile.refresh_seconds

    def invalidate(self) -> None:
        """Begin a new generation."""
        with self._lock:
            self.generation += 1

    def renew(self) -> None:
        """In a child of fork, make new locks, and begin a new generation.

        A thread that is not there may hold a lock, or have read a new profile and not yet dropped what it concerns.
        """
        self._make_locks()
        self.generation += 1

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()

    def _is_due(self, asked: float) -> bool:
        late = asked - self._refreshed >= self._keyring.profile.refresh_seconds
        return late or self.generation != self._refreshed_in

    def _refresh_keyring(self, now: datetime, asked: float, deadline: float) -> None:
        if self._failed and self._failed[0] > asked:  # while this call was waiting for its turn
            error = self._failed[1]
            raise type(error)(error.message, hint=error.hint) from error
        generation, timer = self.generation, self._timer()
        try:
            changed = self._keyring.refresh(now, deadline=deadline)
        except StoreUnavailable as error:
            self._failed = self._timer(), error
            raise
        if changed:
            self.invalidate()
        self._refreshed, self._refreshed_in = timer, generation

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        """Be the only thread that refreshes. Raises StoreBusy at the deadline."""
        if not self._refreshing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise StoreBusy(f"the store did not answer within {self._wait:g} s", hint="answer 503, try again")
        try:
            yield
        finally:
            self._refreshing.release()
