"""Reads presented keys and tokens from standard input, a file or a hidden prompt. Never from an argument."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.errors import KeyctlError, UsageError

if TYPE_CHECKING:
    from keyctl.http.request import HttpRequest

_LONGEST = 64 * 1024


class NoKeyGiven(KeyctlError):
    """Nothing was presented. The exit code is that of the decision MISSING_API_KEY."""

    exit_code = 10
    code = "MISSING_API_KEY"


class NotOneKey(KeyctlError):
    """What was presented cannot be one key. The exit code is that of the decision INVALID_API_KEY."""

    exit_code = 11
    code = "INVALID_API_KEY"


def read_presented_key(key_file: Path | None) -> str:
    """Return one line without its line end. Raises NoKeyGiven or NotOneKey; neither contains what was read."""
    source = "standard input" if key_file is None or str(key_file) == "-" else str(key_file)
    if key_file is None and sys.stdin is not None and sys.stdin.isatty():
        return _one_line(_ask("Key: "), "the prompt")
    return _one_line(read_bytes(key_file, longest=_LONGEST + 1), source)


def read_request_head(file: Path) -> HttpRequest:
    """Read the head of an HTTP request from a file, or standard input if it is `-`. Raises UsageError."""
    from keyctl.http.request import MAX_HEAD_BYTES, parse_head

    return parse_head(read_bytes(file, longest=MAX_HEAD_BYTES + 1))


def read_admin_token(file: str) -> str:
    """Return the admin token from a file, or from standard input if it is `-`. Raises UsageError."""
    return _password(read_bytes(Path(file), longest=_LONGEST), "standard input" if file == "-" else file)


def ask_admin_token() -> str | None:
    """Return the admin token from a hidden prompt if there is a terminal; else None."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    return _ask_text("Admin token: ") or None


def read_new_secret(file: Path | None, what: str) -> str:
    """Return a password from a file or standard input, or from a hidden prompt that asks twice. Raises UsageError."""
    if file is not None or sys.stdin is None or not sys.stdin.isatty():
        return _password(read_bytes(file, longest=_LONGEST), str(file or "standard input"))
    first = _ask_text(f"{what}: ")
    if first != _ask_text("Again: "):
        raise UsageError("the two entries do not match: nothing was changed")
    return first


def _ask(prompt: str) -> bytes:
    from keyctl.cli.terminal import ask

    return ask(prompt, hidden=True)


def _ask_text(prompt: str) -> str:
    try:
        return _ask(prompt).decode()
    except UnicodeDecodeError:
        raise UsageError("what was typed is not UTF-8 text") from None


def _password(raw: bytes, source: str) -> str:
    try:
        line = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError(f"{source} is not UTF-8 text") from None
    if not line or not line.isprintable():
        raise UsageError(f"{source} must contain one line with a token")
    return line


def read_bytes(file: Path | None, *, longest: int) -> bytes:
    """Read at most `longest` bytes of a file, or of standard input if it is None or `-`. Raises UsageError."""
    try:
        if file is None or str(file) == "-":
            return sys.stdin.buffer.read(longest) if sys.stdin is not None else b""
        with file.open("rb") as opened:
            return opened.read(longest)
    except OSError as error:
        raise UsageError(f"cannot read {file or 'standard input'}: {error.strerror}") from None


def _one_line(raw: bytes, source: str) -> str:
    if not raw.strip():
        raise NoKeyGiven(f"no key on {source}", hint="keyctl verify < key.txt, or --key-file FILE")
    if len(raw) > _LONGEST:
        raise NotOneKey(f"{source} contains more than {_LONGEST:,} bytes: not a key")
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line or b"\r" in line:
        raise NotOneKey(f"{source} contains several lines: expected one key", hint="head -n 1 FILE | keyctl verify")
    if b"\0" in line:
        raise NotOneKey(f"{source} contains a NUL byte: not a key")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise NotOneKey(f"{source} is not UTF-8 text: not a key") from None
