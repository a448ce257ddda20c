"""Text from users: what is accepted, and how it is shown. Literal, on one line, of limited length."""

from __future__ import annotations

from keyctl.errors import UsageError

LONGEST_NAME = 200  # characters
LONGEST_REASON = 500

# Invisible characters that reorder what surrounds them: a name could look like another one.
BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """Return `text` with everything that a terminal would interpret escaped: `\\n`, `\\x1b`, `\\u202e`."""
    return "".join(c if (c.isprintable() and c not in BIDIRECTIONAL) or c == "\u200d" else ascii(c)[1:-1] for c in text)


def brief(text: str, longest: int = 80) -> str:
    """Return `text` visible, and truncated for a message."""
    return visible(text if len(text) <= longest else text[:longest] + "…")


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun: `1 key`, `2,000 keys`. `several` is the plural, if an s does not make it."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def is_utf8(text: str) -> bool:
    """Return whether a text is UTF-8: the bytes of an argument that are not become lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def checked_text(label: str, value: str, *, longest: int = LONGEST_NAME) -> str:
    """Check text from a user. It is stored as given, and always shown literally. Raises UsageError."""
    import unicodedata  # noqa: PLC0415 - loads a shared library that most commands do not need

    if not value.strip():
        raise UsageError(f"the {label} is empty")
    if len(value) > longest:
        raise UsageError(f"the {label} has {len(value):,} characters: at most {longest}")
    for character in value:
        # Cc: controls (line breaks, escapes); Cs: bytes that were not UTF-8; Zl, Zp: separators
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in BIDIRECTIONAL:
            raise UsageError(
                f"the {label} holds the character U+{ord(character):04X}",
                hint="remove line breaks, control characters and marks that change the direction of text",
            )
    return value
