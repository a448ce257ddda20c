"""Finds keys where none belongs: in arguments, variables, paths and queries."""

from __future__ import annotations

import re
from functools import lru_cache

from keyctl.keyformat import KeyFormat, character_class

_ENOUGH = 8  # characters of a secret: fewer are of no use to anyone
_LONGEST_WORD = 15
_WORD = re.compile(r"[A-Za-z]?([a-z]*|[A-Z]*)[0-9]*", re.ASCII)  # or a date


@lru_cache(maxsize=64)
def exposed_pattern(key_format: KeyFormat) -> re.Pattern[str]:
    """Return what finds a prefix and the start of a secret: a key, whole or truncated, in upper or lower case."""
    rest = key_format.after_prefix()
    more = re.escape(rest[0]) if rest else character_class(key_format.secret.characters)
    return re.compile(f"{_without_groups(key_format, prefix_only=True)}{more}.*", re.ASCII | re.IGNORECASE | re.DOTALL)


def length_exposed_in(key_format: KeyFormat, text: str) -> int:
    """Return the length of `text` from the first key on, whole or truncated, in any case; 0 if it has none.

    A prefix followed by a word or a date, as in `PREFIX_old`, is not a key.
    """
    for match in _exposed_key(key_format).finditer(text):
        if not all(map(_is_word, re.split("[._~:-]", match["secret"]))):
            return len(text) - match.start()
    return 0


def length_of_secret_in(key_format: KeyFormat, text: str) -> int:
    """Return the length of a whole secret that is in `text` without its prefix; 0 if there is none.

    Only secrets with digits and letters of both cases are recognised: others look like digests and ids.
    """
    for match in _bare_secret(key_format).finditer(text):
        if all(any(map(kind, match[0])) for kind in (str.isdigit, str.isupper, str.islower)):
            return len(match[0])
    return 0


@lru_cache(maxsize=64)
def _exposed_key(key_format: KeyFormat) -> re.Pattern[str]:
    head = _without_groups(key_format, prefix_only=True) + re.escape(key_format.after_prefix())
    secret = f"(?P<secret>{character_class(key_format.secret.characters)}{{{_ENOUGH},}})"
    return re.compile(head + secret, re.ASCII | re.IGNORECASE)


@lru_cache(maxsize=64)
def _bare_secret(key_format: KeyFormat) -> re.Pattern[str]:
    secret = character_class(key_format.secret.characters)
    whole = f"{secret}{{{key_format.secret.length}}}"
    after = key_format.expression().partition(f"(?P<secret>{whole})")[2]
    return re.compile(f"(?<!{secret}){whole}{after}(?!{secret})", re.ASCII)


def _without_groups(key_format: KeyFormat, *, prefix_only: bool = False) -> str:
    return re.sub(r"[?]P<[a-z]+>", "?:", key_format.expression(prefix_only=prefix_only))


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST_WORD and bool(_WORD.fullmatch(text))
