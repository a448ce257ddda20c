"""A store in memory, for the tests of an application that verifies keys.

The rules, the tables and the verifier are the real ones; only the hashes cost next to nothing, and the clock moves
when it is turned. No file is written and no process started:

>>> from keyctl.testing import MemoryStore
>>> with MemoryStore() as store:
...     key = store.mint(scopes=["read"], expires="1h")
...     assert store.verifier.verify(key, scopes=["read"])
...     store.clock.advance(hours=1)
...     store.verifier.verify(key).code
<Code.KEY_EXPIRED: 'KEY_EXPIRED'>

With pytest, the fixture `keyctl_store` is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from keyctl.admin.delivery import Minted
from keyctl.admin.keys import Change, KeyAdmin, ScopeChange
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.admin.owners import NewOwner, OwnerAdmin
from keyctl.admin.rotation import KeyRotator
from keyctl.errors import UsageError
from keyctl.hashing import Sha256
from keyctl.keyformat import MalformedKey, possible_prefixes
from keyctl.limiter import Limiter
from keyctl.models import Actor, KeyRecord, Owner
from keyctl.profiles.files import load_profile
from keyctl.store import keys
from keyctl.store.memory import StoreInMemory
from keyctl.store.selection import Selection
from keyctl.times import utc_now
from keyctl.verifier import Verifier

__all__ = ["Clock", "MemoryStore", "MintedKey"]

_ACTOR = Actor("keyctl.testing")


class Clock:
    """A clock that does not move until it is turned. Calling it returns the time.

    Args:
        now: Where it begins, with a zone; None is the present.

    Attributes:
        now: The current time: aware, and in UTC.
    """

    def __init__(self, now: datetime | None = None) -> None:
        if now is not None and now.tzinfo is None:
            raise UsageError("the time has no zone", hint="for example: datetime(2026, 1, 1, tzinfo=UTC)")
        self.now = utc_now() if now is None else now.astimezone(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Turn the clock forward.

        Args:
            duration: As in `timedelta`: `hours=1`, or `days=90, seconds=1`.

        Raises:
            UsageError: That would turn it back.
        """
        step = timedelta(**duration)
        if step < timedelta():
            raise UsageError("a clock cannot be turned back")
        self.now += step

    def seconds(self) -> float:
        """Return the time in seconds, as a monotonic clock would.

        Returns:
            Seconds; only differences between two of them mean something.
        """
        return self.now.timestamp()


class MintedKey(str):
    """The text of a key that was minted for a test, with its record. The secret is not in its `repr`.

    Attributes:
        record: The key and its owners as they were minted.
    """

    record: KeyRecord

    def __new__(cls, text: str, record: KeyRecord) -> MintedKey:
        key = super().__new__(cls, text)
        key.record = record
        return key

    @property
    def prefix(self) -> str:
        """The part that identifies the key, and is safe to log."""
        return self.record.key.prefix

    def __getnewargs__(self) -> tuple[str, KeyRecord]:  # type: ignore[override] # so that it can be copied and pickled
        return str(self), self.record

    def __repr__(self) -> str:
        return f"<key {self.prefix}>"


