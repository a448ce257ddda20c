"""The checks of `keyctl doctor`, in their order, and how they are run."""

from __future__ import annotations

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
from keyctl.errors import KeyctlError, ProfileInvalid, StoreBusy, StoreUnavailable
from keyctl.store import integrity
from keyctl.store.database import Store
from keyctl.store.examination import has_interrupted_write, touch
from keyctl.store.location import StoreLocation
from keyctl.store.opening import check_revision

_PRIVATE, _PRIVATE_FOLDER = 0o600, 0o700
_FIXED = 0o755  # other users may read it, and change nothing


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
            if isinstance(error, StoreUnavailable) and _stays(error, examined):
                examined.failed |= {one for one, other in CHECKS.items() if other.after}
        yield Result(name, findings)


def _stays(error: StoreUnavailable, examined: Examined) -> bool:
    """Return whether the next check would only wait for the same error."""
    return isinstance(error, StoreBusy) or examined.store_file is None


# ── the checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _program(_: Examined) -> Iterator[Finding]:
    return machine.program()


def _configuration(examined: Examined) -> Iterator[Finding]:
    context = examined.context
    _ = context.config, context.location, context.wait, context.actor  # each raises what is wrong with it
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
    with suppress(KeyctlError):
        config = examined.context.config
        urls = [url for url in (config.store, *config.stores.values()) if url and "://" in url]
        if any(StoreLocation.parse(url).has_password for url in urls):
            yield from files.exposed(config.path, "the configuration file, which has a password", _PRIVATE)
        else:
            yield from files.exposed(config.path, "the configuration file", _FIXED)
    yield from files.exposed(default_folder("config"), "the configuration folder", _FIXED)
    yield from files.exposed(default_signing_key(), "the key that signs bundles", _PRIVATE)
    yield from files.exposed(state_file().parent, "the folder of the accepted bundles", _PRIVATE_FOLDER)
    yield from files.exposed(state_file(), "the list of accepted bundles", _PRIVATE)
    yield from _modes_of_store(examined)


def _modes_of_store(examined: Examined) -> Iterator[Finding]:
    file = examined.store_file
    own = file is not None and file.parent == default_folder("data")
    if file is None or not (own or "schema" not in examined.failed):
        return  # what was named may be any file or folder: its mode is no business of keyctl's
    # What the settings say is unknown if they cannot be read.
    group = "profile" in examined.failed or "reader_group" in examined.context.store.settings
    yield from files.exposed(file, "the store", 0o640 if group else _PRIVATE)
    if own:
        yield from files.exposed(file.parent, "the folder of the store", 0o750 if group else _PRIVATE_FOLDER)
    else:
        yield from files.exposed(file.parent, "the folder of the store", _FIXED, repairable=False)


def _key_files(examined: Examined) -> Iterator[Finding]:
    token = examined.context.settings.admin_token_file
    named = [(file, "the key file") for file in examined.key_files]
    for file, what in [*named, *([(Path(token), "the file of the admin token")] if token else [])]:
        yield from files.missing(file, what)
        yield from files.exposed(file, what, _PRIVATE)


def _leftovers(examined: Examined) -> Iterator[Finding]:
    folders = [default_folder("data"), default_folder("config"), state_file().parent, Path()]
    folders += [file.parent for file in (examined.store_file, *examined.key_files) if file]
    return files.leftovers(folder.absolute() for folder in folders)


def _log(examined: Examined) -> Iterator[Finding]:
    if fault := integrity.check(examined.context.database).fault:
        yield Finding("the database was changed outside keyctl", fault, "see: keyctl audit list")


def _clock(examined: Examined) -> Iterator[Finding]:
    yield from machine.clock_of_machine()
    if "schema" not in examined.failed:
        yield from machine.clock_of_store(examined.context.database)


def _undelivered(examined: Examined) -> Iterator[Finding]:
    return keys.undelivered(examined.context.database, now=examined.now)


def _owners(examined: Examined) -> Iterator[Finding]:
    return keys.owners(examined.context.store, now=examined.now)


def _expiry(examined: Examined) -> Iterator[Finding]:
    return keys.expiry(examined.context.store, now=examined.now)


def _rotation(examined: Examined) -> Iterator[Finding]:
    return keys.rotation(examined.context.store, now=examined.now)


def _hashes(examined: Examined) -> Iterator[Finding]:
    return keys.hashes(examined.context.store, now=examined.now)


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
    "log": Check(_log, after="schema"),
    "clock": Check(_clock),
    "undelivered": Check(_undelivered, after="schema"),
    "owners": Check(_owners, after="profile"),
    "expiry": Check(_expiry, after="profile"),
    "rotation": Check(_rotation, after="profile"),
    "hashes": Check(_hashes, after="profile"),
}
