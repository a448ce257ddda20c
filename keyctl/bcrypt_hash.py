"""bcrypt, for hashes that other programs made. The only module that knows the library, which is optional."""

from __future__ import annotations

from keyctl.errors import LibraryMissing


def matches(secret: bytes, text: str) -> bool:
    """Return whether `text` (`$2b$…`) is bcrypt's hash of `secret`, of at most 72 bytes, in constant time.

    Raises LibraryMissing, and ValueError if it is not a hash.
    """
    try:
        import bcrypt  # noqa: PLC0415 - optional
    except ImportError:
        raise LibraryMissing(
            "the hash is of bcrypt, whose library is not installed", hint="pip install bcrypt"
        ) from None
    return bcrypt.checkpw(secret, text.encode())
