"""Reads TOML, of profiles and of the configuration file, in bounded time and memory."""

from __future__ import annotations

from typing import Any

LARGEST = 1024 * 1024  # bytes
_MOST_DOTS = 500  # in one line: tomllib takes minutes for a key a.a.a… of 100 kB


def parse_toml(raw: bytes) -> dict[str, Any]:
    """Parse UTF-8 text. Raises ValueError, whose text says what is wrong with the file."""
    import tomllib  # noqa: PLC0415 - most commands read no TOML

    if len(raw) > LARGEST:
        raise ValueError("it is larger than 1 MiB")
    if any(line.count(b".") > _MOST_DOTS for line in raw.split(b"\n")):
        raise ValueError(f"it has more than {_MOST_DOTS} dots in one line")
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise ValueError(f"it is not TOML: {error}") from None
