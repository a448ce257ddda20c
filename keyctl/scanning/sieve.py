"""Finds the few places in much data where an encoded key may begin, in two passes of C over it.

Of each signature, a few bytes in a row are chosen, its window. The bytes of the data are translated to classes: one for
those that any window has at its first place, one for those at the second, and so on; all other bytes are none of
interest. In what was translated, one short text is searched for, however many signatures there are. Only what is found
is compared with the signatures. One regular expression of all signatures took four times as long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from keyctl.scanning.encodings import LINE_END, Signature

_WIDTHS = range(2, 7)
_OFFSETS = 6  # a movable window begins among these first places
_ROUNDS = 3
# How often a byte occurs, roughly: in text and in base64, mostly these characters.
_FREQUENT = sum(1 << byte for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+ \n")
_RARE_ENOUGH = 1 / 4000  # of the places: comparing them then takes far less time than the passes
_TOO_MANY = 16  # bytes for each place: below that, the regular expression is faster
_PATIENCE = 1000  # places

_Classes = tuple[int, ...]  # sets of bytes, as bits: they are compared often


class Match(NamedTuple):
    """`at` is where the place `skipped` of the signature `number` is."""

    at: int
    number: int
    skipped: int


class Sieve:
    """Finds where one of some signatures is. Each comes with whether its window may begin after its first place.

    Attributes:
        selective: Whether few other places are compared.
    """

    def __init__(self, signatures: Sequence[tuple[Signature, bool]]) -> None:
        frequency, windows, classes = _choose(
            [tuple(map(_bits, one)) for one, _ in signatures], [moves for _, moves in signatures]
        )
        self.selective = frequency < _RARE_ENOUGH
        self._places = [
            (number, window.skipped, re.compile(_expression(signature[window.skipped :], movable)))
            for number, (window, (signature, movable)) in enumerate(zip(windows, signatures, strict=True))
        ]
        self._any = re.compile(b"|".join(dict.fromkeys(pattern.pattern for *_, pattern in self._places)))
        numbers = {members: number for number, members in enumerate(dict.fromkeys(classes), 1)}
        self._table = bytes(next((numbers[one] for one in numbers if one >> byte & 1), 0) for byte in range(256))
        self._needle = bytes(numbers[members] for members in classes)

    def places(self, data: bytes) -> Iterator[Match]:
        """Yield each place where a signature is, in their order."""
        find, match, needle = data.translate(self._table).find, self._any.match, self._needle
        count, at = 0, find(needle)
        while at >= 0:
            if match(data, at):
                yield from self._of_signatures(data, at)
            count += 1
            if count > _PATIENCE and count * _TOO_MANY > at:
                yield from self._slowly(data, at + 1)
                return
            at = find(needle, at + 1)

    def _slowly(self, data: bytes, start: int) -> Iterator[Match]:
        """The same for data in which the short text is everywhere."""
        while found := self._any.search(data, start):
            yield from self._of_signatures(data, found.start())
            start = found.start() + 1

    def _of_signatures(self, data: bytes, at: int) -> Iterator[Match]:
        for number, skipped, pattern in self._places:
            if pattern.match(data, at):
                yield Match(at, number, skipped)


class _Window(NamedTuple):
    """Places of one signature, from the place `skipped` on."""

    classes: _Classes
    skipped: int


def _choose(signatures: Sequence[_Classes], movable: Sequence[bool]) -> tuple[float, list[_Window], _Classes]:
    """Return a window for each signature, their classes and how rare these are: the shortest that are rare enough.

    The shorter a window, the less likely a line ends within it.
    """
    rarest = 1.0, list[_Window](), _Classes()
    for width in _WIDTHS:
        choices = [_windows(one, width, moves) for one, moves in zip(signatures, movable, strict=True)]
        if all(choices):
            rarest = min(rarest, _improved(choices))
        if rarest[0] < _RARE_ENOUGH:
            break
    return rarest


def _windows(signature: _Classes, width: int, movable: bool) -> list[_Window]:
    offsets = range(min(_OFFSETS if movable else 1, len(signature) - width + 1))
    return [_Window(signature[first : first + width], first) for first in offsets]


def _improved(choices: Sequence[Sequence[_Window]]) -> tuple[float, list[_Window], _Classes]:
    """Choose for each signature in turn what makes the classes rarest, until nothing improves."""
    chosen = [min(own, key=lambda window: _frequency(window.classes)) for own in choices]
    least = math.inf
    for _ in range(_ROUNDS):
        before = least
        for i, own in enumerate(choices):
            others = reduce(
                _united, (one.classes for j, one in enumerate(chosen) if j != i), (0,) * len(own[0].classes)
            )
            rated = [
                (_frequency(_merged(_united(others, window.classes))), _frequency(window.classes), window)
                for window in own
            ]
            least, _, chosen[i] = min(rated)
        if least == before:
            break
    classes = _merged(reduce(_united, (one.classes for one in chosen)))
    return _frequency(classes), chosen, classes


def _united(one: _Classes, other: _Classes) -> _Classes:
    return tuple(map(or_, one, other))


def _merged(classes: _Classes) -> _Classes:
    """Make one class of places that have a byte in common."""
    merged: list[int] = []  # have no byte in common
    for members in classes:
        touched = [one for one in merged if one & members]
        merged = [one for one in merged if not one & members] + [reduce(or_, touched, members)]
    return tuple(next(one for one in merged if one & members) for members in classes)


def _frequency(classes: _Classes) -> float:
    return math.prod(map(_frequency_of, classes))


def _frequency_of(members: int) -> float:
    frequent = (members & _FREQUENT).bit_count()
    return frequent / 70 + (members.bit_count() - frequent) / 700


def _bits(place: frozenset[int]) -> int:
    return sum(1 << byte for byte in place)


def _expression(signature: Signature, movable: bool) -> bytes:
    places = (b"[%b]" % b"".join(re.escape(bytes([byte])) for byte in sorted(place)) for place in signature)
    return (b"(?:%b)?" % LINE_END if movable else b"").join(places)
