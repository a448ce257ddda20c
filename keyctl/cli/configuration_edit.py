"""Changes the user's configuration file: one command at a time, in one step, with the mode that it has."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from keyctl import private_files
from keyctl.cli.configuration import Config, read_config
from keyctl.errors import ConfigurationInvalid, NotFound, UsageError, suggestion
from keyctl.folder_lock import folder_lock
from keyctl.store.location import StoreLocation, refuse_password
from keyctl.text import brief

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def check_store_name(name: str) -> str:
    """Return a name that `--store` can find. Raises UsageError for one that it would take for a file or a URL."""
    _refuse_location(name, hint="such as: staging")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{brief(name)}" is not a name for a store',
            hint='up to 64 letters, digits, ".", "_" and "-", beginning with a letter or a digit',
        )
    return name


def known_store(config: Config, name: str) -> str:
    """Return the name of a configured store. Raises NotFound and UsageError."""
    _refuse_location(name, hint="give it a name: keyctl config add NAME URL")
    if name not in config.stores:
        hint = suggestion(name, config.stores, otherwise="see: keyctl config list")
        raise NotFound(f'unknown store "{brief(name)}": it is not in {config.path}', hint=hint)
    return name


def _refuse_location(name: str, *, hint: str) -> None:
    if "://" in name:
        raise UsageError(f'"{brief(str(StoreLocation.parse(name)))}" is a URL, not a name', hint=hint)
    refuse_password(name)
    if "/" in name or name.endswith(".db"):
        raise UsageError(f'"{brief(name)}" is a file, not a name', hint=hint)


@contextmanager
def editing(given: str | None, *, wait: float) -> Iterator[ConfigFile]:
    """Yield the configuration file; another command that edits it waits, for `wait` seconds.

    Raises ConfigurationInvalid if it cannot be read or written.
    """
    path = Path(os.path.realpath(read_config(given).path))  # a link stays a link
    with ExitStack() as locks:
        try:
            private_files.make_folder(path.parent)
            locks.enter_context(folder_lock(path.parent, seconds=wait))
        except TimeoutError:
            hint = "wait longer: --wait 30s"
            raise ConfigurationInvalid(f"another command is changing {path}", hint=hint) from None
        except OSError as error:
            raise ConfigurationInvalid(f"cannot write {path}: {error.strerror}") from None
        yield ConfigFile(read_config(given), path)


class ConfigFile:
    """The configuration file, while no other command edits it."""

    def __init__(self, config: Config, path: Path) -> None:
        self.config = config
        self._path = path

    @property
    def others_may_read(self) -> bool:
        return bool(self._mode & (stat.S_IRGRP | stat.S_IROTH))

    @property
    def _mode(self) -> int:
        return stat.S_IMODE(self._path.stat().st_mode) if self._path.exists() else 0o600

    def change(self, edit: Callable[[str], str], by_hand: str) -> None:
        """Replace the text by `edit` of it. Raises ConfigurationInvalid, with what to do `by_hand`."""
        temporary = private_files.temporary_beside(self._path)
        try:
            text = self._path.read_bytes().decode() if self._path.exists() else ""
            edited = edit(text)
            private_files.write_new(temporary, [edited.encode()])
            temporary.chmod(self._mode)
            temporary.replace(self._path)
        except ValueError:
            raise ConfigurationInvalid(f"cannot edit {self.config.path}", hint=f"edit it by hand: {by_hand}") from None
        except OSError as error:
            private_files.remove(temporary)
            raise ConfigurationInvalid(f"cannot write {self.config.path}: {error.strerror}") from None
