"""Writes a store into a new SQLite file, and verifies what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from keyctl.errors import CheckFailed, Refused
from keyctl.store import events, schema, settings
from keyctl.store.copying import Copied, copy_store
from keyctl.store.database import Database
from keyctl.store.integrity import Verdict, check
from keyctl.store.new_file import new_file
from keyctl.store.setting_names import SettingName


@dataclass(frozen=True)
class Backup:
    """What a backup holds: the id of the store, the last event of its log, and what was verified."""

    store_id: str
    seq: int
    hash: str
    verified: Verdict


def back_up(
    source: Database, path: Path, *, replace: bool = False, on_rows: Callable[[int], None] = lambda _: None
) -> Backup:
    """Write a backup of a store as it is at one moment, while others use it. The file is complete, or absent.

    With `replace`, it replaces a regular file. Raises CheckFailed if the store differs from its audit log: the state of
    a store that was altered is nothing to return to. Raises Refused and StoreUnavailable.
    """
    if source.location.file is not None and path.exists() and path.samefile(source.location.file):
        raise Refused(f"{path} is the store itself", hint="choose another file")
    if not replace and path.is_file():
        raise Refused(f"{path} already exists", hint="choose another file, or add --force to replace it")
    with new_file(path, replace=replace) as file:

        def fill(target: Connection) -> Copied:
            schema.prepare(target)
            return copy_store(source, target, file, on_rows=on_rows)

        file.write(fill)
        file.close()  # what is verified is read from the file
        verified = check(file)
        if verified.fault is not None:
            raise CheckFailed(
                f"{source.location} differs from its audit log, and no backup was written: {verified.fault}",
                hint=f"keyctl audit verify --store {source.location}",
            )
        with file.read() as connection:
            [seq, digest] = events.head(connection) or (0, "")
            store_id = settings.read(connection)[SettingName.STORE_ID]
    return Backup(store_id, seq, digest, verified)
