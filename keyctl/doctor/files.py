"""Who may read and write the files that keyctl keeps, and what commands that were killed left beside them."""

from __future__ import annotations

import errno
import grp
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from keyctl import private_files
from keyctl.doctor.finding import Finding

SETTLED = 600  # seconds after which a file that is still being written would have changed


def exposed(
    path: Path, what: str, allowed: int, *, required: bool = False, repairable: bool = True
) -> Iterator[Finding]:
    """Check that a file or folder gives its group and other users only what the mode `allowed` does."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        if required or not isinstance(error, FileNotFoundError):
            yield Finding(f"the mode of {what} cannot be read: {error.strerror}", str(path), None)
        return
    if extra := mode & 0o077 & ~allowed:
        who = "every user" if extra & 0o007 else "its group"
        may = "write to" if extra & 0o022 else "read" if extra & 0o044 else "enter"
        found = f"{who} may {may} {what}", f"{path} (mode {mode:04o})"
        if repairable:
            fix = f"chmod {mode & ~extra:o} {shlex.quote(str(path))}"
            yield Finding(*found, fix, partial(_remove_bits, path, extra))
        else:
            yield Finding(*found, "move it into a folder that only you may write to")


def belongs_to(path: Path, group: str) -> bool:
    """Return whether a file is the group's of this name."""
    try:
        return path.stat().st_gid == grp.getgrnam(group).gr_gid
    except (OSError, KeyError, ValueError):  # the last one for a name that the system cannot have
        return False


def leftovers(folders: Iterable[Path]) -> Iterator[Finding]:
    """Look for the temporary files of commands that were killed."""
    for folder in dict.fromkeys(folders):
        try:
            found = private_files.temporary_files(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            yield Finding(f"a folder cannot be searched for leftovers: {error.strerror}", str(folder), None)
            continue
        for path, _ in found:
            yield Finding(
                "a command was killed or is still running, and its file may contain a key",
                str(path),
                f"rm {shlex.quote(str(path))}",
                partial(_remove_leftover, path),
            )


def _remove_bits(path: Path, bits: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _refuse(status, stat.S_ISREG, stat.S_ISDIR)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~bits)
    finally:
        os.close(descriptor)


def _remove_leftover(path: Path) -> None:
    status = path.lstat()
    _refuse(status, stat.S_ISREG)
    if time.time() - status.st_mtime < SETTLED:
        raise OSError(errno.EBUSY, f"it changed in the last {SETTLED // 60} minutes")
    path.unlink()


def _refuse(status: os.stat_result, *kinds: Callable[[int], bool]) -> None:
    if not any(kind(status.st_mode) for kind in kinds):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if status.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "it belongs to another user")
