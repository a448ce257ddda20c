"""What does not depend on the machine: modules imported, statements run, parts read and hashes computed."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from keyctl import hashing
from keyctl.admin.bundle_export import BundleExporter
from keyctl.bundles.bundle import Bundle
from keyctl.bundles.signing import SigningKey, Trust
from keyctl.store.database import Store
from keyctl.store.selection import Filters
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.verifier import Verifier
from tests.imports import imported_by, packages
from tests.stores import ACTOR, Opened, new_store


class Count(NamedTuple):
    name: str
    found: str
    right: bool


def help_imports_nothing_heavy() -> Count:
    return _imports("keyctl --help", {"sqlalchemy", "argon2", "rich", "alembic"}, "--help")


def verify_imports_no_database_library() -> Count:
    with _store() as opened:
        key = opened.mint()[0].text
        heavy = {"sqlalchemy", "rich", "alembic"}
        return _imports("keyctl verify", heavy, "verify", "--store", str(opened.path), stdin=key)


def mint_imports_no_migrations() -> Count:
    with _store() as opened:
        return _imports("keyctl mint", {"alembic", "rich"}, "mint", "--store", str(opened.path))


def verify_asks_the_store_little() -> Count:
    with _store() as opened:
        key = opened.mint(owner="acme")[0].text
        with _statements() as ran, closing(SqliteReader(opened.path)) as reader:
            assert Verifier(reader, clock=opened.clock).verify(key)
        # the cache's size; the schema's table, its revision, the settings; the key, its owners
        return Count("statements to open a store and verify a key with an owner", str(len(ran)), len(ran) <= 6)


def every_verification_is_one_hash() -> Count:
    with _store() as opened:
        texts = {"right": opened.mint()[0].text, "wrong secret": "", "unknown prefix": ""}
        key_format = opened.store.profile.key_format
        [stranger] = key_format.generate(env="live")
        texts["unknown prefix"] = stranger.text
        # another key's secret on this key's prefix, with a checksum that fits
        right, other = key_format.parse(texts["right"]), key_format.parse(stranger.text)
        texts["wrong secret"] = key_format.format(replace(right, secret=other.secret))
        verifier = Verifier(opened.store, clock=opened.clock)
        counted = {
            name: _hashes("verify_secret", lambda text=text: verifier.verify(text)) for name, text in texts.items()
        }
    return Count("hashes to verify", str(counted), set(counted.values()) == {1})


def a_key_proven_before_is_neither_hashed_nor_looked_up() -> Count:
    with _store() as opened:
        key = opened.mint()[0].text
        with _statements() as ran, closing(SqliteReader(opened.path)) as reader:
            verifier = Verifier(reader, clock=opened.clock)
            verifier.verify(key)
            ran.clear()
            hashes = _hashes("verify_secret", lambda: verifier.verify(key))
    return Count("the same key again", f"{hashes} hashes, {len(ran)} statements", not hashes and not ran)


def a_look_up_in_a_bundle_reads_two_parts() -> Count:
    """However many keys there are: an index, and a block of 256 keys."""
    read = {}
    with _store() as opened, tempfile.TemporaryDirectory() as folder:
        path, signer = Path(folder, "bundle"), SigningKey.create(Path(folder, "key"))
        exporter = BundleExporter(opened.store, ACTOR, signer, clock=opened.clock)
        for count in (1, 2999):
            prefix = opened.mint(count=count)[0].record.key.prefix
            exporter.export(path, filters=Filters(), described={}, valid_for=timedelta(hours=1))
            with closing(Bundle(path, trust=[Trust(signer.public_bytes)])) as bundle:
                read[f"{count:,} keys"] = _reads(lambda bundle=bundle, prefix=prefix: bundle.find(prefix))
    return Count("parts read to look a key up in a bundle", str(read), set(read.values()) == {2})


def many_mints_are_as_many_hashes() -> Count:
    with _store() as opened, _statements() as ran:
        again = Opened(Store(opened.store.location))
        hashes = _hashes("hash_secret", lambda: again.mint(count=500))
        again.store.close()
        writes = sum(statement.lower().startswith("begin immediate") for statement in ran)
    return Count("500 mints at once", f"{hashes} hashes, {writes} write transactions", (hashes, writes) == (500, 2))


def a_mint_is_one_hash_and_two_transactions() -> Count:
    with _store() as opened, _statements() as ran:
        again = Opened(Store(opened.store.location))
        hashes = _hashes("hash_secret", again.mint)
        again.store.close()
        writes = sum(statement.lower().startswith("begin immediate") for statement in ran)
    return Count("a mint", f"{hashes} hash, {writes} write transactions", (hashes, writes) == (1, 2))


COUNTS: Sequence[Callable[[], Count]] = [
    help_imports_nothing_heavy,
    verify_imports_no_database_library,
    mint_imports_no_migrations,
    verify_asks_the_store_little,
    every_verification_is_one_hash,
    a_key_proven_before_is_neither_hashed_nor_looked_up,
    a_look_up_in_a_bundle_reads_two_parts,
    a_mint_is_one_hash_and_two_transactions,
    many_mints_are_as_many_hashes,
]


def _imports(name: str, heavy: set[str], *args: str, stdin: str = "") -> Count:
    with tempfile.TemporaryDirectory() as home:
        modules = imported_by("-m", "keyctl", *args, env={"HOME": home}, stdin=stdin)
    found = heavy & packages(modules)
    told = f"{len(modules)} modules, of the heavy ones {', '.join(sorted(found)) or 'none'}"
    return Count(f"imports of {name}", told, not found)


@contextmanager
def _store() -> Iterator[Opened]:
    with tempfile.TemporaryDirectory() as folder:
        opened = new_store(Path(folder, "store.db"))
        yield opened
        opened.store.close()


@contextmanager
def _statements() -> Iterator[list[str]]:
    """Note every statement on connections that are opened meanwhile."""
    ran: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(ran.append)
        return connection

    with mock.patch("sqlite3.connect", traced):
        yield ran


def _reads(work: Callable[[], object]) -> int:
    with mock.patch("os.pread", wraps=os.pread) as spy:
        work()
    return spy.call_count


def _hashes(function: str, work: Callable[[], object]) -> int:
    with mock.patch.object(hashing, function, wraps=getattr(hashing, function)) as spy:
        work()
    return len(spy.call_args_list)  # appended to by several threads; `call_count += 1` may lose one
