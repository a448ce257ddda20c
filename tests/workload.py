"""A program for the tests: makes random changes to keys, while other processes do the same, and prints a report.

Standard input is a JSON object: `store`, a URL or a path; `keys`, the texts of keys that all processes change;
`owners`, the handles of theirs; `number`, which of the processes this is; `operations`, how many changes it tries.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from keyctl.admin.keys import Change, KeyAdmin, ScopeChange, Update
from keyctl.admin.last_use import record_use
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.admin.owners import NewOwner, OwnerAdmin
from keyctl.admin.rotation import KeyRotator
from keyctl.errors import Refused
from keyctl.models import Actor
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Selection
from keyctl.times import to_milliseconds, utc_now
from tests.stores import Kept

WAIT = 60.0  # seconds for another writer


@dataclass
class Report:
    """What was done. Each event is an action and the ids that it concerns, sorted.

    `metadata` is what was added to each key, `used` when each was last used; `refused` is how many changes were
    refused, `overtaken` how many rotations were after their delivery; `seconds` is how long all of it took, and
    `longest` how long one change did.
    """

    events: list[tuple[str, list[str]]] = field(default_factory=list)
    metadata: dict[str, list[str]] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    overtaken: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, action: str, ids: Iterable[str]) -> None:
        if found := sorted(ids):
            self.events.append((action, found))

    def add_changes(self, action: str, changes: Iterable[Change]) -> None:
        self.add(action, [one.record.key.id for one in changes if one.changed])


class Worker:
    def __init__(self, store: Store, keys: list[str], owners: list[str], number: int) -> None:
        actor = Actor("tester@host", f"process {number}")
        self._store, self._actor, self._number = store, actor, number
        self._keys, self._owners = KeyAdmin(store, actor), OwnerAdmin(store, actor)
        self._minter, self._rotator = KeyMinter(store, actor), KeyRotator(store, actor)
        self._texts, self._handles = {text.rpartition("_")[0]: text for text in keys}, owners
        self._chance = random.Random(number)
        self.report = Report()

    def run(self, operations: int) -> None:
        changes: list[Callable[[], object]] = [
            *(self._mint, self._rotate, self._rotate, self._lock, self._unlock, self._expire, self._scope),
            *(self._update, self._update, self._revoke, self._use, self._disable, self._enable, self._enable),
        ]
        start = time.monotonic()
        for self._turn in range(operations):
            began = time.monotonic()
            try:
                self._chance.choice(changes)()
            except Refused as error:
                self.report.refused += 1
                self.report.overtaken += "which was just delivered, is revoked" in error.message
            self.report.longest = max(self.report.longest, time.monotonic() - began)
        self.report.seconds = time.monotonic() - start

    def _some(self, most: int = 3) -> Selection:
        return Selection.named(*self._chance.sample(sorted(self._texts), self._chance.randint(1, most)))

    def _mint(self) -> None:
        owner, kept = NewOwner(self._chance.choice(self._handles)), Kept()
        made = self._minter.mint(NewKey(owner=owner, scopes=["read"]), kept, count=self._chance.randint(1, 3))
        for action in ("key.minted", "key.delivered"):
            self.report.add(action, [one.key.id for one in made])

    def _rotate(self) -> None:
        chosen, kept = Selection.named(self._chance.choice(sorted(self._texts))), Kept()
        revoking = [one.key.id for one in self._rotator.undelivered_successors(chosen)]
        try:
            [rotation] = self._rotator.rotate(chosen, kept, grace=timedelta(hours=1), revoking=revoking)
        except Refused as error:
            if "which was just delivered" in error.message:
                self.report.add("key.minted", [kept.minted[0].record.key.id])
            raise
        self.report.add("key.minted", [rotation.new.key.id])
        self.report.add("key.rotated", [rotation.new.key.id, rotation.old.key.id])
        self._texts[rotation.new.key.prefix] = kept.minted[0].text

    def _lock(self) -> None:
        self.report.add_changes("key.locked", self._keys.lock(self._some(), duration=timedelta(minutes=5)))

    def _unlock(self) -> None:
        self.report.add_changes("key.unlocked", self._keys.unlock(self._some()))

    def _expire(self) -> None:
        self.report.add_changes("key.expiry_set", self._keys.expire(self._some(), f"{self._chance.randint(1, 9)}d"))

    def _scope(self) -> None:
        change = self._chance.choice([ScopeChange(add=["write"]), ScopeChange(remove=["write"])])
        self.report.add_changes("key.scopes_set", self._keys.scope(self._some(), change))

    def _update(self) -> None:
        name = f"p{self._number}-{self._turn}"
        changes = self._keys.update(self._some(), Update(name=name, metadata=[f"{name}=x"]))
        self.report.add_changes("key.updated", changes)
        for one in changes:
            self.report.metadata.setdefault(one.record.key.id, []).append(name)

    def _revoke(self) -> None:
        if self._turn % 5 == 0:  # or there would soon be no key to change
            self.report.add_changes("key.revoked", self._keys.revoke(self._some(1), reason="no longer needed"))

    def _use(self) -> None:
        prefix = self._chance.choice(sorted(self._texts))
        now, record = utc_now(), self._store.find(prefix)
        assert record
        record_use(self._store, self._actor, record, self._texts[prefix], now=now)
        self.report.used[record.key.id] = max(to_milliseconds(now), self.report.used.get(record.key.id, 0))

    def _disable(self) -> None:
        change = self._owners.disable(self._chance.choice(self._handles))
        self.report.add("owner.disabled", [change.owner.id] if change.changed else [])

    def _enable(self) -> None:
        change = self._owners.enable(self._chance.choice(self._handles))
        self.report.add("owner.enabled", [change.owner.id] if change.changed else [])


def main(given: dict[str, Any]) -> Report:
    store = Store(StoreLocation.parse(given["store"]), wait=WAIT)
    try:
        worker = Worker(store, given["keys"], given["owners"], given["number"])
        worker.run(given["operations"])
    finally:
        store.close()
    return worker.report


if __name__ == "__main__":
    print(json.dumps(asdict(main(json.load(sys.stdin)))))  # noqa: T201 - the answer
