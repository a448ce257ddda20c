"""Delivers a key into a file that holds more than the key, such as `.env`."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from keyctl import private_files
from keyctl.admin.delivery import Minted, cannot_write, check_replaceable
from keyctl.errors import Refused
from keyctl.folder_lock import folder_lock
from keyctl.regular_files import open_regular

_LARGEST = 1 << 20  # bytes: a file with settings is far smaller


class MergedFileDelivery:
    """Puts a key into a file in one step, and keeps its mode and owner as far as possible; a new one has mode 0600.

    `merge` returns the file's content with the key. Two of these at once lose neither's key: the second waits, at most
    `seconds`, and reads the file again. Raises Refused for what cannot be merged, NotDelivered if it cannot be written.
    """

    def __init__(self, path: Path, merge: Callable[[bytes, Minted], bytes], *, seconds: float) -> None:
        self._path = path
        self._merge = merge
        self._seconds = seconds
        self._key: Minted | None = None
        self._before: bytes | None = None  # None: there was no file
        self._temporary: Path | None = None
        self._written: os.stat_result | None = None

    def prepare(self, minted: Sequence[Minted]) -> None:
        self.abandon()
        [self._key] = minted
        try:
            check_replaceable(self._path)
            self._write()
        except OSError as error:
            self.abandon()
            raise cannot_write(self._path, error) from None
        except BaseException:
            self.abandon()
            raise

    def hand_over(self) -> None:
        with folder_lock(self._path.parent, seconds=self._seconds):
            if self._temporary is None:
                raise RuntimeError("hand_over before prepare")
            if read_small(self._path) != self._before:  # changed since
                private_files.remove(self._temporary)
                self._write()
            if self._before is None:
                private_files.move_without_replacing(self._temporary, self._path)
            else:
                self._temporary.replace(self._path)
            with suppress(OSError):  # as for any file that is there
                private_files.sync_folder(self._path.parent)
        self._key = None  # what was there before is kept: an interruption may still come, and `abandon` restores it

    def abandon(self) -> None:
        if self._temporary is not None:
            with suppress(OSError):  # an interruption may come when the file already has its new content
                if self._written is not None and os.path.samestat(self._written, self._path.lstat()):
                    self._restore(self._before)
            private_files.remove(self._temporary)
        self._key = self._before = self._temporary = self._written = None

    def _write(self) -> None:
        """Write what the file will be to a temporary one. Raises OSError and Refused."""
        if self._key is None:
            raise RuntimeError("hand_over before prepare")
        self._before = read_small(self._path)
        content = self._merge(self._before or b"", self._key)
        self._temporary = private_files.temporary_beside(self._path)
        private_files.write_new(self._temporary, [content])
        if self._before is not None:
            _make_alike(self._temporary, self._path)
        self._written = self._temporary.stat()

    def _restore(self, content: bytes | None) -> None:
        if content is None:
            private_files.remove(self._path)
            return
        temporary = private_files.temporary_beside(self._path)
        private_files.write_new(temporary, [content])
        _make_alike(temporary, self._path)
        temporary.replace(self._path)


def read_small(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none. Raises OSError, and Refused for more than 1 MiB."""
    try:
        with open_regular(path) as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(content) > _LARGEST:
        raise Refused(f"{path} has more than {_LARGEST:,} bytes", hint="give another file: --out FILE")
    return content


def _make_alike(new: Path, old: Path) -> None:
    """Give a new file the owner, the mode and the attributes of another, as far as this user may."""
    wanted = old.stat()
    with suppress(OSError):
        os.chown(new, -1, wanted.st_gid)
    with suppress(OSError):
        os.chown(new, wanted.st_uid, -1)
    with suppress(OSError):
        shutil.copystat(old, new)
        os.utime(new)
    if new.stat().st_gid != wanted.st_gid:  # the rights of one group are not for another
        new.chmod(stat.S_IMODE(new.stat().st_mode) & ~stat.S_IRWXG)
