"""Random texts, from the operating system's source."""

from __future__ import annotations

import os


def draw(characters: str, length: int, count: int) -> list[str]:
    """Return `count` uniformly random texts of this length. Bytes that would favour some characters are discarded."""
    encoded = characters.encode()
    usable = 256 // len(encoded) * len(encoded)
    table = bytes(encoded[byte % len(encoded)] for byte in range(256))
    biased = bytes(range(usable, 256))
    wanted = count * length
    drawn = b""
    while len(drawn) < wanted:
        missing = wanted - len(drawn)
        drawn += os.urandom(missing * 256 // usable + 16).translate(table, biased)
    text = drawn[:wanted].decode()
    return [text[i : i + length] for i in range(0, wanted, length)]
