"""Looks keys up in a SQLite store with the standard library alone, so that verifying never pays for SQLAlchemy.

Opens the file read-only, and writes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from keyctl.errors import ConfigurationInvalid, StoreBusy, StoreUnavailable
from keyctl.hashing import parameters_from_dict
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import read_profile
from keyctl.rows import decode_key, decode_owner

# The revision of the schema this version reads and writes. A test compares it with the newest migration.
SCHEMA_REVISION = "0001"

_ANCESTORS = """
with recursive chain(id, depth) as (
    select id, 0 from owners where {start}
    union all
    select owners.parent_id, depth + 1 from chain join owners on owners.id = chain.id where owners.parent_id is not null
)
select owners.* from chain join owners on owners.id = chain.id order by depth
"""


class SqliteReader:
    """A keyring over a SQLite file. `wait` is how many seconds to wait for a writer to finish.

    Raises StoreUnavailable if the file is no store or cannot be read, StoreBusy, and ConfigurationInvalid for another
    schema than this version's.
    """

    def __init__(self, path: Path, *, wait: float = 5.0) -> None:
        self._path = path
        with self._explained():
            self._connection = sqlite3.connect(file_uri(path, mode="ro"), uri=True, timeout=wait, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            check_revision(str(path), _revision(self._connection))
            settings = dict(iter(self._connection.execute("select name, value from settings")))
        self.store_id = settings["store_id"]
        self.profile = read_profile(json.loads(settings["profile"]), source=f"the profile in {path}")
        self.hash_parameters = parameters_from_dict(json.loads(settings["hash"]))

    def find(self, prefix: str) -> KeyRecord | None:
        with self._explained():
            row = self._connection.execute("select * from keys where prefix = ?", (prefix,)).fetchone()
            if row is None:
                return None
            key = decode_key(row)
            return KeyRecord(key, self._ancestors("id = ?", key.owner_id) if key.owner_id else ())

    def find_owners(self, handle: str) -> tuple[Owner, ...]:
        with self._explained():
            return self._ancestors("handle = ?", handle)

    def close(self) -> None:
        self._connection.close()

    def _ancestors(self, start: str, value: str) -> tuple[Owner, ...]:
        rows = self._connection.execute(_ANCESTORS.format(start=start), (value,))
        return tuple(decode_owner(row) for row in rows)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explain(self._path, str(error)) from error


def file_uri(path: Path, *, mode: str) -> str:
    """Return SQLite's URI for a file that must exist. A plain path would create it."""
    return f"file:{quote(str(path))}?mode={mode}"


def check_revision(store: str, revision: str | None) -> None:
    """Raise unless a store's schema is the one this version knows."""
    if revision is None:
        raise no_schema(store)
    if revision > SCHEMA_REVISION:
        raise ConfigurationInvalid(
            f"the store at {store} has schema {revision}, and this keyctl knows schemas up to {SCHEMA_REVISION}",
            hint="a newer keyctl wrote it: upgrade keyctl",
        )
    if revision < SCHEMA_REVISION:
        raise ConfigurationInvalid(
            f"the store at {store} has schema {revision}, and this keyctl needs {SCHEMA_REVISION}",
            hint=f"keyctl db upgrade --store {store}",
        )


def no_schema(store: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        f"the database {store} holds no keyctl store", hint=f"create it: keyctl init --store {store}"
    )


def explain(path: Path, message: str) -> StoreUnavailable:
    """Return what SQLite's error means to an operator."""
    if "locked" in message or "busy" in message:
        return StoreBusy(f"the store {path} is busy: another process is writing to it", hint="wait longer: --wait 30s")
    if path.is_dir():
        return StoreUnavailable(f"{path} is a folder, not a store", hint=f"give a file: --store {path}/keys.db")
    if not path.exists():
        hint = f"create it: keyctl init --store {path}"
        if not path.parent.is_dir():
            return StoreUnavailable(f"there is no folder {path.parent}", hint=f"mkdir -p {path.parent}")
        return StoreUnavailable(f"there is no keyctl store at {path}", hint=hint)
    if "not a database" in message:
        return StoreUnavailable(f"{path} is not a keyctl store: it is no SQLite database")
    if "malformed" in message or "disk I/O" in message:
        return StoreUnavailable(f"the store {path} is damaged: {message}", hint="restore it from a backup")
    if "readonly" in message:
        return StoreUnavailable(f"the store {path} cannot be written to: it is read-only for this user")
    if "unable to open" in message:
        return StoreUnavailable(f"the store {path} cannot be opened: this user may not read it")
    return StoreUnavailable(f"the store {path} cannot be used: {message}")


def _revision(connection: sqlite3.Connection) -> str | None:
    has_table = connection.execute("select 1 from sqlite_master where name = 'alembic_version'").fetchone()
    row = has_table and connection.execute("select version_num from alembic_version").fetchone()
    return row[0] if row else None
