"""A lock on a folder, held while a file in it is changed, so that of two changes at once none is lost."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.02  # seconds
_HELD = {errno.EAGAIN, errno.EACCES}


@contextmanager
def folder_lock(folder: Path, *, seconds: float) -> Iterator[None]:
    """Wait for the lock, at most so long. It ends with the process too, and leaves no file.

    Raises TimeoutError. Where a file system has no such locks, as some on networks, nothing is locked.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD:
                return
        else:
            return
        if time.monotonic() >= deadline:
            raise TimeoutError(errno.ETIMEDOUT, "another process is writing to the same folder")
        time.sleep(_PAUSE)
