"""The newest bundle of each store that was accepted on this machine, so that an older one is refused."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from keyctl import private_files
from keyctl.bundles.bundle import Header, Seen
from keyctl.errors import ConfigurationInvalid
from keyctl.times import from_milliseconds, to_milliseconds


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
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
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
            state = json.loads(self._path.read_text())
            if all(len(pair) == 2 and all(type(number) is int for number in pair) for pair in state.values()):
                return dict(state)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            pass
        raise self._unreadable()

    def _unreadable(self) -> ConfigurationInvalid:
        return ConfigurationInvalid(f"{self._path} cannot be read", hint="to verify without it: --no-state")
