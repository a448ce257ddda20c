"""Which keys are meant: by name, by filters, or both. The filters as conditions of SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, false, func, not_, null, or_, select

from keyctl.errors import UsageError
from keyctl.models import Status
from keyctl.store import owners
from keyctl.store.tables import keys
from keyctl.store.tables import owners as owner_table
from keyctl.times import to_milliseconds

END_OF_TIME = 2**62  # milliseconds: later than any expiry
_LONGEST_PATTERN = 1000  # characters: SQLite refuses a pattern of more than 50,000 bytes


@dataclass(frozen=True)
class Filters:
    """Which keys: those that meet every condition that is given. Values of one field are alternatives.

    `below` includes the keys of all owners below `owner_ids`. `names` and `created_by` are parts of a text, or patterns
    for all of it where they contain `*` or `?`; case does not matter. `metadata` are names with values, of which those
    of one name are alternatives. `plans` are those of the owners. `due_after` selects what is to be rotated: active
    keys that are at least so old. `peppers` are ids, or `none` for hashes without a pepper.
    """

    statuses: tuple[Status, ...] = ()
    owner_ids: tuple[str, ...] = ()
    below: bool = False
    environments: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    created_by: tuple[str, ...] = ()
    created_since: datetime | None = None
    created_before: datetime | None = None
    expires_within: timedelta | None = None
    older_than: timedelta | None = None
    unused_for: timedelta | None = None
    due_after: timedelta | None = None
    peppers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Keys to be changed: those with these ids or whole prefixes that also match the filters.

    `selectors` is None where the filters alone select; they must not be empty then.
    """

    selectors: tuple[str, ...] | None
    filters: Filters = Filters()

    def __post_init__(self) -> None:
        if self.selectors is None and self.filters == Filters():
            raise ValueError("a selection of every key")

    @classmethod
    def named(cls, *selectors: str) -> Selection:
        """Return the keys with these ids or whole prefixes."""
        return cls(tuple(dict.fromkeys(selectors)))


def conditions(filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    """Return what all selected keys meet. Raises UsageError for a pattern that is too long."""
    moment = to_milliseconds(now)
    found = [
        *_any(has_status(status, now) for status in filters.statuses),
        *_any(keys.c.environment == name for name in filters.environments),
        # A scope's name has no quotes, so this matches only whole names in the JSON list.
        *_any(keys.c.scopes.contains(f'"{scope}"', autoescape=True) for scope in filters.scopes),
        *_any(_is_on_plan(plan) for plan in filters.plans),
        *(
            condition
            for name in dict(filters.metadata)
            for condition in _any(_has_metadata(*pair) for pair in filters.metadata if pair[0] == name)
        ),
        *_any(_is_like(keys.c.name, name) for name in filters.names),
        *_any(_is_like(keys.c.created_by, actor) for actor in filters.created_by),
        *_any(_is_hashed_with(pepper) for pepper in filters.peppers),
    ]
    if filters.owner_ids:
        of = owners.ids_below(filters.owner_ids) if filters.below else filters.owner_ids
        found.append(keys.c.owner_id.in_(of))
    if filters.created_since is not None:
        found.append(keys.c.created_at >= to_milliseconds(filters.created_since))
    if filters.created_before is not None:
        found.append(keys.c.created_at < to_milliseconds(filters.created_before))
    if filters.expires_within is not None:
        found += [keys.c.expires_at > moment, keys.c.expires_at <= to_milliseconds(now + filters.expires_within)]
    if filters.older_than is not None:
        found.append(keys.c.created_at <= to_milliseconds(now - filters.older_than))
    if filters.unused_for is not None:
        since = to_milliseconds(now - filters.unused_for)
        found.append(func.coalesce(keys.c.last_used_at, keys.c.created_at) <= since)
    if filters.due_after is not None:
        found += [has_status(Status.ACTIVE, now), keys.c.created_at <= to_milliseconds(now - filters.due_after)]
    return found


def has_status(status: Status, now: datetime) -> ColumnElement[bool]:
    """Return the condition for the status that `KeyRecord.status` returns."""
    true_of = _true_of(to_milliseconds(now))
    order = list(Status)
    earlier = [true_of[one] for one in order[: order.index(status)]]
    own = [true_of[status]] if status in true_of else []
    return and_(*own, *map(not_, earlier))


def is_live(now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions for a key that is neither revoked nor expired."""
    later = or_(keys.c.expires_at.is_(null()), keys.c.expires_at > to_milliseconds(now))
    return [keys.c.revoked_at.is_(null()), later]


def status_rank(now: datetime) -> ColumnElement[int]:
    """Return the rank of a key's status: active is the first."""
    true_of = _true_of(to_milliseconds(now))
    ranks = [(true_of[status], len(Status) - rank) for rank, status in enumerate(Status, 1) if status in true_of]
    return case(*ranks, else_=0)


def _true_of(moment: int) -> dict[Status, ColumnElement[bool]]:
    """Return what is true of a key with each status but the last one. It may be true of a key with an earlier one."""
    return {
        Status.REVOKED: keys.c.revoked_at.is_not(null()),
        Status.EXPIRED: func.coalesce(keys.c.expires_at, END_OF_TIME) <= moment,
        Status.LOCKED: and_(keys.c.locked_at.is_not(null()), func.coalesce(keys.c.locked_until, END_OF_TIME) > moment),
        Status.DISABLED: and_(keys.c.owner_id.is_not(null()), keys.c.owner_id.in_(owners.ids_of_disabled())),
        Status.RETIRING: keys.c.replaced_by.is_not(null()),
    }


def _any(alternatives: Iterable[ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    """Return one condition that is met by any of them; none, if there is none."""
    given = list(alternatives)
    return [or_(false(), *given)] if given else []


def _is_on_plan(plan: str) -> ColumnElement[bool]:
    return keys.c.owner_id.in_(select(owner_table.c.id).where(owner_table.c.plan == plan))


def _has_metadata(name: str, value: str) -> ColumnElement[bool]:
    # Within a JSON text every quote has a backslash before it: this matches a whole pair and nothing else.
    pair = ":".join(json.dumps(text, ensure_ascii=False) for text in (name, value))
    return keys.c.metadata.contains(pair, autoescape=True)


def _is_hashed_with(pepper: str) -> ColumnElement[bool]:
    if pepper == "none":
        return not_(keys.c.phc.contains("keyid=", autoescape=True))
    return keys.c.phc.contains(f"keyid={pepper}$", autoescape=True)


def _is_like(column: ColumnElement[str | None], text: str) -> ColumnElement[bool]:
    """Return whether a text contains another, or matches it as a pattern with `*` and `?`; case does not matter."""
    if len(text) > _LONGEST_PATTERN:
        raise UsageError(f"the pattern has {len(text):,} characters: at most {_LONGEST_PATTERN:,}")
    # Neither database is sure to ignore the case of letters outside ASCII.
    return or_(*(column.ilike(_pattern(one), escape="\\") for one in {text: 0, text.lower(): 0, text.upper(): 0}))


def _pattern(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    if "*" in text or "?" in text:
        return escaped.replace("*", "%").replace("?", "_")
    return f"%{escaped}%"
