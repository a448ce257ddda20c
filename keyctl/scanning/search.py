"""Finds keys in bytes, in every encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from keyctl.keyformat import KeyFormat
from keyctl.scanning.encodings import BEFORE, ENCODINGS, Decoded, Encoding, Head, after
from keyctl.scanning.hits import Hit
from keyctl.scanning.shapes import Shapes
from keyctl.scanning.sieve import Sieve

_UTF_16 = "UTF-16"


class Searcher:
    """Finds keys of some formats. Raises ValueError if there are none.

    Attributes:
        before: Bytes before a part of data that are needed to find every key that begins in the part.
        after: Bytes after the part that are needed for that.
    """

    before = BEFORE

    def __init__(self, formats: Iterable[KeyFormat]) -> None:
        self._shapes = Shapes(formats)
        if not self._shapes.formats:
            raise ValueError("there is no format to search for")
        self.after = after(self._shapes.longest)
        self._sieves = list(_sieves(self._shapes.heads))
        # Every format begins with two or more fixed characters. Searched for by themselves, since the zeros between
        # them would be in all classes of the sieve.
        beginnings = {one.parts[0][1].encode() for one in self._shapes.formats}
        self._wide = [re.compile(re.escape(bytes(_widened(one)))) for one in beginnings]

    @property
    def formats(self) -> Sequence[KeyFormat]:
        return self._shapes.formats

    def search(self, data: bytes, start: int = 0, stop: int | None = None) -> list[Hit]:
        """Return what begins in `data` from `start` to before `stop`, in its order. Around it, `data` is context.

        A text of two formats is found once for each.
        """
        end = len(data) if stop is None else stop
        found = {(hit.offset, hit.text): hit for hit in self._every(data) if start <= hit.offset < end}
        return sorted(found.values(), key=lambda hit: hit.offset)

    def masked(self, text: str) -> str:
        """Return a text, such as the name of a file, in which every key is cut off after its prefix."""
        data = text.encode("utf-8", "surrogateescape")
        for hit in reversed(self.search(data)):
            data = data[: hit.offset] + hit.prefix.encode() + "…".encode() + data[hit.offset + hit.length :]
        return data.decode("utf-8", "surrogateescape")

    def _every(self, data: bytes) -> Iterator[Hit]:
        longest = self._shapes.longest
        for sieve, encodings in self._sieves:
            for place in sieve.places(data):
                encoding = encodings[place.number]
                decoded = encoding.decode(data, place.at, place.skipped, longest)
                if decoded is not None:
                    yield from self._hits(data, decoded, encoding)
        for pattern in self._wide if b"\0" in data else ():
            for match in pattern.finditer(data):
                yield from self._wide_hits(data, match.start())

    def _hits(self, data: bytes, decoded: Decoded, encoding: Encoding) -> Iterator[Hit]:
        for prefix, text, certain in self._shapes.beginning_at(decoded.data, decoded.start):
            length = encoding.end(data, decoded, len(text)) - decoded.offset
            yield Hit(decoded.offset, length, encoding.name, prefix, text, certain)

    def _wide_hits(self, data: bytes, at: int) -> Iterator[Hit]:
        """Yield keys in UTF-16, of either byte order, as Windows writes files."""
        window = data[at : at + 2 * self._shapes.longest + 2]
        for prefix, text, certain in self._shapes.beginning_at(window[::2], 0):
            if not any(window[1 : 2 * len(text) - 1 : 2]):
                yield Hit(at, 2 * len(text), _UTF_16, prefix, text, certain)


def _sieves(heads: Sequence[Head]) -> Iterator[tuple[Sieve, list[Encoding]]]:
    """Yield what finds the beginnings of keys, and the encoding of each signature: as few as are selective."""
    signatures = [(one, encoding) for encoding in ENCODINGS for head in heads for one in encoding.signatures(head)]
    sieve = Sieve([(one, encoding.movable) for one, encoding in signatures])
    if sieve.selective or len(heads) == 1:
        yield sieve, [encoding for _, encoding in signatures]
    else:
        yield from _sieves(heads[: len(heads) // 2])
        yield from _sieves(heads[len(heads) // 2 :])


def _widened(text: bytes) -> Iterator[int]:
    for i, byte in enumerate(text):
        if i:
            yield 0
        yield byte
