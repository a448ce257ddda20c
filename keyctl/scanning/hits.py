"""What a search finds."""

from __future__ import annotations

from typing import NamedTuple


class Hit(NamedTuple):
    """A text of the shape of a key, whose checksum is right if its format has one.

    `offset` and `length` are the bytes that it takes up in what was searched, as they are encoded there. `encoding` is
    empty for plain text. With `certain`, the text is a key of the format: it has a checksum, or it ends where the key
    does. `text` must never be shown.
    """

    offset: int
    length: int
    encoding: str
    prefix: str
    text: str
    certain: bool

    def __repr__(self) -> str:
        return f"Hit(offset={self.offset}, prefix={self.prefix!r})"
