"""In one process, as an application uses keyctl."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from keyctl.admin.keys import KeyAdmin
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.admin.owners import NewOwner
from keyctl.bundles.bundle import Bundle
from keyctl.bundles.format import read_first_line
from keyctl.bundles.signing import Trust
from keyctl.hashing import DEFAULT, Scheme, Sha256
from keyctl.models import Status
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Filters, Selection
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.store.tables import events, keys
from keyctl.testing import MemoryStore
from keyctl.verifier import Verifier
from tests.benchmarks.measure import Row, Run, calls, fixed, prepared
from tests.benchmarks.stores import ACTOR, Kept, bundle_of, empty_store, store_of

_ACTIVE = Selection(None, Filters(statuses=(Status.ACTIVE,)))
REQUESTS = {"standard": "/v1/calls?page=2", "vexa": "/bots/meet/abc-defg-hij"}
HEADERS = [
    *(("host", "api.example"), ("user-agent", "curl/8.5.0"), ("accept", "*/*"), ("accept-encoding", "gzip, br")),
    *(("content-type", "application/json"), ("x-forwarded-proto", "https")),
]


def rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """Yield the rows. The bundles are those that the rows at the shell have left."""
    few, many = (1_000, 100_000) if quick else (1_000, 1_000_000)
    runs = 7 if quick else 21

    store = store_of(folder, few)
    with closing(Verifier.from_store(str(store.path))) as verifier:
        again = calls(verifier.verify, [store.key] * 5_000)
        secret, text = os.urandom(32), store.key.encode()
        one_hash = calls(lambda key: blake2b(key, key=secret, digest_size=32).digest(), [text] * 5_000)
        yield Row("Verifier, the same key again", 10.0, again, one_hash, runs, by="cpu")

    for profile, path in REQUESTS.items():
        yield from _requests(folder, profile, path, runs)
    with MemoryStore() as memory:
        minting = calls(lambda _: memory.mint(), [None] * 100)
        yield Row("mint of a key in keyctl.testing, against 2 ms", 1.0, minting, fixed(0.002), runs, by="cpu")

    large = store_of(folder, many).path
    prefixes = _some_prefixes(large, many)
    with closing(SqliteReader(large)) as reader, closing(sqlite3.connect(f"file:{large}?mode=ro", uri=True)) as plain:
        bare = calls(lambda name: plain.execute("select * from keys where prefix = ?", (name,)).fetchone(), prefixes)
        name = f"a look-up in the store, {many:,} keys"
        yield Row(name, 1.3, calls(reader.find, prefixes), bare, runs, by="cpu")

    with closing(_bundle(folder, many)) as huge, closing(_bundle(folder, few)) as tiny:
        in_huge = calls(huge.find, prefixes[:200])
        in_tiny = calls(tiny.find, _some_prefixes(store.path, few)[:200])
        name = f"a look-up in the bundle, {many:,} keys against {few:,}"
        yield Row(name, 1.3, in_huge, in_tiny, runs, by="cpu")

    count = 200 if quick else 500
    hashing = prepared(lambda: count, _hash_on_all_cores)
    # Several threads compute at once, so only the wall clock counts.
    yield Row(
        f"mint of {count:,} keys, argon2id", 1.15, _mint(folder, DEFAULT, count), hashing, 3 if quick else 5, by="wall"
    )
    count = 10_000 if quick else 100_000
    yield Row(
        f"mint of {count:,} keys, sha256", 2.5, _mint(folder, Sha256(), count), _insert(folder, count), 5, by="cpu"
    )
    yield Row(
        f"revoke of {count:,} keys, against Core reading and updating the rows and inserting the events",
        3.0,
        _revoke(folder, count),
        _update(folder, count),
        5,
        by="cpu",
    )


def _requests(folder: Path, profile: str, path: str, runs: int) -> Iterator[Row]:
    """Compare requests with `verify` of the same key, which was seen before."""
    with closing(empty_store(folder / "requests.db", Sha256(), profile)) as store:
        kept = Kept()
        owner = NewOwner("acme") if profile != "standard" else None
        KeyMinter(store, ACTOR).mint(NewKey(owner=owner, create_owner=True), kept)
    [key] = kept.texts
    with Verifier.from_store(folder / "requests.db") as verifier:
        credential = ("x-api-key", key) if profile == "vexa" else ("authorization", f"Bearer {key}")
        headers = [*HEADERS, credential, ("x-forwarded-for", "203.0.113.9, 192.168.0.7")]
        known = calls(verifier.verify, [key] * 5_000)

        def ask(proxies: tuple[str, ...]) -> Callable[[object], object]:
            return lambda _: verifier.verify_request("GET", path, headers, "10.0.0.1", trusted_proxies=proxies)

        for at_most, proxies, how in ((3.0, (), ""), (4.0, ("10.0.0.0/8", "192.168.0.0/16"), ", trusted proxies")):
            assert verifier.verify_request("GET", path, headers, "10.0.0.1", trusted_proxies=proxies)
            name = f"verify_request, {profile}, {len(headers)} headers{how}, against verify"
            yield Row(name, at_most, calls(ask(proxies), [None] * 5_000), known, runs, by="cpu")


def _some_prefixes(path: Path, count: int) -> list[str]:
    chosen = random.Random(1).sample(range(1, count + 1), 1_000)
    with closing(sqlite3.connect(path)) as connection:
        found = [connection.execute("select prefix from keys where rowid = ?", (row,)).fetchone() for row in chosen]
    return [prefix for (prefix,) in found]


def _bundle(folder: Path, count: int) -> Bundle:
    path = bundle_of(folder, count)
    with path.open("rb") as file:
        return Bundle(path, trust=[Trust(read_first_line(file).signer)])


def _hash_on_all_cores(count: int) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(DEFAULT.hash, [f"a key of some length {i}" for i in range(count)]))


def _mint(folder: Path, scheme: Scheme, count: int) -> Run:
    """Mint this number of keys, each time into a new store."""

    def mint(store: Store) -> None:
        with closing(store):
            KeyMinter(store, ACTOR).mint(NewKey(), Kept(), count=count)

    return prepared(lambda: empty_store(folder / "minted.db", scheme), mint)


def _insert(folder: Path, count: int) -> Run:
    """Insert the rows of the last mint as SQLAlchemy does by itself, each time into a new store."""
    minted: list[dict[str, Any]] = []

    def prepare() -> Store:
        if not minted:
            _mint(folder, Sha256(), count)()
            with closing(Store(StoreLocation.of_file(folder / "minted.db"))) as store, store.read() as connection:
                minted.extend(map(dict, connection.execute(select(keys)).mappings()))
        return empty_store(folder / "inserted.db", Sha256())

    def insert_all(store: Store) -> None:
        with closing(store):
            store.write(lambda connection: connection.execute(insert(keys), minted))

    return prepared(prepare, insert_all)


def _revoke(folder: Path, count: int) -> Run:
    """Revoke this number of keys, each time in a new store."""

    def revoke(store: Store) -> None:
        with closing(store):
            KeyAdmin(store, ACTOR).revoke(_ACTIVE, reason="a benchmark")

    return prepared(lambda: _minted(folder, count), revoke)


def _update(folder: Path, count: int) -> Run:
    """Change the same rows and insert the same events as SQLAlchemy does by itself, each time in a new store."""
    recorded: list[dict[str, Any]] = []
    change = update(keys).where(keys.c.id == bindparam("key_id")).values(revoked_at=1, revoked_reason="a benchmark")

    def prepare() -> Store:
        if not recorded:
            with closing(_minted(folder, count)) as store:
                KeyAdmin(store, ACTOR).revoke(_ACTIVE, reason="a benchmark")
                with store.read() as connection:
                    query = select(events).where(events.c.action == "key.revoked")
                    recorded.extend(map(dict, connection.execute(query).mappings()))
        return _minted(folder, count)

    def work(connection: Connection) -> None:
        rows = [dict(row) for row in connection.execute(select(keys)).mappings()]
        connection.execute(change, [{"key_id": row["id"]} for row in rows])
        connection.execute(insert(events), recorded)

    def update_all(store: Store) -> None:
        with closing(store):
            store.write(work)

    return prepared(prepare, update_all)


def _minted(folder: Path, count: int) -> Store:
    """Return a new store of this number of active keys."""
    source, path = folder / "to-revoke.db", folder / "revoked.db"
    if not source.exists():
        with closing(empty_store(source, Sha256())) as store:
            KeyMinter(store, ACTOR).mint(NewKey(), Kept(), count=count)
    shutil.copyfile(source, path)
    return Store(StoreLocation.of_file(path))
