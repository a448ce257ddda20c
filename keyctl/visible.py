"""Text that people supplied, as it may stand on a screen or in a message: literal, on one line, and not too long."""

from __future__ import annotations

# Invisible characters that reorder what surrounds them: a name could look like another one.
BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """Return `text` with everything a terminal could act on written as an escape: `\\n`, `\\x1b`, `\\u202e`."""
    return "".join(c if (c.isprintable() and c not in BIDIRECTIONAL) or c == "\u200d" else ascii(c)[1:-1] for c in text)


def brief(text: str, longest: int = 80) -> str:
    """Return `text` visible, and cut for a message."""
    return visible(text if len(text) <= longest else text[:longest] + "…")
