"""Stores of many keys, made in seconds. But for `minted_store`, all but one have the same hash, and no event."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Index

from keyctl.admin.delivery import Minted
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.hashing import DEFAULT, Scheme, Sha256
from keyctl.models import Actor
from keyctl.profiles.files import load_profile
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.schema import create
from keyctl.store.tables import keys
from keyctl.times import utc_now

ACTOR = Actor("bench@host")
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


class Kept:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def prepare(self, minted: Sequence[Minted]) -> None:
        self.texts = [one.text for one in minted]

    def hand_over(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class Made(NamedTuple):
    path: Path
    key: str  # the text of one of its keys

    @property
    def prefix(self) -> str:
        return self.key.rpartition("_")[0]


@functools.cache
def store_of(folder: Path, count: int) -> Made:
    """Return a store of `count` keys in the folder. Not to be written to: every caller gets the same one."""
    path = folder / f"{count}.db"
    return Made(path, make_store(path, count))


def bundle_of(folder: Path, count: int) -> Path:
    """Return where the bundle of `store_of` is, once it was exported."""
    return folder / f"{count}.bundle"


def empty_store(path: Path, scheme: Scheme = DEFAULT, profile: str = "standard") -> Store:
    """Write an empty store to `path`, in the place of what is there, and open it."""
    path.write_bytes(_empty(scheme, profile))
    return Store(StoreLocation.of_file(path))


@functools.cache
def _empty(scheme: Scheme, profile: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        store, _ = create(StoreLocation.of_file(path), load_profile(profile), scheme, actor=ACTOR, now=utc_now())
        store.close()
        return path.read_bytes()


def make_store(path: Path, count: int, scheme: Scheme = DEFAULT) -> str:
    """Make a store of `count` keys; return the text of one of them."""
    store, _ = create(StoreLocation.of_file(path), load_profile("standard"), scheme, actor=ACTOR, now=utc_now())
    kept = Kept()
    [record] = KeyMinter(store, ACTOR).mint(NewKey(name="the one"), kept)

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
    return kept.texts[0]


def minted_store(path: Path, count: int) -> Path:
    """Make a store of `count` keys with their events, as `mint --count` leaves it."""
    store, _ = create(StoreLocation.of_file(path), load_profile("standard"), Sha256(), actor=ACTOR, now=utc_now())
    KeyMinter(store, ACTOR).mint(NewKey(name="one of many"), Kept(), count=count)
    store.close()
    return path
