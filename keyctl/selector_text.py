"""Finds the keys that a text names: by id, by prefix or as a whole. Pure, but for reading the text.

A text whose lines are single words is a list of selectors: every line must name a key. Any other text is searched for
what has the form of an id, a prefix or a key. Only ids and prefixes leave this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from keyctl.errors import UsageError
from keyctl.key_expressions import key_expression, prefix_expression
from keyctl.keyformat import MAX_KEY_LENGTH, KeyFormat

_ID = rb"key_[0-9A-HJKMNP-TV-Z]{26}"
_MOST = 1_000_000  # selectors in one text
_CHUNK = 1 << 20  # bytes
_LINE = re.compile(rb"[^\r\n]+")


@dataclass(frozen=True)
class NamedKeys:
    """The ids and prefixes in a text, each once; and, of a list, the numbers of lines that name none."""

    selectors: tuple[str, ...]
    unreadable_lines: tuple[int, ...] = ()


def find_named_keys(text: BinaryIO, formats: Sequence[KeyFormat], *, serial_ids: bool) -> NamedKeys:
    """Read a text to its end, in constant memory. Raises UsageError if it names more than 1,000,000 keys."""
    search = _Search(formats, serial_ids=serial_ids)
    start = text.read(_CHUNK)
    if _is_list(start):
        return search.in_list(_lines(start, text))
    return NamedKeys(tuple(search.in_text(start, text)))


def _is_list(start: bytes) -> bool:
    """Return whether the beginning of a text has only lines of one word, none longer than a key."""
    words = [line.strip() for line in _LINE.findall(start)]
    complete = words[:-1] if len(start) == _CHUNK else words
    return all(len(word) <= MAX_KEY_LENGTH and len(word.split()) <= 1 and word.isascii() for word in complete)


def _lines(start: bytes, text: BinaryIO) -> Iterator[bytes]:
    rest = start
    while chunk := text.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > _CHUNK:
            raise UsageError("the list has a line of more than a million bytes", hint="give a key on each line")
    yield from rest.split(b"\n")


class _Search:
    def __init__(self, formats: Sequence[KeyFormat], *, serial_ids: bool) -> None:
        keys = b"|".join(key_expression(one).encode() for one in formats)
        prefixes = b"|".join(prefix_expression(one).encode() for one in formats)
        self._prefixes = [re.compile(prefix_expression(one), re.ASCII) for one in formats]
        self._serial_ids = serial_ids
        # A prefix that other letters follow is part of something else, unless all of it has the form of a key.
        self._name = re.compile(
            rb"(?P<id>%b)(?![0-9A-Za-z])|(?P<key>%b)|(?P<prefix>%b)(?![0-9A-Za-z])" % (_ID, keys, prefixes)
        )
        self._beginnings = [found for one in formats if (found := _beginning(one))[0]]

    def in_text(self, start: bytes, text: BinaryIO) -> dict[str, None]:
        found: dict[str, None] = {}
        held = start
        while held:
            more = text.read(_CHUNK)
            end = len(held) - MAX_KEY_LENGTH if more else len(held)  # what begins later may not be complete yet
            rest = end
            for match in self._name.finditer(held):
                if match.start() >= end:
                    break
                found[self._selector(match)] = None
                rest = max(end, match.end())
            _check_number(found)
            held = held[max(0, rest) :] + more
        return found

    def in_list(self, lines: Iterable[bytes]) -> NamedKeys:
        found: dict[str, None] = {}
        unreadable: list[int] = []
        for number, line in enumerate(lines, start=1):
            word = line.strip()
            if not word:
                continue
            selector = self._of_word(word)
            if selector is None:
                unreadable.append(number)
            else:
                found[selector] = None
            _check_number(found)
        return NamedKeys(tuple(found), tuple(unreadable))

    def _of_word(self, word: bytes) -> str | None:
        match = self._name.search(word)
        if match:
            return self._selector(match)
        if self._serial_ids and word.isdigit() and len(word) < 20:
            return word.decode()
        # What is shorter than a prefix holds no part of a secret: an error can name it.
        begins = any(word.startswith(one) and len(word) < shortest for one, shortest in self._beginnings)
        return word.decode() if begins else None

    def _selector(self, match: re.Match[bytes]) -> str:
        text = match[0].decode()
        if match["key"] is None:
            return text
        return next(found[0] for one in self._prefixes if (found := one.match(text)))


def _beginning(key_format: KeyFormat) -> tuple[bytes, int]:
    """Return the fixed text that prefixes begin with, and the length of the shortest prefix."""
    length = 0
    for kind, value in key_format.parts[: key_format.parts.index(("field", "prefix")) + 1]:
        if kind == "text":
            length += len(value)
        elif value == "prefix":
            length += key_format.random_field(value).length
        else:
            length += min(map(len, key_format.choices(value)))
    kind, value = key_format.parts[0]
    return (value.encode() if kind == "text" else b"", length)


def _check_number(found: dict[str, None]) -> None:
    if len(found) > _MOST:
        raise UsageError(f"the text names more than {_MOST:,} keys", hint="split it into several files")
