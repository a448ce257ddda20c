"""Searches data that can be read once only, from its beginning to its end, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keyctl.scanning.hits import Hit
from keyctl.scanning.search import Searcher

BLOCK = 1 << 20  # bytes


def search_stream(searcher: Searcher, read: Callable[[int], bytes]) -> Iterator[tuple[Hit, int, int]]:
    """Yield each hit with its line and column. `read` takes the
    maximum number of bytes, and returns none at the end."""
    window, begins = b"", 0  # what is kept, and the offset of its first byte
    done = 0  # up to here, hits were reported
    lines, line_begins = 0, 0  # before the window
    ended = False
    while not ended:
        block = read(BLOCK)
        ended = not block
        window += block
        stop = begins + len(window) - (0 if ended else searcher.after)
        if stop <= done and not ended:
            continue
        for hit in searcher.search(window, done - begins, stop - begins):
            before = window.count(b"\n", 0, hit.offset)
            line_end = window.rfind(b"\n", 0, hit.offset)
            column = hit.offset - line_end if before else begins + hit.offset - line_begins + 1
            yield hit._replace(offset=begins + hit.offset), lines + before + 1, column
        done = stop
        dropped = max(0, done - begins - searcher.before)
        if newlines := window.count(b"\n", 0, dropped):
            lines += newlines
            line_begins = begins + window.rfind(b"\n", 0, dropped) + 1
        window, begins = window[dropped:], begins + dropped