class MemoryStore:
    """A new store in memory, with a clock and a verifier. Close it, or use it as a context manager.

    Its methods do what the commands of the same names do, by the rules of the profile, and raise the errors of
    `keyctl.errors`. Each takes a key by its text, its prefix or its id. A change takes effect in `verifier` at once.

    Args:
        profile: A built-in profile by its name, or the path of a file: anything with a `/` or ending in `.toml`.
        now: The time that the clock begins at, with a zone; None is the present.
        limits: Whether the verifier enforces the profile's rate limits, by the same clock.

    Attributes:
        clock: The clock of the store and its verifier.
        verifier: A real verifier over this store. Give it to the application under test.

    Raises:
        NotFound: There is no such profile.
        ProfileInvalid: The profile has faults.
        UsageError: `now` has no zone.
    """

    def __init__(
        self, profile: str | os.PathLike[str] = "standard", *, now: datetime | None = None, limits: bool = False
    ) -> None:
        self.clock = Clock(now)
        self._limiter = Limiter(timer=self.clock.seconds) if limits else None
        rules = load_profile(os.fspath(profile))
        self._store = StoreInMemory(rules, Sha256(), actor=_ACTOR, now=self.clock())
        self._keys = KeyAdmin(self._store, _ACTOR, clock=self.clock)
        self._minter = KeyMinter(self._store, _ACTOR, clock=self.clock)
        self._rotator = KeyRotator(self._store, _ACTOR, clock=self.clock)
        self._owners = OwnerAdmin(self._store, _ACTOR, clock=self.clock)
        self.verifier = Verifier(self._store, clock=self.clock, timer=self.clock.seconds, limiter=self._limiter)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def mint(
        self,
        *,
        scopes: Sequence[str] | None = None,
        owner: str | None = None,
        env: str | None = None,
        expires: str | None = None,
        name: str | None = None,
        allowed_ips: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> MintedKey:
        """Mint a key. What is None is the profile's default.

        Args:
            scopes: The scopes of the key.
            owner: The handle of its owner, which is added with the profile's default kind if there is none.
            env: Its environment.
            expires: A duration (`1h`), an RFC 3339 time with a zone, or `never`.
            name: Its name.
            allowed_ips: Addresses or networks (CIDR) that it may be used from; all, if there are none.
            metadata: Its metadata.

        Returns:
            The text of the key, with its record.

        Raises:
            Refused: The profile does not allow it, or the owner is disabled.
            UsageError: An argument is not valid.
        """
        new = NewKey(
            name=name,
            owner=NewOwner(owner) if owner is not None else None,
            create_owner=True,
            environment=env,
            scopes=scopes,
            expires=expires,
            allowed_ips=allowed_ips,
            metadata=_pairs(metadata),
        )
        kept = _Kept()
        self._minter.mint(new, kept)
        return kept.key()

    def rotate(self, key: str, *, grace: timedelta | None = None, expires: str | None = None) -> MintedKey:
        """Replace a key by a new one with the same rights.

        Args:
            key: The old key.
            grace: How long the old key remains valid: `timedelta(0)` revokes it; None is the profile's.
            expires: When the new key expires, as in `mint`; None gives it as long a lifetime as the old one had.

        Returns:
            The text of the new key, with its record.

        Raises:
            NotFound: There is no such key.
            Refused: The profile or the status of the key does not allow it.
            UsageError: An argument is not valid.
        """
        kept = _Kept()
        self._rotator.rotate(Selection.named(self._selector(key)), kept, grace=grace, expires=expires)
        self.verifier.invalidate()
        return kept.key()

    def revoke(self, key: str, *, reason: str | None = None) -> KeyRecord:
        """Revoke a key permanently.

        Args:
            key: The key.
            reason: The reason for the audit log.

        Returns:
            The key as it is now.

        Raises:
            NotFound: There is no such key.
        """
        return self._changed(self._keys.revoke(Selection.named(self._selector(key)), reason=reason))

    def lock(self, key: str, *, duration: timedelta | None = None) -> KeyRecord:
        """Lock a key.

        Args:
            key: The key.
            duration: For how long; None is until it is unlocked.

        Returns:
            The key as it is now.

        Raises:
            NotFound: There is no such key.
            Refused: The key is revoked or expired.
        """
        return self._changed(self._keys.lock(Selection.named(self._selector(key)), duration=duration))

    def unlock(self, key: str) -> KeyRecord:
        """Unlock a key.

        Args:
            key: The key.

        Returns:
            The key as it is now.

        Raises:
            NotFound: There is no such key.
            Refused: The key is revoked.
        """
        return self._changed(self._keys.unlock(Selection.named(self._selector(key))))

    def expire(self, key: str, to: str) -> KeyRecord:
        """Set when a key expires.

        Args:
            key: The key.
            to: A duration from now (`1h`), an RFC 3339 time with a zone, or `never`.

        Returns:
            The key as it is now.

        Raises:
            NotFound: There is no such key.
            Refused: The profile or the status of the key does not allow it.
            UsageError: `to` is none of these.
        """
        return self._changed(self._keys.expire(Selection.named(self._selector(key)), to))

    def set_scopes(self, key: str, scopes: Sequence[str]) -> KeyRecord:
        """Replace all scopes of a key.

        Args:
            key: The key.
            scopes: Its new scopes.

        Returns:
            The key as it is now.

        Raises:
            NotFound: There is no such key.
            Refused: The profile or the status of the key does not allow it.
            UsageError: The profile does not have one of the scopes.
        """
        return self._changed(self._keys.scope(Selection.named(self._selector(key)), ScopeChange(only=scopes)))

    def find(self, key: str) -> KeyRecord:
        """Return a key with its owners, as the store has them now.

        Args:
            key: The key.

        Returns:
            The key and its owners, nearest first.

        Raises:
            NotFound: There is no such key.
        """
        selector = self._selector(key)
        with self._store.read() as connection:
            return keys.get(connection, selector)

    # ── owners ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_owner(
        self,
        handle: str,
        *,
        kind: str | None = None,
        name: str | None = None,
        parent: str | None = None,
        plan: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Owner:
        """Add an owner. What is None is the profile's default.

        Args:
            handle: Its handle.
            kind: Its kind.
            name: Its name.
            parent: The handle of its parent.
            plan: Its plan.
            attributes: Its attributes, as they are typed: a list is separated by commas.

        Returns:
            The owner.

        Raises:
            NotFound: There is no such parent.
            Refused: There is an owner with this handle, or the profile does not allow it.
            UsageError: An argument is not valid.
        """
        new = NewOwner(handle, kind, name, parent, plan, _pairs(attributes))
        return self._owners.add(new).owner

    def update_owner(
        self,
        handle: str,
        *,
        name: str | None = None,
        parent: str | None = None,
        plan: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Owner:
        """Change what is not None; an empty text removes a value.

        Args:
            handle: The handle of the owner.
            name: Its name.
            parent: The handle of its parent.
            plan: Its plan.
            attributes: Its attributes, as they are typed; those that are not named stay.

        Returns:
            The owner as it is now.

        Raises:
            NotFound: There is no such owner or parent.
            Refused: The profile does not allow it.
            UsageError: An argument is not valid.
        """
        pairs = _pairs(attributes)
        change = self._owners.update(handle, name=name, parent=parent, plan=plan, attributes=pairs)
        self.verifier.invalidate()
        return change.owner

    def disable_owner(self, handle: str) -> Owner:
        """Suspend the keys of an owner and of all its descendants.

        Args:
            handle: The handle of the owner.

        Returns:
            The owner as it is now.

        Raises:
            NotFound: There is no such owner.
        """
        change = self._owners.disable(handle)
        self.verifier.invalidate()
        return change.owner

    def enable_owner(self, handle: str) -> Owner:
        """Enable a disabled owner.

        Args:
            handle: The handle of the owner.

        Returns:
            The owner as it is now.

        Raises:
            NotFound: There is no such owner.
        """
        change = self._owners.enable(handle)
        self.verifier.invalidate()
        return change.owner

    # ── the store ────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def unavailable(self) -> Iterator[None]:
        """Make every look-up and every change raise StoreUnavailable, until the end of the `with` statement.

        Returns:
            A context manager.
        """
        self.verifier.invalidate()
        with self._store.away():
            yield

    def close(self) -> None:
        """Close the verifier, and end the store."""
        self.verifier.close()
        self._store.close()
        if self._limiter:
            self._limiter.close()

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _changed(self, changes: Sequence[Change]) -> KeyRecord:
        self.verifier.invalidate()
        return changes[0].record

    def _selector(self, key: str) -> str:
        """Return the prefix of a key's text. A prefix or an id is returned as it is."""
        try:
            prefixes = possible_prefixes(self._store.formats, key)
        except MalformedKey:
            return key
        return next(filter(self._store.find, prefixes), prefixes[0])


class _Kept:
    """A delivery that keeps the key."""

    def __init__(self) -> None:
        self._minted: Sequence[Minted] = ()

    def prepare(self, minted: Sequence[Minted]) -> None:
        self._minted = minted

    def hand_over(self) -> None:
        pass

    def abandon(self) -> None:
        self._minted = ()

    def key(self) -> MintedKey:
        [one] = self._minted
        return MintedKey(one.text, one.record)


def _pairs(values: Mapping[str, Any] | None) -> list[str]:
    return [f"{name}={value}" for name, value in (values or {}).items()]
