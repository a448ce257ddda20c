"""A group that may read a SQLite store, and not write to it: the modes of its file and folder."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path
from typing import NamedTuple

from keyctl.errors import Refused, UsageError
from keyctl.text import brief

FILE_MODE = 0o640
# SQLite gives its journal the mode of the file, and the group only where root writes. The setgid bit does it for every
# writer: otherwise the members of the writer's own group could read in the journal what the file keeps from them.
FOLDER_MODE = 0o2750


class ReaderGroup(NamedTuple):
    """A group of the operating system."""

    name: str
    gid: int

    @classmethod
    def find(cls, name: str) -> ReaderGroup:
        """Return the group with this name. Raises UsageError for an unknown one, or one that this user is not in."""
        try:
            group = cls(name, grp.getgrnam(name).gr_gid)
        except (KeyError, UnicodeEncodeError, ValueError):
            raise UsageError(f'there is no group "{brief(name)}"', hint="see: getent group") from None
        if os.geteuid() != 0 and group.gid not in (os.getegid(), *os.getgroups()):
            raise UsageError(f'this user is not in the group "{name}"', hint="see: id -Gn")
        return group

    def open_folder(self, folder: Path) -> None:
        """Make a folder, or take an empty one, that the group may read. Any other is left as it is.

        Raises Refused if the group does not reach a folder that is in use, or one above it; OSError if it cannot be
        made.
        """
        folder = folder.resolve()
        for parent in folder.parents:
            if not self._may_search(parent):
                raise Refused(
                    f'the group "{self.name}" has no access to {parent}, and would not reach the store in {folder}',
                    hint="put the store elsewhere: --store /var/lib/keyctl/keys.db",
                )
        folder.mkdir(mode=0o700, exist_ok=True)
        if not any(folder.iterdir()):
            os.chown(folder, -1, self.gid)
            folder.chmod(FOLDER_MODE)
        elif not self._owns(folder):
            raise Refused(
                f'the folder {folder} is in use, and does not belong to the group "{self.name}"',
                hint=f"chgrp {self.name} {folder} && chmod {FOLDER_MODE:o} {folder}",
            )

    def open_file(self, path: Path) -> None:
        """Let the group read a file."""
        os.chown(path, -1, self.gid)
        path.chmod(FILE_MODE)

    def _may_search(self, folder: Path) -> bool:
        try:
            status = folder.stat()
        except OSError:  # the attempt to write reports it
            return True
        return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == self.gid else stat.S_IXOTH))

    def _owns(self, folder: Path) -> bool:
        status = folder.stat()
        wanted = stat.S_ISGID | stat.S_IXGRP
        return status.st_gid == self.gid and status.st_mode & wanted == wanted
