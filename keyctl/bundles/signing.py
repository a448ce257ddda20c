"""Ed25519 keys that sign and verify bundles (RFC 8032).

The private key is a file outside the database, so that a stolen or rewritten database cannot produce bundles.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyctl import private_files
from keyctl.bundles.format import BundleDamaged, from_base64url, to_base64url
from keyctl.errors import NotFound, Refused, UsageError
from keyctl.text import brief

_PRIVATE = "keyctl-bundle-private-key-v1 "
_BYTES = 32


class Trust(NamedTuple):
    """A trusted public key: for one store, or for any if `store_id` is None."""

    public_key: bytes
    store_id: str | None = None


class SigningKey:
    """A private key. It is in no `repr`, message or log."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @property
    def public_bytes(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    @property
    def public_text(self) -> str:
        """The public key as people write it: base64url, 43 characters."""
        return to_base64url(self.public_bytes)

    def sign(self, content: bytes) -> bytes:
        return self._private.sign(content)

    @classmethod
    def create(cls, path: Path) -> SigningKey:
        """Make a key and write it to a new file that only its owner may read. Raises Refused if the file exists."""
        private = Ed25519PrivateKey.generate()
        line = f"{_PRIVATE}{to_base64url(private.private_bytes_raw())}\n"
        try:
            private_files.make_folder(path.parent)
            private_files.write_new(path, [line.encode()])
        except FileExistsError:
            raise Refused(f"there already is a signing key at {path}", hint="keyctl bundle key shows it") from None
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        return cls(private)

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a key from its file. Raises NotFound, UsageError if it is no key, Refused if other users may read it."""
        try:
            with path.open(encoding="ascii") as file:
                text, mode = file.read(1024), os.fstat(file.fileno()).st_mode
        except FileNotFoundError:
            raise NotFound(f"there is no signing key at {path}", hint="make one: keyctl bundle key --create") from None
        except (OSError, UnicodeDecodeError):
            raise UsageError(f"cannot read the signing key {path}") from None
        if mode & 0o077:
            raise Refused(f"other users may read the signing key {path}", hint=f"chmod 600 {path}")
        try:
            # A public key has the same length: without the words before it, it is not taken for a private one.
            words, raw = text[: len(_PRIVATE)], from_base64url(text[len(_PRIVATE) :].strip().encode(), _BYTES)
        except BundleDamaged:
            words, raw = "", b""
        if words != _PRIVATE:
            raise UsageError(f"{path} is not a signing key of keyctl", hint="make one: keyctl bundle key --create")
        return cls(Ed25519PrivateKey.from_private_bytes(raw))


def parse_trust(text: str) -> Trust:
    """Read `PUBLIC-KEY` or `STORE-ID:PUBLIC-KEY`. Raises UsageError."""
    store_id, _, key = text.rpartition(":")
    try:
        return Trust(from_base64url(key.encode("utf-8", "replace"), _BYTES), store_id or None)
    except BundleDamaged:
        raise UsageError(
            f'"{brief(text)}" is not a public key: 43 characters of base64url',
            hint="the signer prints it: keyctl bundle key",
        ) from None


def is_signed_by(public_key: bytes, signature: bytes, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True
