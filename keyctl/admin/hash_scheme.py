"""Changes how new keys of a store are hashed: the scheme, its parameters and the pepper."""

from __future__ import annotations

import json

from keyctl.errors import PepperMissing
from keyctl.hashing import Scheme, mix
from keyctl.models import Actor, EventContent
from keyctl.pepper import Peppers
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


def check_pepper(scheme: Scheme, peppers: Peppers | None) -> None:
    """Raise PepperMissing unless new keys can be hashed, and verified with the same file."""
    if scheme.pepper is None and peppers is not None and not peppers.accepts(None):
        raise PepperMissing(
            f"the store uses no pepper, and {peppers.path} does not accept that",
            hint=f"keyctl db hash --pepper {peppers.newest} --pepper-file {peppers.path}"
            if peppers.newest
            else f"echo none >> {peppers.path}",
        )
    mix("", scheme.pepper, peppers)
