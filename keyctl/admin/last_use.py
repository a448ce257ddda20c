"""What `verify --record` writes: the use, and a new hash where the store's scheme or its pepper has changed."""

from __future__ import annotations

from datetime import datetime

from keyctl import hashing
from keyctl.audit import rehashed_entry
from keyctl.errors import PepperMissing
from keyctl.models import Actor, KeyRecord
from keyctl.pepper import Peppers
from keyctl.store import events, keys, usage
from keyctl.store.database import Connection, Store
from keyctl.times import to_milliseconds
from keyctl.usage.outcomes import ALLOWED
from keyctl.usage.report import HOUR, KeyUse


def record_use(
    store: Store, actor: Actor, record: KeyRecord, text: str, *, now: datetime, peppers: Peppers | None = None
) -> PepperMissing | None:
    """Record that a key was used at `now`. `text` is the key that was just verified; it is not stored.

    A new hash is a change with an audit event; a use is not. Returns why a hash that should be replaced was not.
    """
    key, wanted = record.key, store.hash_parameters
    replacement, missing = None, None
    if hashing.needs_rehash(key.phc, wanted):
        try:
            replacement = wanted.hash(text, peppers)
        except PepperMissing as error:  # the key is valid all the same
            missing = error

    moment = to_milliseconds(now)
    use = KeyUse({moment // HOUR: {ALLOWED: 1}}, moment)

    def work(connection: Connection) -> None:
        usage.add(connection, {key.id: use}, now=now, keep_hours=store.profile.usage_keep_hours)
        if replacement is not None and keys.replace_hash(connection, key.id, old=key.phc, new=replacement):
            entry = rehashed_entry(key, replacement) | ({"pepper": wanted.pepper} if wanted.pepper else {})
            events.append_for_keys(connection, [entry], {}, at=now, actor=actor, action="key.rehashed", reason=None)

    store.write(work)
    return missing
