"""A bundle whose file is replaced while an application runs: the keyring that reads it again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from keyctl.bundles.bundle import Bundle, Seen
from keyctl.bundles.rollback import BundleState
from keyctl.bundles.signing import Trust
from keyctl.errors import BundleUntrusted
from keyctl.hashing import Scheme
from keyctl.keyformat import KeyFormat
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import Profile
from keyctl.times import format_time, utc_now

_log = logging.getLogger("keyctl.bundle")  # public: applications configure it


class FollowedBundle:
    """Reads a bundle's file again when it was replaced.

    A replacement that cannot be trusted is logged to `keyctl.bundle`, and the bundle in use stays in use until it is
    too old.

    Raises BundleUntrusted if the first bundle cannot be trusted, and once the one in use is too old.
    """

    def __init__(
        self,
        path: Path,
        *,
        trust: Iterable[Trust],
        max_age: timedelta | None = None,
        state: BundleState | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._path = path
        self._trust = tuple(trust)
        self._max_age = max_age
        self._state = state
        self._identity = self._identify()
        self._refused: tuple[int, ...] | None = self._identity
        self._bundle = self._open(clock())

    @property
    def bundle(self) -> Bundle:
        return self._bundle

    @property
    def store_id(self) -> str:
        return self._bundle.header.store_id

    @property
    def profile(self) -> Profile:
        return self._bundle.profile

    @property
    def formats(self) -> tuple[KeyFormat, ...]:
        return self._bundle.formats

    @property
    def hash_parameters(self) -> Scheme:
        return self._bundle.hash_parameters

    @property
    def foreign_hashes(self) -> tuple[str, ...]:
        return self._bundle.foreign_hashes

    def find(self, prefix: str, *, deadline: float | None = None) -> KeyRecord | None:  # noqa: ARG002 - a file needs none
        return self._bundle.find(prefix)

    def find_owners(self, handle: str, *, deadline: float | None = None) -> tuple[Owner, ...]:  # noqa: ARG002 - a file needs none
        return self._bundle.find_owners(handle)

    def owners_mentioning(self, text: str, *, deadline: float | None = None) -> list[tuple[Owner, ...]]:  # noqa: ARG002 - a file needs none
        return self._bundle.owners_mentioning(text)

    def check(self, now: datetime) -> None:
        """Raise BundleUntrusted if the bundle is too old now."""
        self._bundle.check_age(now, max_age=self._max_age)

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:  # noqa: ARG002 - a file needs none
        """Read the file again if it was replaced; return whether another bundle is in use now."""
        identity = self._identify()
        if identity == self._identity:
            return False
        try:
            self._bundle = self._open(now, newer_than=self._bundle)
        except BundleUntrusted as error:
            # Retried each time, since the cause may be this machine's clock or a file's mode. Logged once.
            if identity != self._refused:
                _log.warning(
                    "the bundle of %s stays in use: %s", format_time(self._bundle.header.made_at), error.message
                )
            self._refused = identity
            return False
        self._identity = self._refused = identity
        return True

    def close(self) -> None:
        self._bundle.close()

    def _open(self, now: datetime, *, newer_than: Bundle | None = None) -> Bundle:
        bundle = Bundle(self._path, trust=self._trust)
        try:
            seen = self._state.seen(bundle.header.store_id) if self._state else None
            bundle.check_age(now, max_age=self._max_age, seen=seen)
            if newer_than:
                present = newer_than.header
                bundle.check_age(now, seen=Seen(present.sequence, present.made_at))
            if self._state:
                self._state.remember(bundle.header)
        except BaseException:
            bundle.close()
            raise
        return bundle

    def _identify(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
