"""Delivers new keys: a key is delivered or revoked.

A delivery is prepared before the keys are committed, so that most errors occur while nothing has happened, and
finished afterwards. Only then is a key's text visible to others; nothing keeps it after that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from keyctl import private_files
from keyctl.errors import NotDelivered, Refused
from keyctl.models import KeyRecord


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key with its text, which is stored nowhere."""

    record: KeyRecord
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Successor(Minted):
    """A new key that replaces `old`, which is as it will be after the delivery."""

    old: KeyRecord


M = TypeVar("M", bound=Minted)
M_contra = TypeVar("M_contra", bound=Minted, contravariant=True)


class Delivery(Protocol[M_contra]):
    def prepare(self, minted: Sequence[M_contra]) -> None:
        """Prepare everything, inside the transaction that creates the keys. Called again if that is retried."""

    def hand_over(self) -> None:
        """Deliver, after the commit. Raises OSError if the keys were not delivered."""

    def abandon(self) -> None:
        """Discard what was prepared, as far as it is not out of reach."""


class StreamDelivery(Generic[M]):
    """Passes what `render` makes of the keys to `write`, in one piece."""

    def __init__(self, write: Callable[[str], None], render: Callable[[Sequence[M]], str]) -> None:
        self._write = write
        self._render = render
        self._text = ""

    def prepare(self, minted: Sequence[M]) -> None:
        self._text = self._render(minted)

    def hand_over(self) -> None:
        text, self._text = self._text, ""
        self._write(text)

    def abandon(self) -> None:
        self._text = ""


class FileDelivery:
    """Writes the keys to a file of mode 0600, one on each line: the file is complete or absent.

    Raises Refused if the file exists and `replace` is false, NotDelivered if it cannot be written.
    """

    def __init__(self, path: Path, *, replace: bool = False) -> None:
        self._path = path
        self._replace = replace
        self._temporary: Path | None = None
        self._written: os.stat_result | None = None

    def prepare(self, minted: Sequence[Minted]) -> None:
        self.abandon()
        try:
            if self._path.is_dir():
                raise Refused(f"{self._path} is a folder", hint=f"give a file: --out {self._path}/KEYFILE")
            if not self._replace and os.path.lexists(self._path):
                raise Refused(f"{self._path} already exists", hint="choose another file, or add --force to replace it")
            if not private_files.is_replaceable(self._path):
                raise Refused(
                    f"{self._path} is a link, a device or a pipe: it is never replaced",
                    hint="give a regular file; without --out, the key goes to stdout",
                )
            self._temporary = private_files.temporary_beside(self._path)
            private_files.write_new(self._temporary, (f"{one.text}\n".encode() for one in minted))
            self._written = self._temporary.stat()
        except OSError as error:
            raise NotDelivered(
                f"cannot write {self._path}: {error.strerror}", hint="no key was minted; choose another file"
            ) from None

    def hand_over(self) -> None:
        if self._temporary is None:
            raise RuntimeError("hand_over before prepare")
        if self._replace:
            self._temporary.replace(self._path)
        else:
            private_files.move_without_replacing(self._temporary, self._path)
        with suppress(OSError):  # the file is there: a folder that cannot be synced is no reason to revoke the key
            private_files.sync_folder(self._path.parent)

    def abandon(self) -> None:
        if self._temporary is None:
            return
        with suppress(OSError):  # an interruption may come when the file already has its name
            if self._written is not None and os.path.samestat(self._written, self._path.lstat()):
                private_files.remove(self._path)
        private_files.remove(self._temporary)
        self._temporary = self._written = None
