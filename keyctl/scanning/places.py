"""Where keys are found, and what could not be searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from keyctl.scanning.hits import Hit

_MOST_NAMED = 1000


class Place(NamedTuple):
    """Where a key is. `path` contains no key. Lines and columns count from 1, columns in bytes.

    `commit` is the first one that has it, `kind` what it is in if that is not a file, such as `commit message`.
    """

    path: str
    line: int | None = None
    column: int | None = None
    encoding: str = ""
    commit: str | None = None
    kind: str = ""

    @property
    def order(self) -> tuple[str, int, int, str]:
        """What places are sorted by."""
        return self.path, self.line or 0, self.column or 0, self.commit or ""

    def __str__(self) -> str:
        position = "".join(f":{number}" for number in (self.line, self.column) if number is not None)
        return "".join(
            [
                self.path + position,
                f" ({self.kind})" if self.kind else "",
                f" ({self.encoding})" if self.encoding else "",
                f" in {self.commit[:12]}" if self.commit else "",
            ]
        )


@dataclass
class Collected:
    """What the sources of one scan found, and what they left aside. `found` is called for each key, in any order."""

    found: Callable[[Hit, Place], None]
    advance: Callable[[int], None] = lambda _: None  # bytes
    files: int = 0
    bytes: int = 0
    links: int = 0
    special: int = 0
    repositories: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    unread_count: int = 0

    def searched(self, size: int) -> None:
        self.bytes += size
        self.advance(size)

    def not_read(self, what: str) -> None:
        """Note what could not be searched, and why. The first thousand are named."""
        self.unread_count += 1
        if len(self.unread) < _MOST_NAMED:
            self.unread.append(what)
