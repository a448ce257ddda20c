"""The file of a recorder: one line for each report, rotated by size. Several processes may write to one file."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyctl.errors import StoreUnavailable, UsageError

LONGEST_WAIT = 5.0  # seconds for another process that writes to the file


class UsageFile:
    """Appends lines to a private file.

    A file that has reached `max_bytes` gets the name with `.1` at its end, and so on until `.KEEP`; the last one is
    removed. What is not imported by then is not counted. Raises UsageError if either number is less than 1.
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        if max_bytes < 1 or keep < 1:  # without a name to rename it to, a full file would stay full
            raise UsageError(
                f"a usage file needs max_bytes and keep of 1 or more, not {max_bytes} and {keep}",
                hint="omit them, or for example: max_bytes=1_000_000, keep=5",
            )
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def check(self) -> None:
        """Raise StoreUnavailable unless the file can be written to."""
        with _explained(self.path):
            os.close(self._open())

    def append(self, line: str) -> None:
        """Append a line: all of it, or nothing. Raises StoreUnavailable."""
        content = line.encode() + b"\n"
        with _explained(self.path):
            descriptor = self._open_for(len(content))
            try:
                size = os.fstat(descriptor).st_size
                try:
                    if os.write(descriptor, content) < len(content):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)  # which releases the lock

    def _open_for(self, length: int) -> int:
        """Open and lock the file, after it was rotated if it is full, or if its last line is cut off."""
        while True:
            descriptor = self._open()
            try:
                _lock(descriptor)
                if not self._is_current(descriptor):  # another process has rotated it in the meantime
                    os.close(descriptor)
                    continue
                size = os.fstat(descriptor).st_size
                if size == 0 or (size + length <= self._max_bytes and os.pread(descriptor, 1, size - 1) == b"\n"):
                    return descriptor
                self._rotate()
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is not a regular file")
        return descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.lstat())
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = self.path if number == 1 else self._numbered(number - 1)
            if os.path.lexists(older):
                older.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"cannot write the usage file {path}: {error.strerror or error}") from error


def _lock(descriptor: int) -> None:
    """Raises OSError if another process holds the lock for too long."""
    give_up = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(0.01)
        else:
            return
