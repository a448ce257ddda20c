"""`${…}` in the headers and bodies of a profile's responses.

In a JSON body a placeholder inside a string is escaped for it; elsewhere it becomes a whole JSON value. In a header it
becomes printable ASCII, and a header with a placeholder that has no value is omitted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_STRING_OR_PLACEHOLDER = re.compile(r'"(?:[^"\\]|\\.)*"|\$\{[^}]*\}', re.DOTALL)
_SPACED = re.compile(r"[:,]\s")
_ATTRIBUTE = re.compile(r"owner\.attributes\.[A-Za-z0-9_-]+")
_PRINTABLE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"  # besides letters and digits; not %
# What a placeholder may name. `key.text` exists only in `minted`.
NAMES = (
    "code",
    *("key.id", "key.text", "key.prefix", "key.name", "key.environment", "key.scopes", "key.primary_scope"),
    *("key.created_at", "key.expires_at"),
    *("owner.id", "owner.handle", "owner.name", "owner.kind", "owner.plan"),
    *("scopes", "missing_scope", "limit.requests", "limit.seconds", "retry_after"),
)


class PlaceholderError(ValueError):
    """A placeholder of an unknown name."""


def check_names(template: str) -> None:
    """Raise PlaceholderError for an unknown name."""
    for name in _PLACEHOLDER.findall(template):
        if name not in NAMES and not _ATTRIBUTE.fullmatch(name):
            raise PlaceholderError(f"${{{name}}} is not known: {', '.join(NAMES)}, owner.attributes.NAME")


def fill_json(template: str, facts: Mapping[str, Any]) -> str:
    """Fill a JSON body. A value that is absent is null, or empty inside a string.

    The values have a space after each comma and colon if the body has one after any.
    """
    spaced = _SPACED.search(_STRING_OR_PLACEHOLDER.sub("", template))
    separators = (", ", ": ") if spaced else (",", ":")

    def inside(match: re.Match[str]) -> str:
        return json.dumps(_as_text(facts.get(match[1])), ensure_ascii=False)[1:-1]

    def replace(match: re.Match[str]) -> str:
        if match[0].startswith('"'):
            return _PLACEHOLDER.sub(inside, match[0])
        return json.dumps(facts.get(match[0][2:-1]), ensure_ascii=False, separators=separators)

    return _STRING_OR_PLACEHOLDER.sub(replace, template)


def fill_header(template: str, facts: Mapping[str, Any]) -> str | None:
    """Fill a header's value: printable ASCII, everything else percent-encoded as UTF-8. None if a value is absent."""
    names: list[str] = _PLACEHOLDER.findall(template)
    if any(facts.get(name) is None for name in names):
        return None

    def encode(match: re.Match[str]) -> str:
        return quote(_as_text(facts[match[1]]), safe=_PRINTABLE)

    return _PLACEHOLDER.sub(encode, template)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
