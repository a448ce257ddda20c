"""Reads a key that somebody presents: from standard input, a file, or a hidden prompt. Never from an argument."""

from __future__ import annotations

import sys
from pathlib import Path

from keyctl.errors import KeyctlError, UsageError

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
    """Return one line without its line end. Raises NoKeyGiven or NotOneKey; neither holds what was read."""
    source = "standard input" if key_file is None or str(key_file) == "-" else str(key_file)
    if key_file is None and sys.stdin is not None and sys.stdin.isatty():
        import getpass

        try:
            typed = getpass.getpass("Key: ", stream=sys.stderr)
        except EOFError:  # Ctrl-D
            typed = ""
        return _one_line(typed.encode(), "the prompt")
    try:
        if source == "standard input":
            raw = sys.stdin.buffer.read(_LONGEST + 1) if sys.stdin is not None else b""
        else:
            with Path(source).open("rb") as file:
                raw = file.read(_LONGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read the key from {source}: {error.strerror}") from None
    return _one_line(raw, source)


def _one_line(raw: bytes, source: str) -> str:
    if not raw.strip():
        raise NoKeyGiven(f"no key on {source}", hint="keyctl verify < key.txt, or --key-file FILE")
    if len(raw) > _LONGEST:
        raise NotOneKey(f"{source} holds more than {_LONGEST:,} bytes: that is no key")
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line or b"\r" in line:
        raise NotOneKey(f"{source} holds several lines: give one key", hint="head -n 1 FILE | keyctl verify")
    if b"\0" in line:
        raise NotOneKey(f"{source} holds a NUL byte: that is no key")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise NotOneKey(f"{source} is not UTF-8 text: that is no key") from None
