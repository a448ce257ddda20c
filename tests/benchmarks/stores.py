"""Stores of many keys, made in seconds: all but one have the same hash, and no event tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Index

from keyctl.admin import KeyAdmin, NewKey
from keyctl.delivery import Minted
from keyctl.hashing import DEFAULT
from keyctl.location import StoreLocation
from keyctl.models import Actor
from keyctl.profiles.files import load_profile
from keyctl.store.schema import create
from keyctl.store.tables import keys
from keyctl.times import utc_now

_ACTOR = Actor("bench@host")
# Prefixes are random, as real ones are; ids and times ascend, as real ones do.
_FILL = """
insert into keys (
    id, prefix, phc, name, environment, scopes, allowed_ips, metadata, created_at, created_by, delivered_at
)
with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {count})
select
    printf('key_00%024d', n), 'kc_live_' || hex(randomblob(6)), ?, 'key ' || n, 'live', '["read"]', '[]', '{{}}',
    1700000000000 + n * 10, 'bench@host', 1700000000000 + n * 10
from numbers
"""


class _Kept:
    def __init__(self) -> None:
        self.text = ""

    def prepare(self, minted: Sequence[Minted]) -> None:
        self.text = minted[0].text

    def hand_over(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def make_store(path: Path, count: int) -> str:
    """Make a store of `count` keys, with hashes of the default cost; return the text of one of them."""
    store, _ = create(StoreLocation.of_file(path), load_profile("standard"), DEFAULT, actor=_ACTOR, now=utc_now())
    kept = _Kept()
    [record] = KeyAdmin(store, _ACTOR).mint(NewKey(name="the one"), kept)

    def fill(connection: Connection) -> None:
        indexes: list[Index] = sorted(keys.indexes, key=lambda index: str(index.name))
        for index in indexes:
            index.drop(connection)
        connection.exec_driver_sql(_FILL.format(count=count - 1), (record.key.phc,))
        for index in indexes:  # ten times quicker than keeping them up to date
            index.create(connection)

    if count > 1:
        store.write(fill)
    store.close()
    return kept.text
