"""The newest bundle of each store that was accepted on this machine, so that an older one is refused."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyctl import private_files
from keyctl.bundles.bundle import Header, Seen
from keyctl.errors import ConfigurationInvalid
from keyctl.regular_files import open_regular
from keyctl.times import from_milliseconds, to_milliseconds

LOCK_WAIT = 5.0  # seconds


class BundleState:
    """A small JSON file in the user's state folder: locked while it is changed, replaced in one step.

    Raises ConfigurationInvalid if it cannot be kept: without it an old bundle would be accepted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def seen(self, store_id: str) -> Seen | None:
        entry = self._read().get(store_id)
        try:
            return Seen(entry[0], from_milliseconds(entry[1])) if entry else None
        except OverflowError:
            raise self._unreadable() from None

    def remember(self, header: Header) -> None:
        """Keep an accepted bundle, if it is the newest of its store."""
        newest = [header.sequence, to_milliseconds(header.made_at)]
        if self._read().get(header.store_id) == newest:
            return
        try:
            private_files.make_folder(self._path.parent)
            with _locked(self._path.with_suffix(".lock")):
                state = self._read()
                state[header.store_id] = [
                    max(pair) for pair in zip(newest, state.get(header.store_id, newest), strict=True)
                ]
                private_files.replace(self._path, [json.dumps(state).encode()])
        except OSError as error:
            raise ConfigurationInvalid(
                f"cannot keep {self._path}: {error.strerror}", hint="to verify without it: --no-state"
            ) from None

    def _read(self) -> dict[str, list[int]]:
        try:
            state = json.loads(self._content())
            if all(len(pair) == 2 and all(type(number) is int for number in pair) for pair in state.values()):
                return dict(state)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            pass
        raise self._unreadable()

    def _content(self) -> bytes:
        with open_regular(self._path) as file:
            return file.read()

    def _unreadable(self) -> ConfigurationInvalid:
        return ConfigurationInvalid(f"{self._path} cannot be read", hint="to verify without it: --no-state")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file. Raises OSError if another process holds it for longer than LOCK_WAIT."""
    # A pipe of that name would wait for a reader.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        give_up = time.monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    raise OSError(errno.EWOULDBLOCK, f"another process holds {path}") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
