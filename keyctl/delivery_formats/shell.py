"""`env`: a line that a POSIX shell reads with `. FILE`."""

from __future__ import annotations

import re

from keyctl.delivery_formats.format import Content, Format, check_variable, line_of

_LINE = re.compile(r"export ([A-Za-z_][A-Za-z0-9_]*)='((?:[^']|'\\'')*)'", re.ASCII)


def render(key: Content) -> bytes:
    # In single quotes nothing is special but the quote itself.
    quoted = key.text.replace("'", r"'\''")
    return f"export {key.name}='{quoted}'\n".encode()


def read(content: bytes, name: str | None) -> str | None:
    """Read what `render` writes, and nothing else: only a shell can read a script."""
    match = _LINE.fullmatch(line_of(content) or "")
    return match[2].replace(r"'\''", "'") if match and match[1] == name else None


def check_name(name: str | None) -> None:
    check_variable(name, format_name="env")


ENV = Format("env", render, read, check_name=check_name)
