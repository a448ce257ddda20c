"""Copies a store to another database: the whole store, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from keyctl.errors import CheckFailed, Refused
from keyctl.models import Actor, EventContent
from keyctl.store import events, schema
from keyctl.store.copying import copy_store as copy_rows_of
from keyctl.store.database import DEFAULT_WAIT, Connection, Database, Store
from keyctl.store.location import StoreLocation
from keyctl.store.new_file import write_to
from keyctl.store.replay import replay


@dataclass(frozen=True)
class StoreCopy:
    """What was copied: the last event of the log, and how many rows, by the name of the table."""

    seq: int
    hash: str
    rows: Mapping[str, int]


def copy_store(
    source: Store,
    to: StoreLocation,
    actor: Actor,
    *,
    now: datetime,
    wait: float = DEFAULT_WAIT,
    patient: bool = False,
    reason: str | None = None,
    dry_run: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> StoreCopy:
    """Copy every row of a store, with its ids and its log, to a database that holds no store.

    The copy's log continues with an event of its own, so that from then on the two stores can be distinguished. Raises
    Refused if there is a store, or if the source was changed during the copy; CheckFailed if the source's log was
    altered.
    """

    def work(target: Connection, database: Database) -> StoreCopy:
        if not schema.prepare(target):
            raise Refused(
                f"there is a store at {to} already: nothing was copied", hint=f"keyctl db status --store {to}"
            )
        copied = copy_rows_of(source, target, database, on_rows=on_rows)
        _, fault = replay(target)
        if fault is not None:
            raise CheckFailed(
                f"the audit log of {source.location} was altered, and nothing was copied: {fault}",
                hint=f"keyctl audit verify --store {source.location}",
            )
        seq, digest = events.head(target) or (0, "")
        detail = {"from": str(source.location), "event": {"seq": seq, "hash": digest}}
        events.append(target, EventContent(now, actor, "store.copied", reason, detail))
        with source.read() as connection:
            if events.head(connection) != (seq, digest):
                raise Refused(
                    f"{source.location} was changed during the copy, after event {seq}: nothing was copied",
                    hint="stop what changes it, then retry",
                )
        return StoreCopy(seq, digest, copied.rows)

    return write_to(to, work, wait=wait, patient=patient, dry_run=dry_run)
