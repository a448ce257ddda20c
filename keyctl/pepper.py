"""Peppers: secrets outside the store, under which every key is authenticated (HMAC-SHA256) before it is hashed.

A pepper file has one pepper a line, the newest first: `ID SECRET`, where SECRET is base64url of 32 random bytes. A last
line `none` means that hashes without a pepper are accepted too. No secret is in a message, an event or a `repr`.

A foreign pepper is one of another program, whose hashes were imported: `ID foreign:SECRET`, where SECRET is base64url
of its bytes, 1 to 256. No new hash uses it.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from itertools import count
from pathlib import Path
from typing import NamedTuple

from keyctl import private_files
from keyctl.errors import ConfigurationInvalid, PepperMissing, Refused, UsageError
from keyctl.regular_files import open_regular
from keyctl.text import brief

_NONE = "none"
_ID = re.compile(r"(?!none\Z)[a-z0-9][a-z0-9-]{0,23}", re.ASCII)
_BYTES = 32
_FOREIGN = "foreign:"
_LONGEST_FOREIGN = 256  # bytes
_LONGEST_FILE = 64 * 1024
_TOO_OPEN = 0o037  # to write for the group, anything for others; a mounted secret is often readable for a group


class _Secret(NamedTuple):
    raw: bytes
    foreign: bool

    def __repr__(self) -> str:
        return "_Secret()"


class Peppers:
    """The peppers of a file, by id.

    The file is read once, and again when a hash needs what was not in it: a pepper that is added to the file is found
    without a restart, and one that is removed may stay in use until a restart.

    Raises ConfigurationInvalid for a file that is missing or malformed, or that other users may read or change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identify(path)
        self._secrets = _read(path)

    def __repr__(self) -> str:
        return f"Peppers({str(self.path)!r}, ids={self.ids})"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids in the order of the file, without `none` and foreign ones."""
        return tuple(name for name, secret in self._secrets.items() if name is not None and not secret.foreign)

    @property
    def newest(self) -> str | None:
        """The first pepper of the file, which a new store uses; None if all are foreign."""
        return next(iter(self.ids), None)

    def accepts(self, pepper_id: str | None) -> bool:
        """Return whether the file has this pepper; None is a hash without one. Raises PepperMissing."""
        return self._secret(pepper_id) is not None

    def mix(self, key: str, pepper_id: str | None) -> bytes:
        """Return what is hashed in place of the key: its HMAC under a pepper. Without a pepper, that is the key.

        Raises PepperMissing.
        """
        secret = self._secret(pepper_id)
        if secret is None or secret.foreign:
            raise self._missing(pepper_id)
        return key.encode() if pepper_id is None else hmac.digest(secret.raw, key.encode(), "sha256")

    def foreign(self, pepper_id: str) -> bytes:
        """Return a foreign pepper. Raises PepperMissing."""
        secret = self._secret(pepper_id)
        if secret is None or not secret.foreign:
            raise PepperMissing(
                f'the foreign pepper "{pepper_id}" is required, and is not in {self.path}',
                hint=f'add a line "{pepper_id} foreign:SECRET"; see: keyctl help import',
            )
        return secret.raw

    def _secret(self, pepper_id: str | None) -> _Secret | None:
        if pepper_id not in self._secrets:
            self._refresh()
        return self._secrets.get(pepper_id)

    def _refresh(self) -> None:
        identity = _identify(self.path)
        if identity == self._identity:
            return
        try:
            self._secrets = _read(self.path)
        except ConfigurationInvalid as error:  # what was read before stays in use
            raise PepperMissing(error.message, hint=error.hint) from None
        self._identity = identity

    def _missing(self, pepper_id: str | None) -> PepperMissing:
        if pepper_id is None:
            return PepperMissing(
                f"the hash was made without a pepper, and {self.path} does not accept that",
                hint=f"for keys from before the pepper: echo none >> {self.path}; for others: keyctl audit verify",
            )
        return PepperMissing(
            f'the pepper "{pepper_id}" is required, and is not in {self.path}',
            hint=f'copy the line of "{pepper_id}" into {self.path}; it has: {", ".join(self.ids) or "none"}',
        )


def add(path: Path, pepper_id: str | None, *, today: date) -> str:
    """Write a new pepper at the top of a file, in one step, and return its id. A file that is missing is created.

    None is an id after the date. Raises UsageError, Refused if the file has that id, and ConfigurationInvalid.
    """
    if pepper_id is not None and not _ID.fullmatch(pepper_id):
        raise UsageError(
            f'"{brief(pepper_id)}" is not an id of a pepper: 1 to 24 characters of a-z, 0-9 and -, and not "none"',
            hint=f"for example: --id {today:%Y-%m}",
        )
    if not private_files.is_replaceable(path):
        raise UsageError(f"cannot write {path}: it is not a regular file, and is never replaced")
    known = Peppers(path).ids if os.path.lexists(path) else ()
    if pepper_id in known:
        raise Refused(f'{path} already has a pepper "{pepper_id}"', hint="choose another --id")
    names = (f"{today:%Y-%m-%d}{f'-{number}' if number > 1 else ''}" for number in count(1))
    chosen = pepper_id or next(name for name in names if name not in known)
    line = f"{chosen} {_base64url(os.urandom(_BYTES))}\n".encode()
    try:
        if known:
            _replace(path, line)
        else:
            private_files.write_new(path, [line])
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    with suppress(OSError):  # the pepper is there; to report a failure would ask for another one
        private_files.sync_folder(path.parent)
    return chosen


def _replace(path: Path, line: bytes) -> None:
    """Write a line above what is in the file, which keeps its group and mode: readers may depend on them."""
    temporary = private_files.temporary_beside(path)
    with open_regular(path) as present:
        status = os.fstat(present.fileno())
        private_files.write_new(temporary, [line, present.read()])
    try:
        os.chown(temporary, status.st_uid, status.st_gid)
        temporary.chmod(status.st_mode & 0o777)
        temporary.replace(path)
    except BaseException:
        private_files.remove(temporary)
        raise


def _read(path: Path) -> Mapping[str | None, _Secret]:
    """Return the secrets by id, in the order of the file; None is there if hashes without a pepper are accepted."""
    try:
        with open_regular(path) as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read(_LONGEST_FILE).decode("ascii", "replace")
    except FileNotFoundError:
        raise ConfigurationInvalid(
            f"the pepper file {path} does not exist", hint=f"create it: keyctl db pepper {path}"
        ) from None
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read the pepper file {path}: {error.strerror}") from None
    if mode & _TOO_OPEN:
        raise ConfigurationInvalid(f"other users may read or change the pepper file {path}", hint=f"chmod 600 {path}")
    secrets: dict[str | None, _Secret] = {}
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        where = f"the pepper file {path}, line {number}"
        if line == _NONE and 1 < number == len(lines):
            secrets[None] = _Secret(b"", foreign=False)
            continue
        pepper_id, _, secret = line.partition(" ")
        foreign = secret.startswith(_FOREIGN)
        raw = _from_base64url(secret.removeprefix(_FOREIGN), *((1, _LONGEST_FOREIGN) if foreign else (_BYTES, _BYTES)))
        # Nothing of a malformed line is quoted: it may be a secret.
        if not _ID.fullmatch(pepper_id) or raw is None:
            raise ConfigurationInvalid(
                f'{where}: it must be "ID SECRET" (an id of a-z, 0-9 and -, a space, 43 characters of base64url), '
                "or none as the last of several lines",
                hint=f"for a new pepper: keyctl db pepper {path}",
            )
        if pepper_id in secrets:
            raise ConfigurationInvalid(f'{where}: the id "{pepper_id}" occurs twice')
        secrets[pepper_id] = _Secret(raw, foreign)
    return secrets


def _identify(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _from_base64url(text: str, least: int, most: int) -> bytes | None:
    """Read exactly what `_base64url` writes for a secret of such a length; return None for anything else."""
    try:
        raw = base64.urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}")
    except ValueError:
        return None
    return raw if least <= len(raw) <= most and _base64url(raw) == text else None
