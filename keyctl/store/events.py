"""The audit log in the database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from keyctl.audit import KEYS_PER_EVENT, chain
from keyctl.models import Actor, Event, EventContent
from keyctl.rows import AsWritten, Row, RowDamaged, as_written
from keyctl.store.tables import audit_head, events
from keyctl.store.transaction import execute, note_event
from keyctl.text import LONGEST_REASON, checked_text
from keyctl.times import from_milliseconds, to_milliseconds


def append(connection: Connection, content: EventContent) -> Event:
    """Add an event at the end of the chain, in the transaction of the change that it records.

    Raises UsageError for a reason that is empty, too long or not on one line.
    """
    if content.reason is not None:
        checked_text("reason", content.reason, longest=LONGEST_REASON)
    end = head(connection, lock=True)
    if end is None:
        raise RowDamaged("its log's head is missing, or there are several")
    seq, digest = end
    event = chain(digest, seq + 1, content)
    execute(connection, insert(events), encode(event))
    execute(connection, update(audit_head).values(seq=event.seq, hash=event.hash))
    note_event(connection, event.seq, event.hash)
    return event


def append_for_keys(
    connection: Connection,
    entries: Sequence[Mapping[str, Any]],
    common: Mapping[str, Any],
    *,
    at: datetime,
    actor: Actor,
    action: str,
    reason: str | None,
) -> None:
    """Add what was set on keys, in events of at most KEYS_PER_EVENT keys. `common` was set on all of them."""
    for i in range(0, len(entries), KEYS_PER_EVENT):
        detail = {"keys": list(entries[i : i + KEYS_PER_EVENT]), "set": dict(common)}
        append(connection, EventContent(at, actor, action, reason, detail))


def every_as_written(connection: Connection, *, since: int = 1) -> Iterator[AsWritten[Event]]:
    """Yield all events, or those since that sequence number, oldest first, in constant memory."""
    query = select(events).order_by(events.c.seq).execution_options(yield_per=1000)
    if since > 1:
        query = query.where(events.c.seq >= since)
    with closing(connection.execute(query)) as result:  # closes the server's cursor if the caller stops early
        for row in result.mappings():
            yield as_written(dict(row), row["seq"], f"event {row['seq']} was altered", decode, encode)


def head(connection: Connection, *, lock: bool = False) -> tuple[int, str] | None:
    """Return the number and the hash of the last event; None if there is not exactly one record of it."""
    query = select(audit_head)
    rows = [(row.seq, row.hash) for row in connection.execute(query.with_for_update() if lock else query)]
    return rows[0] if len(rows) == 1 and tuple(map(type, rows[0])) == (int, str) else None


def encode(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": to_milliseconds(event.at),
        "actor": event.actor.user,
        "claimed_actor": event.actor.claimed,
        "action": event.action,
        "reason": event.reason,
        "detail": json.dumps(event.detail, separators=(",", ":"), ensure_ascii=False),
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }


def decode(row: Row) -> Event:
    """Return the event of a row. Raises RowDamaged for one that keyctl cannot have written."""
    try:
        at, detail = from_milliseconds(row["at"]), json.loads(row["detail"])
        texts = [row[name] for name in ("actor", "action", "previous_hash", "hash", "claimed_actor", "reason")]
        if not (
            isinstance(row["seq"], int)
            and isinstance(detail, dict)
            and all(isinstance(one, str) for one in texts if one is not None)
        ):
            raise TypeError
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise RowDamaged(f"event {row['seq']} was altered: it cannot be read") from None
    return Event(
        seq=row["seq"],
        at=at,
        actor=Actor(row["actor"], row["claimed_actor"]),
        action=row["action"],
        reason=row["reason"],
        detail=detail,
        previous_hash=row["previous_hash"],
        hash=row["hash"],
    )
