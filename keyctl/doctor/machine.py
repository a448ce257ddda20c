"""This machine: which program a user gets who types `keyctl`, and its clock."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from keyctl.doctor.finding import Finding
from keyctl.regular_files import open_regular
from keyctl.store import examination
from keyctl.store.database import Database
from keyctl.times import format_time, utc_now

NAME = "keyctl"
SECOND_NAME = "apikeyctl"
TOLERANCE = timedelta(seconds=5)
_FIRST_YEAR = 2026  # of this version
_COMPARE = "compare it with another clock: date -u"


def program() -> Iterator[Finding]:
    """Look for another program of the same name: Linux's own `keyctl`, of the package keyutils."""
    first = shutil.which(NAME)
    if first is None or _is_ours(Path(first)):
        return
    second = shutil.which(SECOND_NAME)
    this = second if second and _is_ours(Path(second)) else f"{shlex.quote(sys.executable)} -m {NAME}"
    instead = SECOND_NAME if this == second else this
    yield Finding(f"another {NAME} comes first in PATH", f"{first}, before {this}", f"{instead} --help")


def clock_of_machine() -> Iterator[Finding]:
    now = utc_now()
    if now.year < _FIRST_YEAR:
        yield Finding("the clock is behind: this version is newer", format_time(now), _COMPARE)


def clock_of_store(database: Database) -> Iterator[Finding]:
    """Compare this machine's clock with the store's newest event, and with a server's clock."""
    with database.read() as connection:
        before = utc_now()
        server = examination.server_time(connection)
        after = utc_now()
        newest = examination.newest_event(connection)
    if server is not None and not before - TOLERANCE <= server <= after + TOLERANCE:
        yield Finding(
            "the clocks of this machine and of the database server differ",
            f"{format_time(after)} here, {format_time(server)} there",
            _COMPARE,
        )
    if newest is not None and newest > after + TOLERANCE:
        yield Finding(
            "the clock is behind the newest event, or was ahead when that was written",
            f"{format_time(after)} now, {format_time(newest)} in the log",
            _COMPARE,
        )


def _is_ours(path: Path) -> bool:
    """Return whether a program is a script of this one, as installers write them, or a wrapper around it."""
    try:
        with open_regular(path) as file:
            head = file.read(4096)
    except OSError:
        return False
    return head.startswith(b"#!") and NAME.encode() in head
