"""Removes keys that have ended from the store. The audit log keeps their history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from keyctl.audit import KEYS_PER_EVENT, REMOVED, removed_entry
from keyctl.errors import StoreUnavailable, UsageError
from keyctl.models import Actor, Key, Status
from keyctl.rows import RowDamaged
from keyctl.store import events, pruning
from keyctl.store.database import Connection, Store
from keyctl.store.pruning import Counted, Ended
from keyctl.store.selection import Filters
from keyctl.times import format_duration, utc_now

ENDED = (Status.REVOKED, Status.EXPIRED)
SHORTEST = timedelta(days=1)


class RemovedKey(NamedTuple):
    """A key that was removed: `owner` is the handle of its owner, `ended_at` when it was revoked or expired."""

    id: str
    prefix: str
    owner: str | None
    status: Status
    ended_at: datetime


class Pruner:
    """Removes keys that have ended: those that match filters, and were revoked or expired more than `older_than` ago.

    Filters without a status mean both. `clock` returns the current time, aware and in UTC. Every method raises
    UsageError for a status of keys that may still be valid, or less than a day; StoreUnavailable or StoreBusy. Then
    nothing was removed.
    """

    def __init__(self, store: Store, actor: Actor, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock

    def preview(self, filters: Filters, older_than: timedelta, *, examples: int) -> Counted:
        """Count what would be removed, and name some of it."""
        ended = _ended(filters, older_than, self._clock())
        with self._store.read() as connection:
            return pruning.count(connection, ended, examples=examples)

    def remove(
        self,
        filters: Filters,
        older_than: timedelta,
        *,
        before: datetime | None = None,
        reason: str | None = None,
        dry_run: bool = False,
        on_removed: Callable[[int], None] = lambda _: None,
    ) -> list[RemovedKey]:
        """Remove keys and their recorded use, in one transaction with the events that keep their ids and hashes.

        `before` is that of the preview: no key is removed that became old enough since then. `on_removed` is called
        with the number of keys of each step.
        """
        now = self._clock()
        ended = _ended(filters, older_than, now)
        if before is not None:
            ended = replace(ended, before=min(before, ended.before))

        def work(connection: Connection) -> list[RemovedKey]:
            removed: list[RemovedKey] = []
            after = ""
            while found := pruning.select_to_remove(connection, ended, after=after, limit=KEYS_PER_EVENT):
                keys = [key for key, _ in found]
                pruning.remove(connection, [key.id for key in keys])
                entries = [removed_entry(key) for key in keys]
                events.append_for_keys(
                    connection, entries, {}, at=now, actor=self._actor, action=REMOVED, reason=reason
                )
                removed += [_removed(key, owner) for key, owner in found]
                after = keys[-1].id
                on_removed(len(keys))
            if removed:
                pruning.remove_use_of_removed(connection)
            return removed

        return self._store.write(work, dry_run=dry_run)

    def shrink(self, *, wait: float) -> StoreUnavailable | None:
        """Make a SQLite file smaller by what was removed; return why that was not possible. Nothing is lost then."""
        if self._store.location.file is None:
            return None
        try:
            pruning.shrink(self._store.location.file, wait=wait)
        except StoreUnavailable as error:
            return error
        return None


def _ended(filters: Filters, older_than: timedelta, now: datetime) -> Ended:
    for status in filters.statuses:
        if status not in ENDED:
            raise UsageError(
                f"{status} keys cannot be removed: only revoked and expired ones",
                hint="keyctl revoke SELECTOR; then keyctl prune, once that is long enough ago",
            )
    if older_than < SHORTEST:
        raise UsageError(
            f"--older-than {format_duration(older_than)} is shorter than {format_duration(SHORTEST)}",
            hint="a refused client is easier to explain while its key is known: --older-than 365d",
        )
    return Ended(replace(filters, statuses=filters.statuses or ENDED), now, now - older_than)


def _removed(key: Key, owner: str | None) -> RemovedKey:
    if key.revoked_at is not None:
        return RemovedKey(key.id, key.prefix, owner, Status.REVOKED, key.revoked_at)
    if key.expires_at is not None:
        return RemovedKey(key.id, key.prefix, owner, Status.EXPIRED, key.expires_at)
    raise RowDamaged(f"key {key.prefix} ({key.id}) has not ended, and nothing was removed")
