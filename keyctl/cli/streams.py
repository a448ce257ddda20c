"""Standard output and error: what is written is written whole, or the write fails."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TextIO


def replace_standard_streams() -> None:
    """Replace Python's stdout and stderr, unless they are closed.

    Their encoding is UTF-8 whatever the locale says: a name that it cannot express must not prevent a delivery.
    """
    sys.stdout = sys.stdout and _stream(1, errors="surrogateescape")
    sys.stderr = sys.stderr and _stream(2, errors="backslashreplace")


def sync(stream: TextIO) -> None:
    """Wait until what was written is on the disk, if the stream is a file.

    Raises OSError: some file systems report only now that they are full.
    """
    try:
        os.fsync(stream.fileno())
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EROFS}:  # from pipes, terminals and devices
            raise


def _stream(descriptor: int, *, errors: str) -> TextIO:
    return io.TextIOWrapper(  # type: ignore[type-var]
        _WholeWrites(descriptor),
        encoding="utf-8",
        errors=errors,
        newline="\n",
        line_buffering=descriptor == 2,
    )


class _WholeWrites(io.RawIOBase):
    """Writes to a descriptor until everything is written.

    Python's own stdout does so only if it has a buffer: with `python -u` or PYTHONUNBUFFERED=1, the rest of a short
    write is dropped without an error.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:  # type: ignore[override]
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Another program made the pipe non-blocking. Its reader is waited for as at any other pipe: without a
                # deadline, as a pager may take its time. No transaction is open meanwhile, and a signal ends the wait.
                select.select([], [self._descriptor], [])
        return len(data)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor
