"""Compares the whole store with the state that follows from the audit log."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

from keyctl.audit import History
from keyctl.rows import RowDamaged
from keyctl.store import counters, events, keys, owners, settings
from keyctl.store.database import Connection, Database, schema_revision
from keyctl.store.opening import check_revision
from keyctl.store.setting_names import SettingName

_IDENTITY = {SettingName.STORE_ID, SettingName.CREATED_AT}  # not in the first event of the first stores
# Use is recorded, not audited: neither when it began to be, nor a key's last use.
_AUDITED = tuple(name for name in SettingName if name != SettingName.USAGE_RECORDED_SINCE)


@dataclass(frozen=True)
class Verdict:
    """How many rows were checked, and the first fault: in an event, a setting, an owner or a key."""

    events: int
    keys: int
    owners: int
    fault: str | None


def check(database: Database) -> Verdict:
    """Recompute the chain, replay it and compare, in one transaction that sees one consistent state.

    Takes a Database, since an altered store may not open as a Store.
    """
    seen = {"events": 0, "keys": 0, "owners": 0}
    with database.read() as connection, closing(_faults(connection, seen)) as faults:
        try:
            check_revision(str(database.location), schema_revision(connection))
            fault = next(faults, None)
        except RowDamaged as error:
            fault = str(error)
    return Verdict(**seen, fault=fault)


def _faults(connection: Connection, seen: dict[str, int]) -> Generator[str, None, None]:
    history = History()
    for event in events.as_written(connection):
        if fault := history.follow(event):
            yield fault
        seen["events"] += 1
    head = events.head(connection)
    if fault := history.check_head(*head) if head else "the log's head is missing, or there are several":
        yield fault
    kept = settings.read(connection)
    for name in _AUDITED:
        if name in _IDENTITY and not history.records_setting(name):
            continue
        if fault := history.check_setting(name, kept.get(name)):
            yield fault
    if fault := history.check_counters(counters.read(connection)):
        yield fault
    for owner in owners.as_written(connection):
        if fault := history.check_owner(owner):
            yield fault
        seen["owners"] += 1
    for key in keys.as_written(connection):
        if fault := history.check_key(key):
            yield fault
        seen["keys"] += 1
    yield from history.missing()
