"""A key format as a regular expression: for whole keys, and for prefixes, anywhere in a text.

Of tags that begin alike, the longest that fits is matched: a prefix before other text may then be read too long.

The expressions are ASCII, have no groups that capture, and mean the same to Python's `re` (for str and for bytes), RE2,
Rust's `regex` and PCRE. They say nothing of what may precede or follow: the caller adds that. They do not check a
checksum: `KeyFormat.parse` does.
"""

from __future__ import annotations

import re

from keyctl.keyformat import KeyFormat


def key_expression(key_format: KeyFormat) -> str:
    """Return an expression that matches every text of the shape of a whole key, and no other."""
    return "".join(_of_part(key_format, kind, value) for kind, value in key_format.parts)


def prefix_expression(key_format: KeyFormat) -> str:
    """Return an expression that matches every text of the shape of a prefix, and no other."""
    end = key_format.parts.index(("field", "prefix")) + 1
    return "".join(_of_part(key_format, kind, value) for kind, value in key_format.parts[:end])


def character_class(characters: str) -> str:
    """Return an expression for one of `characters`."""
    # Ranges only of letters and digits, and a hyphen at the end: `+--`, `[[` or `~~` mean something else to some
    # engines, and to Python some day.
    simple = sorted(one for one in characters if one.isalnum() or one == "_")
    special = sorted(set(characters) - set(simple) - {"-"})
    ranges: list[str] = []
    for one in simple:
        last = ranges[-1][-1] if ranges else "_"
        if one.isalnum() and last.isalnum() and ord(one) == ord(last) + 1:
            ranges[-1] += one
        else:
            ranges.append(one)
    text = "".join(one if len(one) < 3 else f"{one[0]}-{one[-1]}" for one in ranges)
    return f"[{text}{''.join(map(_escape, special))}{'-' if '-' in characters else ''}]"


def _of_part(key_format: KeyFormat, kind: str, value: str) -> str:
    if kind == "text":
        return _escape(value)
    if value in ("env", "scope"):
        return _one_of(key_format.choices(value))
    random = key_format.random_field(value)
    lengths = f"{random.length}" if random.least == random.length else f"{random.least},{random.length}"
    return f"{character_class(random.characters)}{{{lengths}}}"


def _one_of(tags: tuple[str, ...]) -> str:
    # The longest first: of two tags that begin alike, most engines take the first one that matches.
    texts = [_escape(tag) for tag in sorted(filter(None, tags), key=lambda tag: (-len(tag), tag))]
    if len(texts) == 1 and "" not in tags:
        return texts[0]
    return f"(?:{'|'.join(texts)})" + ("?" if "" in tags else "")


def _escape(text: str) -> str:
    # Python's own also escapes `-` and `~`, which some engines refuse.
    return re.escape(text).replace(r"\-", "-").replace(r"\~", "~")
