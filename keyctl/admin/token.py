"""The admin token: a password that every change to a store requires, once it is set.

Stored as an Argon2id hash with OWASP's parameters, whatever the store's own: unlike a generated key, a password can be
guessed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from keyctl import hashing
from keyctl.admin.refusals import Refusals, format_refusals, parse
from keyctl.errors import NotAuthorised, Refused, StoreBusy, UsageError
from keyctl.models import Actor, EventContent
from keyctl.store import events, settings
from keyctl.store.database import DEFAULT_WAIT, Connection, Store
from keyctl.store.setting_names import SettingName
from keyctl.text import brief
from keyctl.times import utc_now

SHORTEST = 12
_HINT = "set KEYCTL_ADMIN_TOKEN, or give --admin-token-file FILE, or type it at the prompt"


def hashed(new: str) -> str:
    """Return the hash of a new token. Raises UsageError if it is shorter than 12 characters."""
    if len(new) < SHORTEST:
        raise UsageError(f"the admin token has {len(new)} characters: at least {SHORTEST} are required")
    return hashing.DEFAULT.hash(new)


class _Answer(NamedTuple):
    """Whether a token is right, or in how many seconds it can be looked at."""

    right: bool
    pause: float = 0.0


class AdminToken:
    """Sets, rotates, clears and checks the token, which is in no message, event or `repr`.

    `wait` is how many seconds `authorise` may take after wrong tokens; `behind` is the user in whose place the actor
    runs keyctl, as with sudo; `clock` returns the current time, aware and in UTC.
    """

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        wait: float = DEFAULT_WAIT,
        behind: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._actor = actor
        self._wait = wait
        self._user = f"{brief(behind)} as {actor.user}" if behind else actor.user
        self._clock = clock

    @property
    def is_set(self) -> bool:
        return SettingName.ADMIN_TOKEN in self._store.settings

    def authorise(self, presented: str | None) -> None:
        """Raise NotAuthorised, and write it to the audit log, unless the token is right or the store has none.

        After a refusal, the next attempt of the same user waits for its time. Raises StoreBusy if that is too long;
        then the token was not looked at.
        """
        if not self.is_set:
            return
        end = time.monotonic() + self._wait
        # The answer is known only once it is committed: ending the process does not take a wrong guess back.
        while (answer := self._store.write(lambda connection: self._attempt(connection, presented))).pause:
            if time.monotonic() + answer.pause > end:
                raise StoreBusy(
                    f"after wrong admin tokens, the next one is looked at in {math.ceil(answer.pause)} s",
                    hint="wait longer: --wait 30s",
                )
            time.sleep(answer.pause)
        if not answer.right:
            raise NotAuthorised(f"the admin token {_problem(presented)}: nothing was changed", hint=_HINT)

    def _attempt(self, connection: Connection, presented: str | None) -> _Answer:
        """Look at a token, unless it is too early. Of many attempts at once one is looked at, since it holds a lock."""
        phc = settings.read_one(connection, SettingName.ADMIN_TOKEN, lock=True)
        refusals = parse(settings.read_one(connection, SettingName.ADMIN_TOKEN_REFUSALS))
        mine = refusals.pop(self._user, Refusals())
        if pause := mine.pause(self._clock()):
            return _Answer(right=False, pause=pause if presented else 0.0)
        if phc is None or (presented and hashing.verify(presented, phc)):
            if mine.number:
                settings.put(connection, SettingName.ADMIN_TOKEN_REFUSALS, format_refusals(refusals))
            if mine.number > 1:
                self._log(connection, "admin_token.accepted", {"refusals": mine.number})
            return _Answer(right=True)
        mine = mine.another(self._clock())
        settings.put(connection, SettingName.ADMIN_TOKEN_REFUSALS, format_refusals({**refusals, self._user: mine}))
        if mine.is_logged:
            detail = {"token": _problem(presented), "refusals": mine.number}
            self._log(connection, "admin_token.refused", detail)
        return _Answer(right=False)

    def set(self, new: str) -> None:
        """Set the first token. Raises Refused if there is one, UsageError if it is shorter than 12 characters."""
        self._write(new, "admin_token.set", first=True)

    def rotate(self, new: str) -> None:
        """Replace the token, after `authorise`. Raises Refused if there is none, UsageError as `set` does."""
        self._write(new, "admin_token.rotated", first=False)

    def clear(self) -> bool:
        """Remove the token, after `authorise`. Return whether there was one."""
        if not self.is_set:
            return False

        def work(connection: Connection) -> None:
            detail = settings.change(connection, {SettingName.ADMIN_TOKEN: None})
            self._log(connection, "admin_token.cleared", detail)

        self._store.write(work)
        return True

    def _write(self, new: str, action: str, *, first: bool) -> None:
        phc = hashed(new)

        def work(connection: Connection) -> None:
            # Here and not before: of two commands that set the first token, one must fail. PostgreSQL cannot lock a
            # row that is not there yet, so the end of the log is locked instead.
            if first:
                events.head(connection, lock=True)
            present = settings.read_one(connection, SettingName.ADMIN_TOKEN, lock=not first) is not None
            if present and first:
                raise Refused("the store already has an admin token", hint="keyctl admin-token rotate")
            if not (present or first):
                raise Refused("the store has no admin token", hint="keyctl admin-token set")
            self._log(connection, action, settings.change(connection, {SettingName.ADMIN_TOKEN: phc}))

        self._store.write(work)

    def _log(self, connection: Connection, action: str, detail: dict[str, Any]) -> None:
        events.append(connection, EventContent(self._clock(), self._actor, action, None, detail))


def _problem(presented: str | None) -> str:
    return "is wrong" if presented else "is missing"
