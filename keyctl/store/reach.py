"""How many owners and keys stop when an owner is disabled, or work when it is enabled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, not_, null, or_, select

from keyctl.models import Owner
from keyctl.store import owners
from keyctl.store.selection import is_live
from keyctl.store.tables import keys
from keyctl.store.tables import owners as table
from keyctl.times import to_milliseconds


@dataclass(frozen=True)
class Reach:
    """How many owners and keys depend on one owner alone.

    Attributes:
        owners: The owner itself, and those below it that no other disabled owner stops.
        keys: Their keys that are neither revoked, expired nor locked.
    """

    owners: int = 0
    keys: int = 0


NO_REACH = Reach()


def of_owner(connection: Connection, owner: Owner, *, now: datetime) -> Reach:
    """Count what stops if the owner is disabled, or works if it is enabled. Nothing does below a disabled owner."""
    if any(not above.active for above in owners.with_ancestors(connection, owner.handle)[1:]):
        return NO_REACH
    tree = select(table.c.id).where(table.c.id == owner.id).cte("reached", recursive=True)
    below = select(table.c.id).join(tree, table.c.parent_id == tree.c.id).where(table.c.disabled_at.is_(null()))
    # UNION, without ALL, also ends where an owner was made its own ancestor outside keyctl.
    reached = select(tree.union(below).c.id)
    moment = to_milliseconds(now)
    locked = and_(keys.c.locked_at.is_not(null()), or_(keys.c.locked_until.is_(null()), keys.c.locked_until > moment))
    count = select(func.count())
    return Reach(
        owners=connection.execute(count.select_from(reached.subquery())).scalar_one(),
        keys=connection.execute(
            count.select_from(keys).where(keys.c.owner_id.in_(reached), *is_live(now), not_(locked))
        ).scalar_one(),
    )
