"""Searches a piece of a file, and counts lines in it. The pieces of a large file are searched by several processes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from keyctl.scanning.hits import Hit
from keyctl.scanning.search import Searcher
from keyctl.scanning.streams import BLOCK

_LARGEST_WITHOUT_SIZE = 64 << 20  # bytes of a file that says it is empty, such as those of /proc


class Piece(NamedTuple):
    """The bytes of a file from `start` to before `stop`; None is all of a file whose size is not known."""

    path: str
    start: int
    stop: int | None


class Lines(NamedTuple):
    """How many lines end in some bytes, and the offset after the last of these ends; None if there is none."""

    ended: int
    last: int | None


class PieceHit(NamedTuple):
    """A hit, whose offset is that in the file, and the lines that end in its piece before it."""

    hit: Hit
    lines: Lines


class PieceResult(NamedTuple):
    hits: list[PieceHit]
    size: int


def search_piece(searcher: Searcher, piece: Piece) -> PieceResult:
    """Return the hits in a piece. Raises OSError, also for what is not a regular file any more."""
    hits: list[PieceHit] = []
    with _opened(piece.path) as file:
        at, counted, lines = piece.start, piece.start, Lines(0, None)
        while piece.stop is None or at < piece.stop:
            end = at + BLOCK if piece.stop is None else min(at + BLOCK, piece.stop)
            begins = max(0, at - searcher.before)
            data = _read(file, begins, end + searcher.after)
            for hit in searcher.search(data, at - begins, end - begins):
                lines = together(lines, _count_lines(file, counted, begins + hit.offset))
                counted = begins + hit.offset
                hits.append(PieceHit(hit._replace(offset=counted), lines))
            if begins + len(data) < end:  # the file ends here
                return PieceResult(hits, max(0, begins + len(data) - piece.start))
            if end - piece.start > _LARGEST_WITHOUT_SIZE and piece.stop is None:
                raise OSError(errno.EFBIG, "it does not end")
            at = end
    return PieceResult(hits, at - piece.start)


def count_lines(piece: Piece) -> Lines:
    """Count the lines that end in a piece. Raises OSError."""
    with _opened(piece.path) as file:
        return _count_lines(file, piece.start, piece.stop or piece.start)


def together(one: Lines, following: Lines) -> Lines:
    """Return the lines of some bytes and of those that follow them."""
    return Lines(one.ended + following.ended, one.last if following.last is None else following.last)


def _count_lines(file: int, start: int, stop: int) -> Lines:
    count, last = 0, None
    for begins in range(start, stop, BLOCK):
        data = _read(file, begins, min(begins + BLOCK, stop))
        if newlines := data.count(b"\n"):
            count, last = count + newlines, begins + data.rindex(b"\n") + 1
    return Lines(count, last)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    # A file may have been replaced by a named pipe since it was listed: to open one would wait.
    file = os.open(os.fsencode(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        yield file
    finally:
        os.close(file)


def _read(file: int, start: int, stop: int) -> bytes:
    data = os.pread(file, stop - start, start)
    while 0 < len(data) < stop - start:  # files of /proc give a page at a time
        more = os.pread(file, stop - start - len(data), start + len(data))
        if not more:
            break
        data += more
    return data
