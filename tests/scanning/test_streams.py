from __future__ import annotations

import io
import tracemalloc

import pytest

from keyctl.profiles.files import load_profile
from keyctl.scanning import streams
from keyctl.scanning.search import Searcher
from keyctl.scanning.streams import search_stream

FORMAT = load_profile("standard").key_format
SEARCHER = Searcher([FORMAT])


def test_a_stream_has_the_same_keys_as_the_whole(monkeypatch: pytest.MonkeyPatch):
    texts = [key.text for key in FORMAT.generate(30, env="test")]
    data = b"".join(text.encode() + b"." * (i * 53 % 700) + b"\n" * (i % 3) for i, text in enumerate(texts))

    for block in (1, 17, 100, 4096):
        if block == 1:
            data = data[:300]
        monkeypatch.setattr(streams, "BLOCK", block)
        found = list(search_stream(SEARCHER, io.BytesIO(data).read))

        whole = SEARCHER.search(data)
        assert [hit for hit, _, _ in found] == whole
        for hit, line, column in found:
            before = data[: hit.offset]
            assert (line, column) == (before.count(b"\n") + 1, hit.offset - before.rfind(b"\n"))


def test_a_line_of_a_gigabyte_takes_little_memory():
    left = 1 << 30
    block = b"a" * streams.BLOCK

    def read(size: int) -> bytes:
        nonlocal left
        left -= size * 32  # each counts for 32
        return block if left > 0 else b""

    tracemalloc.start()
    try:
        assert list(search_stream(SEARCHER, read)) == []
        assert tracemalloc.get_traced_memory()[1] < 20 * streams.BLOCK
    finally:
        tracemalloc.stop()
