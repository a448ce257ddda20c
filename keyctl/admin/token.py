"""The admin token: a password that every change to a store requires, once it is set.

Stored as an Argon2id hash with OWASP's parameters, whatever the store's own: unlike a generated key, a password can be
guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from keyctl import hashing
from keyctl.errors import NotAuthorised, Refused, UsageError
from keyctl.models import Actor, EventContent
from keyctl.store import events, settings
from keyctl.store.database import Connection, Store
from keyctl.store.setting_names import SettingName
from keyctl.times import utc_now

SHORTEST = 12
_HINT = "set KEYCTL_ADMIN_TOKEN, or give --admin-token-file FILE, or type it at the prompt"


class AdminToken:
    """Sets, rotates, clears and checks the token, which is in no message, event or `repr`.

    `clock` returns the current time, aware and in UTC.
    """

    def __init__(self, store: Store, actor: Actor, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock

    @property
    def is_set(self) -> bool:
        return SettingName.ADMIN_TOKEN in self._store.settings

    def authorise(self, presented: str | None) -> None:
        """Raise NotAuthorised, and write it to the audit log, unless the token is right or the store has none."""
        phc = self._store.settings.get(SettingName.ADMIN_TOKEN)
        if phc is None or (presented and hashing.verify(presented, phc)):
            return
        problem = "is wrong" if presented else "is missing"
        self._store.write(lambda connection: self._log(connection, "admin_token.refused", {"token": problem}))
        raise NotAuthorised(f"the admin token {problem}: nothing was changed", hint=_HINT)

    def set(self, new: str) -> None:
        """Set the first token. Raises Refused if there is one, UsageError if it is shorter than 12 characters."""
        if self.is_set:
            raise Refused("the store already has an admin token", hint="keyctl admin-token rotate")
        self._write(new, "admin_token.set")

    def rotate(self, new: str) -> None:
        """Replace the token, after `authorise`. Raises Refused if there is none, UsageError as `set` does."""
        if not self.is_set:
            raise Refused("the store has no admin token", hint="keyctl admin-token set")
        self._write(new, "admin_token.rotated")

    def clear(self) -> bool:
        """Remove the token, after `authorise`. Return whether there was one."""
        if not self.is_set:
            return False

        def work(connection: Connection) -> None:
            detail = settings.change(connection, {SettingName.ADMIN_TOKEN: None})
            self._log(connection, "admin_token.cleared", detail)

        self._store.write(work)
        return True

    def _write(self, new: str, action: str) -> None:
        if len(new) < SHORTEST:
            raise UsageError(f"the admin token has {len(new)} characters: at least {SHORTEST} are required")
        phc = hashing.DEFAULT.hash(new)

        def work(connection: Connection) -> None:
            self._log(connection, action, settings.change(connection, {SettingName.ADMIN_TOKEN: phc}))

        self._store.write(work)

    def _log(self, connection: Connection, action: str, detail: dict[str, Any]) -> None:
        events.append(connection, EventContent(self._clock(), self._actor, action, None, detail))
