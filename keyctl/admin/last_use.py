"""What `verify --record` writes: the last use, and a new hash where the store's scheme has become stronger."""

from __future__ import annotations

from datetime import datetime

from keyctl import hashing
from keyctl.audit import rehashed_entry
from keyctl.models import Actor, KeyRecord
from keyctl.store import events, keys, usage
from keyctl.store.database import Connection, Store


def record_use(store: Store, actor: Actor, record: KeyRecord, text: str, *, now: datetime) -> None:
    """Record that a key was used at `now`. `text` is the key that was just verified; it is not stored.

    A new hash is a change with an audit event; a use is not.
    """
    key = record.key
    stronger = store.hash_parameters.hash(text) if hashing.needs_rehash(key.phc, store.hash_parameters) else None

    def work(connection: Connection) -> None:
        usage.record(connection, key.id, at=now)
        if stronger is not None and keys.replace_hash(connection, key.id, old=key.phc, new=stronger):
            entries = [rehashed_entry(key, stronger)]
            events.append_for_keys(connection, entries, {}, at=now, actor=actor, action="key.rehashed", reason=None)

    store.write(work)
