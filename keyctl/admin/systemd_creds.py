"""Delivers a key as a credential that `systemd-creds` encrypts, for `LoadCredentialEncrypted=`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from keyctl.admin import fed_program
from keyctl.admin.delivery import FileDelivery, Minted
from keyctl.errors import NotDelivered, StoreUnavailable

_SECONDS = 30.0
_PROGRAM = "systemd-creds"


class EncryptedFileDelivery:
    """Writes a key to a file as `systemd-creds encrypt` encrypts it. The plain text is never on a disk.

    `name` is the name of the credential. Raises what FileDelivery raises.
    """

    def __init__(self, path: Path, name: str, *, replace: bool = False) -> None:
        self._name = name
        self._text = ""
        self._ciphertext = b""
        self._file: FileDelivery[Minted] = FileDelivery(path, replace=replace, render=lambda _: [self._ciphertext])

    def prepare(self, minted: Sequence[Minted]) -> None:
        self.abandon()
        if shutil.which(_PROGRAM) is None:
            raise NotDelivered(f"{_PROGRAM} is not installed", hint="no key was minted; omit --encrypt")
        [one] = minted
        self._ciphertext = b""
        self._file.prepare(minted)  # whether the file can be written is found out while nothing has happened
        self._text = one.text

    def hand_over(self) -> None:
        text, self._text = self._text, ""
        self._ciphertext = _run(["encrypt", f"--name={self._name}", "-", "-"], text.encode())
        self._file.prepare(())
        self._file.hand_over()

    def abandon(self) -> None:
        self._text, self._ciphertext = "", b""
        self._file.abandon()


def decrypt(content: bytes, name: str) -> bytes:
    """Return what is in an encrypted credential. Raises StoreUnavailable if it cannot be decrypted here."""
    try:
        return _run(["decrypt", f"--name={name}", "-", "-"], content)
    except (OSError, NotDelivered) as error:
        reason = error.message if isinstance(error, NotDelivered) else error.strerror
        raise StoreUnavailable(f"the credential {name} cannot be decrypted: {reason}") from None


def _run(arguments: Sequence[str], given: bytes) -> bytes:
    """Run `systemd-creds`, and return what it prints. Raises OSError or NotDelivered."""
    output: list[bytes] = []
    errors: list[bytes] = []
    ended = fed_program.run(
        [_PROGRAM, *arguments], given, seconds=_SECONDS, on_output=output.append, on_errors=errors.append
    )
    if ended.code is None:
        raise NotDelivered(f"{_PROGRAM} did not end within {_SECONDS:g} seconds")
    if ended.code or not output:
        said = b"".join(errors).decode(errors="replace").strip().splitlines()
        raise NotDelivered(f"{_PROGRAM} ended with exit code {ended.code}" + (f": {said[-1]}" if said else ""))
    return b"".join(output)
