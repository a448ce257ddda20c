"""Compares the whole store with what the audit log says it must hold."""

from __future__ import annotations

from dataclasses import dataclass

from keyctl.audit import History
from keyctl.store import events, keys, owners
from keyctl.store.database import Store, read_settings

_AUDITED_SETTINGS = ("profile", "hash")


@dataclass(frozen=True)
class Verdict:
    """How much was checked, and the first thing found broken: an event, else an owner or a key."""

    events: int
    keys: int
    owners: int
    fault: str | None


def check(store: Store) -> Verdict:
    """Recompute the chain, replay it, and compare. Reads one consistent state, in one transaction."""
    history = History()
    seen = {"events": 0, "keys": 0, "owners": 0}
    with store.read() as connection:
        for event in events.every(connection):
            if fault := history.follow(event):
                return Verdict(**seen, fault=fault)
            seen["events"] += 1
        if fault := history.check_head(*events.head(connection)):
            return Verdict(**seen, fault=fault)
        settings = read_settings(connection)
        for name in _AUDITED_SETTINGS:
            if fault := history.check_setting(name, settings[name]):
                return Verdict(**seen, fault=fault)
        for owner in owners.every(connection):
            if fault := history.check_owner(owner):
                return Verdict(**seen, fault=fault)
            seen["owners"] += 1
        for key in keys.every(connection):
            if fault := history.check_key(key):
                return Verdict(**seen, fault=fault)
            seen["keys"] += 1
    return Verdict(**seen, fault=next(history.missing(), None))
