"""The checks of `keyctl doctor`, in their order, and how they are run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from keyctl.cli.bundle_files import default_signing_key, state_file
from keyctl.cli.configuration import default_folder
from keyctl.cli.context import CommandContext
from keyctl.doctor import files, keys, machine
from keyctl.doctor.finding import Finding
from keyctl.doctor.peppers import peppers
from keyctl.doctor.recorders import recorders
from keyctl.errors import KeyctlError, ProfileInvalid, StoreBusy, StoreUnavailable, UsageError
from keyctl.reader_group import FILE_MODE, FOLDER_MODE
from keyctl.store import integrity
from keyctl.store.database import Store
from keyctl.store.examination import has_interrupted_write, touch
from keyctl.store.location import StoreLocation
from keyctl.store.opening import check_revision
from keyctl.store.setting_names import SettingName

_PRIVATE, _PRIVATE_FOLDER = 0o600, 0o700
_READABLE = 0o755  # by other users, who may change nothing


@dataclass
class Examined:
    """What is examined, and the names of the checks that could not be made."""

    context: CommandContext
    key_files: list[Path]
    now: datetime
    failed: set[str] = field(default_factory=set)

    @property
    def store_file(self) -> Path | None:
        """The store's file, unless it is on a server or the configuration does not say where."""
        return None if "configuration" in self.failed else self.context.location.file


class Check(NamedTuple):
    """A check. It is skipped if the one that is named in `after` could not be made."""

    run: Callable[[Examined], Iterator[Finding]]
    after: str | None = None


class Result(NamedTuple):
    """What a check found; None if it was skipped."""

    name: str
    findings: list[Finding] | None


def examine(examined: Examined) -> Iterator[Result]:
    """Make every check, and yield each result as soon as it is known. What stops a check is a finding."""
    reported: set[str] = set()
    for name, check in CHECKS.items():
        if check.after in examined.failed:
            examined.failed.add(name)
            yield Result(name, None)
            continue
        findings: list[Finding] | None = []
        try:
            findings = list(check.run(examined))
        except KeyctlError as error:
            examined.failed.add(name)
            findings = [Finding(error.message, None, error.hint)] if error.message not in reported else None
            reported.add(error.message)
            if isinstance(error, StoreUnavailable) and _is_lost(error, examined):
                examined.failed |= {one for one, other in CHECKS.items() if other.after}
        yield Result(name, findings)


def _is_lost(error: StoreUnavailable, examined: Examined) -> bool:
    """Return whether every later check of the store would only wait for the same error."""
    if isinstance(error, StoreBusy):
        return True
    try:
        _store(examined)
    except StoreUnavailable:
        return True
    return False


# ── the checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _program(_: Examined) -> Iterator[Finding]:
    return machine.program()


def _configuration(examined: Examined) -> Iterator[Finding]:
    context = examined.context
    # Each raises what is wrong with it.
    _ = context.config, context.location, context.wait, context.actor, context.pepper_file
    return iter(())


def _journal(examined: Examined) -> Iterator[Finding]:
    file = examined.store_file
    if file and has_interrupted_write(file):
        yield Finding(
            "a write to the store was interrupted, and is rolled back by the next command that may write to it",
            f"{file}-journal",
            f"keyctl list --store {shlex.quote(str(file))}",
        )


def _store(examined: Examined) -> Iterator[Finding]:
    with examined.context.database.read() as connection:
        touch(connection)
    return iter(())


def _schema(examined: Examined) -> Iterator[Finding]:
    database = examined.context.database
    check_revision(str(database.location), database.revision())
    return iter(())


def _profile(examined: Examined) -> Iterator[Finding]:
    context = examined.context
    try:
        context.store = Store(context.location, wait=context.wait, patient=context.patient)
    except ProfileInvalid as error:
        error.hint = "restore the store from a backup"  # the usual hint is for a profile in a file
        raise
    return iter(())


def _modes(examined: Examined) -> Iterator[Finding]:
    if "configuration" not in examined.failed:
        config = examined.context.config
        secret = any(map(_has_password, (config.store, *config.stores.values()))) or bool(config.limiter)
        what = "the configuration file, which has a password" if secret else "the configuration file"
        yield from files.exposed(config.path, what, _PRIVATE if secret else _READABLE)
        if pepper_file := examined.context.pepper_file:
            yield from files.exposed(pepper_file, "the pepper file", FILE_MODE)
    yield from files.exposed(default_folder("config"), "the configuration folder", _READABLE)
    yield from files.exposed(default_signing_key(), "the key that signs bundles", _PRIVATE)
    yield from files.exposed(state_file().parent, "the folder of the accepted bundles", _PRIVATE_FOLDER)
    yield from files.exposed(state_file(), "the list of accepted bundles", _PRIVATE)
    yield from _modes_of_store(examined)


