"""`dotenv`: one line of a `.env` file, put in place of the one that is there. Every other byte is kept.

Readers of such files differ. What they agree on is written: a key bare where its characters are harmless everywhere,
else in single quotes. What any of them accepts is found: `export`, quotes, spaces around `=`, comments at the end. If
a name occurs several times, every occurrence gets the new key, so that it does not matter which one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from keyctl.delivery_formats.format import Content, Format, check_variable
from keyctl.errors import Refused

_BARE = re.compile(r"[A-Za-z0-9_.:~+/=@%^,-]+", re.ASCII)
_QUOTED = re.compile(r"(?:[!-#%-&(-\[\]-~]|\$(?!\{))+", re.ASCII)  # without ', \ and ${, which some readers interpret
_BOM = "\ufeff".encode().decode("latin-1")
_SPACE = r"[^\S\r\n]"
# One entry. A value in quotes may have several lines; one whose quote is never closed ends with its line.
_ENTRY = re.compile(
    rf"""
    {_SPACE}* (?:export{_SPACE}+)? (?P<quote>'?) (?P<name>[^\s='"\#]+) (?P=quote) {_SPACE}* =
    (?P<space>{_SPACE}*)
    (?P<value>
        (?: ' (?:\\.|[^'\\])* ' | " (?:\\.|[^"\\])* " | ` [^`]* ` ) (?={_SPACE}*(?:\#|[\r\n]|\Z))
        | [^\r\n]*
    )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_REST_OF_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_COMMENT = re.compile(rf"{_SPACE}\#")
_QUOTES = "'\"`"


class _Entry(NamedTuple):
    """An assignment: its name, and where its value begins and ends."""

    name: str
    start: int
    end: int


def render(key: Content) -> bytes:
    return merge(b"", key)


def merge(content: bytes, key: Content) -> bytes:
    """Return `content` with the key. Raises Refused for what no reader would read alike."""
    if b"\0" in content:
        raise Refused("the file is no text: it holds a NUL byte", hint="give another file: --out .env")
    text = content.decode("latin-1")  # every byte is one character, whatever the encoding
    value = _written(key.text)
    found = [one for one in _entries(text) if one.name == key.name]
    for one in reversed(found):
        quote = text[one.start] if value == key.text and text[one.start : one.end][:1] in ("'", '"') else ""
        text = text[: one.start] + quote + value + quote + text[one.end :]
    if not found:
        line_end = "\r\n" if text.endswith("\r\n") else "\n"
        text += ("" if not text or text.endswith(("\n", "\r")) else line_end) + f"{key.name}={value}{line_end}"
    return text.encode("latin-1")


def read(content: bytes, name: str | None) -> str | None:
    """Return the last value of a name, as readers do."""
    text = content.decode("latin-1")
    values = [text[one.start : one.end] for one in _entries(text) if one.name == name]
    if not values:
        return None
    last = values[-1]
    return last[1:-1] if _is_quoted(last) else last


def check_name(name: str | None) -> None:
    check_variable(name, format_name="dotenv")


def _entries(text: str) -> Iterator[_Entry]:
    at = len(_BOM) if text.startswith(_BOM) else 0
    while at < len(text):
        if match := _ENTRY.match(text, at):
            yield _entry(match)
            at = match.end()
        rest = _REST_OF_LINE.match(text, at)
        at = rest.end() if rest else len(text)


def _entry(match: re.Match[str]) -> _Entry:
    value, start = match["value"], match.start("value")
    if _is_quoted(value):
        return _Entry(match["name"], start, match.end("value"))
    if value.startswith("#") and match["space"]:  # an empty value, and a comment
        return _Entry(match["name"], match.start("space"), match.start("space"))
    comment = _COMMENT.search(value)
    value = (value[: comment.start()] if comment else value).rstrip()
    return _Entry(match["name"], start, start + len(value))


def _is_quoted(value: str) -> bool:
    return len(value) >= 2 and value[0] == value[-1] and value[0] in _QUOTES


def _written(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    if _QUOTED.fullmatch(text):
        return f"'{text}'"
    raise Refused(
        "keys of this format have characters that readers of dotenv files interpret differently",
        hint="use --format env, json or raw",
    )


DOTENV = Format("dotenv", render, read, merge, check_name)
