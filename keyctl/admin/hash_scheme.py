"""Changes how new keys of a store are hashed."""

from __future__ import annotations

import json

from keyctl.hashing import Scheme
from keyctl.models import Actor, EventContent
from keyctl.store import events, settings
from keyctl.store.database import Connection, Store
from keyctl.store.setting_names import SettingName
from keyctl.times import utc_now


def set_scheme(store: Store, actor: Actor, scheme: Scheme, *, reason: str | None = None, dry_run: bool = False) -> bool:
    """Set the hash scheme of new keys, with its audit event; return whether it was different before."""
    if scheme == store.hash_parameters:
        return False
    value = json.dumps(scheme.to_dict())

    def work(connection: Connection) -> None:
        detail = settings.change(connection, {SettingName.HASH: value}) | {"hash": str(scheme)}
        events.append(connection, EventContent(utc_now(), actor, "store.hash_set", reason, detail))

    store.write(work, dry_run=dry_run)
    store.reload()
    return True
