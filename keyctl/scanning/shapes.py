"""The shapes of keys of several formats, as they begin at one place in plain bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

from keyctl.key_expressions import character_class, key_expression
from keyctl.keyformat import KeyFormat, MalformedKey

HEAD = 12  # characters of the beginning of a key, which is where it is recognized


class Shape(NamedTuple):
    """A text that is a key of a format. `certain` is explained at Hit."""

    prefix: str
    text: str
    certain: bool


class Shapes:
    """The keys of some formats. Formats that are equal count once."""

    def __init__(self, formats: Iterable[KeyFormat]) -> None:
        self.formats: Sequence[KeyFormat] = tuple(dict.fromkeys(formats))
        self._patterns = [(one, _pattern(unambiguous)) for one in self.formats for unambiguous in _unambiguous(one)]

    @cached_property
    def longest(self) -> int:
        """The length of the longest key."""
        return max((len(layout) for one in self.formats for layout in one.layouts()), default=0)

    @cached_property
    def heads(self) -> Sequence[Sequence[str]]:
        """For each format, the characters that are possible at each of the first places of a key."""
        return [_possible(one) for one in self.formats]

    def beginning_at(self, data: bytes, start: int) -> Iterator[Shape]:
        """Yield what keys the bytes from `start` on can be; their checksums are right. Most often none or one."""
        for key_format, pattern in self._patterns:
            match = pattern.match(data, start)
            if match is None:
                continue
            text = match[1].decode("ascii")
            try:
                parsed = key_format.parse(text)
            except MalformedKey:
                continue
            yield Shape(parsed.prefix, text, certain=key_format.checksum is not None or not match[2])


def _pattern(key_format: KeyFormat) -> re.Pattern[bytes]:
    """Return an expression of a key (1), and of a character that follows and could belong to it (2)."""
    # A hyphen or a dot ends a sentence or a word more often than it continues a random text.
    more = "".join(one for one in key_format.secret.characters if one.isalnum())
    follows = f"(?=({character_class(more)})?)" if len(more) > 1 else "()"
    return re.compile(f"({key_expression(key_format)}){follows}".encode("ascii"))


def _unambiguous(key_format: KeyFormat) -> Iterator[KeyFormat]:
    """Yield formats of the same keys, in none of which one tag begins another: one text can then be only one key."""
    for envs in _without_common_beginnings(key_format.envs):
        for scopes in _without_common_beginnings(key_format.scopes):
            yield replace(key_format, envs=envs, scopes=scopes)


def _without_common_beginnings(tags: Sequence[str]) -> list[tuple[str, ...]]:
    groups: list[list[str]] = []
    for tag in tags:
        fitting = (group for group in groups if not any(_one_begins_the_other(tag, other) for other in group))
        group = next(fitting, None)
        if group is None:
            groups.append([tag])
        else:
            group.append(tag)
    return [tuple(group) for group in groups] or [()]


def _one_begins_the_other(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _possible(key_format: KeyFormat) -> list[str]:
    places = zip_longest(*(layout[:HEAD] for layout in key_format.layouts()), fillvalue="")
    return ["".join(sorted(set("".join(place)))) for place in places]