def _has_password(store: str | None) -> bool:
    with suppress(UsageError):  # a store that is not in use
        return store is not None and StoreLocation.parse(store).has_password
    return False


def _modes_of_store(examined: Examined) -> Iterator[Finding]:
    file = examined.store_file
    own = file is not None and file.parent == default_folder("data")
    if file is None or not (own or "schema" not in examined.failed):
        return  # what was named may be any file or folder: its mode is no business of keyctl's
    # Whether a group may read it is unknown if the settings cannot be read.
    readable = "profile" in examined.failed or _has_readers(file, examined.context.store)
    yield from files.exposed(file, "the store", FILE_MODE if readable else _PRIVATE)
    if own:
        yield from files.exposed(file.parent, "the folder of the store", FOLDER_MODE if readable else _PRIVATE_FOLDER)
    else:
        yield from files.exposed(file.parent, "the folder of the store", _READABLE, repairable=False)


def _has_readers(file: Path, store: Store) -> bool:
    group = store.settings.get(SettingName.READER_GROUP)
    return group is not None and files.belongs_to(file, group)


def _key_files(examined: Examined) -> Iterator[Finding]:
    token = examined.context.settings.admin_token_file or os.environ.get("KEYCTL_ADMIN_TOKEN_FILE")
    named = [(file, "the key file") for file in examined.key_files]
    for file, what in [*named, *([(Path(token), "the file of the admin token")] if token else [])]:
        yield from files.exposed(file, what, _PRIVATE, required=True)


def _leftovers(examined: Examined) -> Iterator[Finding]:
    folders = [default_folder("data"), default_folder("config"), state_file().parent]
    if file := examined.store_file:
        folders.append(file.parent)
    with suppress(FileNotFoundError):  # the working directory was removed
        folders += [Path.cwd(), *(file.absolute().parent for file in examined.key_files)]
    return files.leftovers(folders)


def _log(examined: Examined) -> Iterator[Finding]:
    verdict = integrity.check(examined.context.database)
    for fault in verdict.faults:
        yield Finding("the database was changed outside keyctl", fault, "see: keyctl audit list")
    if more := verdict.fault_count - len(verdict.faults):
        yield Finding(f"there are {more:,} more such faults", None, "see: keyctl audit list")


def _clock(examined: Examined) -> Iterator[Finding]:
    yield from machine.clock_of_machine()
    if "schema" not in examined.failed:
        yield from machine.clock_of_store(examined.context.database)


def _undelivered(examined: Examined) -> Iterator[Finding]:
    return keys.undelivered(examined.context.database, now=examined.now)


def _owners(examined: Examined) -> Iterator[Finding]:
    return keys.owners(examined.context.store, now=examined.now)


def _limits(examined: Examined) -> Iterator[Finding]:
    return keys.limits(examined.context.store)


def _expiry(examined: Examined) -> Iterator[Finding]:
    return keys.expiry(examined.context.store, now=examined.now)


def _rotation(examined: Examined) -> Iterator[Finding]:
    return keys.rotation(examined.context.store, now=examined.now)


def _hashes(examined: Examined) -> Iterator[Finding]:
    return keys.hashes(examined.context.store, now=examined.now)


def _recorders(examined: Examined) -> Iterator[Finding]:
    return recorders(examined.context.database, now=examined.now)


def _peppers(examined: Examined) -> Iterator[Finding]:
    context = examined.context
    return peppers(context.store, context.peppers, now=examined.now)


# A test compares the names with the table of help/doctor.md.
CHECKS: dict[str, Check] = {
    "program": Check(_program),
    "configuration": Check(_configuration),
    "journal": Check(_journal, after="configuration"),
    "store": Check(_store, after="configuration"),
    "schema": Check(_schema, after="store"),
    "profile": Check(_profile, after="schema"),
    "modes": Check(_modes),
    "key-file": Check(_key_files),
    "leftovers": Check(_leftovers),
    "log": Check(_log, after="store"),
    "clock": Check(_clock),
    "undelivered": Check(_undelivered, after="schema"),
    "owners": Check(_owners, after="profile"),
    "limits": Check(_limits, after="profile"),
    "expiry": Check(_expiry, after="profile"),
    "rotation": Check(_rotation, after="profile"),
    "recorders": Check(_recorders, after="schema"),
    "hashes": Check(_hashes, after="profile"),
    "peppers": Check(_peppers, after="profile"),
}
