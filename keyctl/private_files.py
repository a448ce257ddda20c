"""Files that only their owner may read or write: made new, and complete or absent under their name."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}(?:\.body|-journal)?", re.DOTALL)
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}  # from file systems without hard links


def create(path: Path, *, shared: bool = False) -> BinaryIO:
    """Create a file of mode 0600 and open it for writing. Raises FileExistsError, for a symbolic link too.

    If it is `shared`, others may read it as far as the umask permits.
    """
    mode = 0o644 if shared else 0o600
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, mode), "wb")


def write_new(path: Path, pieces: Iterable[bytes], *, shared: bool = False) -> None:
    """Create a file as `create` does, and write to it. If it cannot be written completely, it is removed again."""
    file = create(path, shared=shared)
    try:
        with file:
            file.writelines(pieces)
            sync(file)
    except BaseException:
        remove(path)
        raise


def replace(path: Path, pieces: Iterable[bytes], *, shared: bool = False) -> None:
    """Write a file in one step, in place of what is there: a reader sees the old content or the new."""
    temporary = temporary_beside(path)
    write_new(temporary, pieces, shared=shared)
    try:
        temporary.replace(path)
    except BaseException:
        remove(temporary)
        raise


def temporary_beside(path: Path) -> Path:
    """Return an unused name in the folder of `path`, so that a rename to it is one step."""
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}")


def is_replaceable(path: Path) -> bool:
    """Return whether a file may take this name: there is nothing, or a regular file; no link, device or pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # nothing is there, or the attempt to write reports what is wrong with the folder
        return True


def leftovers(path: Path, *, seconds: float = 0) -> list[Path]:
    """Return the temporary files of commands that were killed while they wrote this file, or are still running.

    Those that were changed in the last `seconds` are not among them.
    """
    with suppress(OSError):
        found = [one for one, name in temporary_files(path.parent) if name == path.name]
        return [one for one in found if not seconds or _age(one) > seconds]
    return []


def _age(path: Path) -> float:
    """Return how many seconds ago a file was changed; 0 if it is gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0


def temporary_files(folder: Path) -> list[tuple[Path, str]]:
    """Return the temporary files in a folder, each with the name of the file that it is for. Raises OSError."""
    with os.scandir(folder) as entries:
        found = [
            (Path(one.path), _TEMPORARY.fullmatch(one.name)) for one in entries if one.is_file(follow_symlinks=False)
        ]
    return sorted((path, match[1]) for path, match in found if match)


def move_without_replacing(temporary: Path, path: Path) -> None:
    """Give a file its name. Raises FileExistsError if there is another by now; then both stay as they are."""
    # A link fails where a file has appeared since; a rename would replace it.
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(path):
            raise
        temporary.rename(path)
    else:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    with suppress(OSError):
        path.unlink()


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, each for its owner alone."""
    # `mkdir(parents=True)` would give the mode only to the last one.
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def sync(file: BinaryIO) -> None:
    """Wait until what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
