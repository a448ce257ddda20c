"""Generates and delivers new keys: a key is delivered or revoked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from typing import Any, TypeVar

from keyctl.admin.delivery import Delivery
from keyctl.admin.hash_scheme import check_pepper
from keyctl.audit import Entry, key_entry, key_state
from keyctl.errors import KeyctlError, NotDelivered, Refused
from keyctl.hashing import Sha256
from keyctl.keyformat import GeneratedKey
from keyctl.lifecycle import UNDELIVERED
from keyctl.models import Actor, Key, KeyRecord
from keyctl.pepper import Peppers
from keyctl.rows import json_value
from keyctl.store import events, keys
from keyctl.store.database import Connection, Store

T = TypeVar("T")
_DRAWS = 2000  # attempts to find unused prefixes, before a format counts as exhausted
_ROOMY = 1 << 64  # prefixes: a million new ones collide with one of a million in 1 of 10 million cases


class Issuer:
    """The steps that minting and rotation share. `on_hashed` is called after each hash, from any thread."""

    def __init__(
        self,
        store: Store,
        actor: Actor,
        peppers: Peppers | None,
        *,
        clock: Callable[[], datetime],
        on_hashed: Callable[[], None],
    ) -> None:
        self._store = store
        self._actor = actor
        self._peppers = peppers
        self._clock = clock
        self._on_hashed = on_hashed

    def draw(self, like: Key, count: int) -> list[GeneratedKey]:
        """Generate keys with unused prefixes.

        Raises Refused if the format has too few, and PepperMissing if they could not be hashed.
        """
        check_pepper(self._store.hash_parameters, self._peppers)
        profile = self._store.profile
        key_format = profile.key_format
        env = profile.tag_of_environment(like.environment)
        scope = profile.scopes.catalogue[like.scopes[0]].tag if key_format.has("scope") else None
        no_room = Refused(
            f'the key format of profile "{profile.name}" cannot make {count:,} more unique '
            f"prefixes: it has {key_format.prefix_space:,}",
            hint="make {prefix} longer in the profile",
        )
        if count > key_format.prefix_space:
            raise no_room
        drawn: dict[str, GeneratedKey] = {}
        # Collisions are negligible in a large format; the insert re-checks.
        with nullcontext() if key_format.prefix_space >= _ROOMY else self._store.read() as connection:
            for _ in range(_DRAWS):
                fresh = {one.prefix: one for one in key_format.generate(count - len(drawn), env=env, scope=scope)}
                for prefix in keys.taken(connection, fresh) if connection is not None else ():
                    del fresh[prefix]
                drawn = fresh | drawn
                if len(drawn) == count:
                    return list(drawn.values())
        raise no_room

    def hash(self, texts: Sequence[GeneratedKey]) -> dict[str, str]:
        """Return the hash of each key by its prefix. Argon2 runs on all cores: it releases the interpreter's lock."""
        parameters = self._store.hash_parameters

        def hash_one(one: GeneratedKey) -> tuple[str, str]:
            phc = parameters.hash(one.text, self._peppers)
            self._on_hashed()
            return one.prefix, phc

        if len(texts) == 1 or isinstance(parameters, Sha256):
            # One SHA-256 is less work than handing it to a thread: tests/benchmarks, "mint of … keys, sha256".
            return dict(map(hash_one, texts))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                return dict(pool.map(hash_one, texts))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    # ── delivery ─────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self, work: Callable[[Connection], T], delivery: Delivery[Any], *, dry_run: bool) -> T:
        try:
            return self._store.write(work, dry_run=dry_run)
        except BaseException:
            delivery.abandon()
            raise

    def hand_over(self, delivery: Delivery[Any], records: Sequence[KeyRecord]) -> None:
        try:
            delivery.hand_over()
        except BaseException as error:
            delivery.abandon()
            named = _count(records)
            by_hand = f"keyctl revoke {' '.join(one.key.prefix for one in records)}"
            try:
                self._store.write(
                    lambda connection: self.revoke_in(connection, records, now=self._clock(), reason=UNDELIVERED)
                )
            except KeyctlError as failure:
                message = f"{named} could not be delivered, and could not be revoked: {failure.message}"
                if isinstance(error, KeyboardInterrupt):
                    error.add_note(f"{message}; revoke manually: {by_hand}")
                    raise error from failure
                raise NotDelivered(message, hint=f"revoke manually: {by_hand}") from error
            except KeyboardInterrupt as interrupt:
                interrupt.add_note(f"{named} could not be delivered, and may not be revoked; make sure: {by_hand}")
                raise
            if isinstance(error, OSError | KeyctlError):
                reason = error.message if isinstance(error, KeyctlError) else error.strerror or error
                raise NotDelivered(
                    f"{named} could not be delivered and was revoked: {reason}",
                    hint="fix where the key was to go, and retry",
                ) from error
            error.add_note(f"{named} could not be delivered and was revoked: interrupted")
            raise

    def after_delivery(
        self, records: Sequence[KeyRecord], work: Callable[[Connection], None], *, finish: str | None = None
    ) -> None:
        """Record a delivery. `finish` is a hint for the case that it cannot be recorded."""
        delivered = f"{_count(records)} was delivered and works"
        try:
            self._store.write(work)
        except Refused:
            raise
        except KeyctlError as error:
            error.message = f"{delivered}, but the delivery could not be recorded: {error.message}"
            error.hint = finish or error.hint
            raise
        except KeyboardInterrupt as interrupt:
            note = f"{delivered}, but the delivery may not be recorded: interrupted"
            interrupt.add_note(f"{note}; {finish}" if finish else note)
            raise

    def note_minted(
        self, connection: Connection, entries: Sequence[Entry], like: Key, *, at: datetime, reason: str | None
    ) -> None:
        """Append the events of new keys that have everything but id, prefix, hash and lineage from `like`."""
        events.append_for_keys(
            connection, entries, key_state(like), at=at, actor=self._actor, action="key.minted", reason=reason
        )

    def note_delivered(self, connection: Connection, entries: Sequence[Entry], *, at: datetime) -> None:
        keys.set_for_all(connection, [entry["id"] for entry in entries], delivered_at=at)
        common = {"delivered_at": json_value(at)}
        events.append_for_keys(
            connection, entries, common, at=at, actor=self._actor, action="key.delivered", reason=None
        )

    def revoke_in(self, connection: Connection, records: Sequence[KeyRecord], *, now: datetime, reason: str) -> None:
        values = {"revoked_at": now, "revoked_reason": reason}
        ids = [one.key.id for one in records]
        keys.set_on(connection, dict.fromkeys(ids, values))
        common = {name: json_value(value) for name, value in values.items()}
        entries = [key_entry(one.key) for one in records]
        events.append_for_keys(
            connection, entries, common, at=now, actor=self._actor, action="key.revoked", reason=reason
        )


def _count(records: Sequence[KeyRecord]) -> str:
    return f"the key {records[0].key.prefix}" if len(records) == 1 else f"each of the {len(records)} keys"
