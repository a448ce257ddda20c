"""Delivers new keys: a key is delivered or revoked.

A delivery is prepared before the keys are committed, so that most errors occur while nothing has happened, and
finished afterwards. Only then is a key's text visible to others; nothing keeps it after that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def lines(minted: Sequence[Minted]) -> Iterator[bytes]:
    """Yield the texts, each with a line end."""
    return (f"{one.text}\n".encode() for one in minted)


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


class MaskedDelivery(Generic[M]):
    """Passes the line that makes a CI runner hide a key to `write`, and only then delivers it by `inner`."""

    def __init__(self, inner: Delivery[M], write: Callable[[str], None], mask: Callable[[str], str]) -> None:
        self._inner = inner
        self._mask = StreamDelivery[M](write, lambda minted: "\n".join(mask(one.text) for one in minted))

    def prepare(self, minted: Sequence[M]) -> None:
        self._inner.prepare(minted)
        self._mask.prepare(minted)

    def hand_over(self) -> None:
        self._mask.hand_over()
        self._inner.hand_over()

    def abandon(self) -> None:
        self._mask.abandon()
        self._inner.abandon()


class FileDelivery(Generic[M]):
    """Writes the keys to a file of mode 0600, which is complete or absent. `render` is what to write: a line for each.

    Raises Refused if the file exists and `replace` is false, NotDelivered if it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        replace: bool = False,
        render: Callable[[Sequence[M]], Iterable[bytes]] = lines,
    ) -> None:
        self._path = path
        self._replace = replace
        self._render = render
        self._temporary: Path | None = None
        self._written: os.stat_result | None = None

    def check(self) -> None:
        """Raise Refused if there is something that must not be replaced."""
        if not self._replace and os.path.lexists(self._path) and not self._path.is_dir():
            raise Refused(f"{self._path} already exists", hint="choose another file, or add --force to replace it")
        check_replaceable(self._path)

    def prepare(self, minted: Sequence[M]) -> None:
        self.abandon()
        try:
            self.check()
            self._temporary = private_files.temporary_beside(self._path)
            private_files.write_new(self._temporary, self._render(minted))
            self._written = self._temporary.stat()
        except OSError as error:
            raise cannot_write(self._path, error) from None

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


def check_replaceable(path: Path) -> None:
    """Raise Refused if what is at `path` is not a regular file. Nothing may be there at all."""
    if path.is_dir():
        raise Refused(f"{path} is a folder", hint=f"give a file: --out {path}/KEYFILE")
    if not private_files.is_replaceable(path):
        raise Refused(
            f"{path} is a link, a device or a pipe: it is never replaced",
            hint="give a regular file; without --out, the key goes to stdout",
        )


def cannot_write(path: Path, error: OSError) -> NotDelivered:
    """Return the error for a file that cannot be prepared, before any key is there."""
    return NotDelivered(f"cannot write {path}: {error.strerror}", hint="no key was minted; choose another file")
