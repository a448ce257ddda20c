"""Exports keys with their hashes, as lines that an import reads: into another store, or another program."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Generator, Iterator
from datetime import datetime

from keyctl.exchange.lines import CSV
from keyctl.exchange.records import EXPORTED, key_cells, key_values, owner_values
from keyctl.models import KeyRecord, Owner
from keyctl.store import keys, owners
from keyctl.store.database import Connection, Store
from keyctl.store.selection import Filters
from keyctl.times import utc_now

_PAGE = 1000


class KeyExporter:
    """Writes the selected keys of one moment. JSON Lines have their owners first, and those above them.

    `clock` returns the current time; `on_key` is called after each key.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], datetime] = utc_now, on_key: Callable[[], object] = lambda: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_key = on_key

    def lines(self, form: str, filters: Filters) -> Generator[bytes, None, None]:
        """Yield lines of JSON or CSV, with their ends."""
        now = self._clock()
        with self._store.snapshot() as connection:
            if form == CSV:
                yield _csv_line(EXPORTED)
                for record in self._records(connection, filters, now):
                    yield _csv_line(key_cells(record))
                return
            for owner, parent in self._owners(connection, filters, now):
                yield _json_line(owner_values(owner, parent))
            for record in self._records(connection, filters, now):
                yield _json_line(key_values(record))

    def _records(self, connection: Connection, filters: Filters, now: datetime) -> Iterator[KeyRecord]:
        for page in _pages(connection, filters, now):
            for record in page:
                yield record
                self._on_key()

    def _owners(self, connection: Connection, filters: Filters, now: datetime) -> Iterator[tuple[Owner, str | None]]:
        """Yield the owners, each after its parent, with the handle of that one."""
        found = {owner.id: owner for owner in owners.every(connection)}
        if filters != Filters():
            chosen = {owner.id for page in _pages(connection, filters, now) for one in page for owner in one.owners}
            found = {owner_id: owner for owner_id, owner in found.items() if owner_id in chosen}
        written: set[str] = set()
        for owner in found.values():
            chain = [owner]
            while chain[-1].parent_id is not None and chain[-1].parent_id not in written and len(chain) <= len(found):
                chain.append(found[chain[-1].parent_id])
            for one in reversed(chain):
                if one.id not in written:
                    written.add(one.id)
                    yield one, found[one.parent_id].handle if one.parent_id else None


def _pages(connection: Connection, filters: Filters, now: datetime) -> Iterator[list[KeyRecord]]:
    after = ""
    while page := keys.by_prefix(connection, filters, now=now, after=after, limit=_PAGE):
        yield owners.attach(connection, page)
        after = page[-1].prefix


def _json_line(values: object) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _csv_line(cells: object) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)  # type: ignore[arg-type]
    return text.getvalue().encode()
