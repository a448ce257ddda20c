"""Fills a database that may hold nothing yet, in one step: it is complete afterwards, or as it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from keyctl import private_files
from keyctl.errors import Refused, StoreUnavailable
from keyctl.store.database import Connection, Database
from keyctl.store.location import StoreLocation

T = TypeVar("T")


def write_to(
    location: StoreLocation,
    work: Callable[[Connection, Database], T],
    *,
    wait: float,
    patient: bool = False,
    dry_run: bool = False,
) -> T:
    """Run `work` in one transaction, and return its result; a SQLite file that does not exist is made for it."""
    if location.file is not None and not os.path.lexists(location.file):
        with new_file(location.file, keep=not dry_run) as made:
            return made.write(lambda connection: work(connection, made), dry_run=dry_run)
    database = Database(location, wait=wait, patient=patient)
    try:
        return database.write(lambda connection: work(connection, database), dry_run=dry_run)
    finally:
        database.close()


@contextmanager
def new_file(path: Path, *, replace: bool = False, keep: bool = True) -> Iterator[Database]:
    """Yield an empty database, whose file (mode 0600) gets the name `path` at the end.

    After an error, and if not `keep`, it is removed. With `replace`, it replaces a regular file. Raises Refused if
    something else is there, or anything if not `replace`, and StoreUnavailable if it cannot be written.
    """
    _refuse_existing(path, replace=replace)
    temporary = private_files.temporary_beside(path)
    try:
        private_files.create(temporary).close()
        database = Database(StoreLocation.of_file(temporary))
        try:
            yield database
        finally:
            database.close()
        if not keep:
            return
        if replace:
            temporary.replace(path)
        else:
            private_files.move_without_replacing(temporary, path)
        with suppress(OSError):  # the file is there
            private_files.sync_folder(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise StoreUnavailable(f"cannot write {path}: {error.strerror}") from None
    except StoreUnavailable as error:
        if str(temporary) in error.message:  # which the user knows nothing of
            error.message = error.message.replace(str(temporary), str(path))
            error.hint = "check the space, the quota and ulimit -f there"
        raise
    finally:
        for left in (temporary, _journal(temporary)):
            private_files.remove(left)


def _refuse_existing(path: Path, *, replace: bool) -> None:
    if path.is_dir():
        raise Refused(f"{path} is a folder", hint=f"give a file: {path}/keys.db")
    if not replace and os.path.lexists(path):
        raise _exists(path)
    if not private_files.is_replaceable(path):
        raise Refused(f"{path} is a link, a device or a pipe: it is never replaced", hint="give a regular file")
    # SQLite would apply the journal of another file to this one.
    if os.path.lexists(journal := _journal(path)):
        raise Refused(f"{path} is in use: it has a journal, {journal}", hint="choose another file")


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _exists(path: Path) -> Refused:
    return Refused(f"{path} already exists", hint="choose another file")
