"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, with which value, and what to type next.

    `repair` does what `fix` says, where that is safe to do unasked. It raises OSError.
    """

    what: str
    value: str | None
    fix: str | None
    repair: Callable[[], None] | None = field(default=None, compare=False)
