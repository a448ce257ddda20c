"""What a format of delivery is, and what several of them share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keyctl.errors import UsageError
from keyctl.text import brief

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Content:
    """One key to be written. `name` is what `--as` gave; `fields` are the JSON object of the key, without its text."""

    text: str = field(repr=False)
    name: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A way to write a key.

    `render` returns a whole file. `read` is its inverse: it returns the text that a file holds under a name, or None;
    whether that is a key is for the caller to find out. `merge` returns content that is there already with the key in
    it, for formats of files that hold more than one key; None replaces a file. `check_name` raises UsageError for a
    name that is missing or invalid; None takes no name. `many` says whether a file can hold several keys.
    """

    name: str
    render: Callable[[Content], bytes]
    read: Callable[[bytes, str | None], str | None]
    merge: Callable[[bytes, Content], bytes] | None = None
    check_name: Callable[[str | None], None] | None = None
    many: bool = False


def check_variable(name: str | None, *, format_name: str) -> None:
    """Raise UsageError unless `name` can be the name of a variable."""
    if name is None:
        raise UsageError(f"--format {format_name} requires the name of a variable", hint="add --as API_KEY")
    if not _VARIABLE.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise UsageError(
            f'"{brief(name)}" cannot be the name of a variable: letters, digits and _, not a digit first',
            hint="for example: --as API_KEY",
        )


def line_of(content: bytes) -> str | None:
    """Return the only line of a file, without its end; None if there are several, or what is no text."""
    try:
        line = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return None
    return line if line and line.isprintable() else None
