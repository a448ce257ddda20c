"""When the admin token may be tried again: refusals of one user are kept apart in time, across all processes. Pure.

Each user has their own times, so that a wrong token of one user delays no one else. The longest pause is shorter than
the default of `--wait`: a right token of the same user is late, and not refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from keyctl.times import to_milliseconds

PAUSES = (1.0, 2.0, 4.0)  # seconds after the first refusal in a row, the second, and every later one
FORGOTTEN_AFTER = 600.0  # seconds without a refusal
_LOGGED_EACH = 15  # of the refusals in a row: at most one event in a minute
_LONGEST = 100  # users
_NEVER = 10**15  # more than any count, and later than any time


class Refusals(NamedTuple):
    """Refusals of one user in a row: how many, and when the last one was, in Unix milliseconds."""

    number: int = 0
    last: int = 0

    def pause(self, now: datetime) -> float:
        """Return in how many seconds the token may be tried again; 0 if now."""
        if not self.number:
            return 0.0
        since = (to_milliseconds(now) - self.last) / 1000
        pause = PAUSES[min(self.number, len(PAUSES)) - 1]
        return pause - since if 0 <= since < pause else 0.0  # negative where the clock was set back

    def another(self, now: datetime) -> Refusals:
        moment = to_milliseconds(now)
        again = 0 <= moment - self.last < FORGOTTEN_AFTER * 1000
        return Refusals(self.number + 1 if again else 1, moment)

    @property
    def is_logged(self) -> bool:
        """Whether the last one is to be in the audit log: the first in a row, and then a few of many."""
        return self.number == 1 or self.number % _LOGGED_EACH == 0


def parse(text: str | None) -> dict[str, Refusals]:
    """Read what `format_refusals` wrote. What cannot be read is forgotten: an altered row must not lock the store."""
    try:
        return {user: _read(*values) for user, values in json.loads(text or "{}").items()}
    except (AttributeError, RecursionError, TypeError, ValueError):
        return {}


def format_refusals(refusals: Mapping[str, Refusals]) -> str:
    """Return the newest refusals as JSON, of a limited length however many users there are."""
    newest = sorted(refusals.items(), key=lambda item: item[1].last)[-_LONGEST:]
    return json.dumps(dict(newest), separators=(",", ":"))


def _read(number: object, last: object) -> Refusals:
    if not (isinstance(number, int) and isinstance(last, int) and 0 < number < _NEVER and 0 < last < _NEVER):
        raise ValueError
    return Refusals(number, last)
