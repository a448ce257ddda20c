"""Finds keys where none belongs: in arguments, variables, paths and queries."""

from __future__ import annotations

import re
from functools import lru_cache

from keyctl.keyformat import MINIMUM_SECRET_BITS, KeyFormat, character_class

_ENOUGH = 8  # characters of a secret: fewer are of no use to anyone
_LONGEST_WORD = 15
_WORD = re.compile(r"[A-Za-z]?([a-z]*|[A-Z]*)[0-9]*", re.ASCII)  # or a date


@lru_cache(maxsize=64)
def exposed_pattern(key_format: KeyFormat) -> re.Pattern[str]:
    """Return what finds a prefix and the start of a secret: a key, whole or truncated, in upper or lower case."""
    if not key_format.recognizable:
        return _whole_key(key_format)
    rest = key_format.after_prefix()
    more = re.escape(rest[0]) if rest else character_class(key_format.secret.characters)
    return re.compile(f"{_without_groups(key_format, prefix_only=True)}{more}.*", re.ASCII | re.IGNORECASE | re.DOTALL)


def length_exposed_in(key_format: KeyFormat, text: str) -> int:
    """Return the length of `text` from the first key on, whole or truncated, in any case; 0 if it has none.

    A prefix followed by a word or a date, as in `PREFIX_old`, is not a key. Of a format without a fixed beginning, only
    a whole key is one.
    """
    if not key_format.recognizable:
        found = _whole_key(key_format).search(text)
        return len(text) - found.start() if found else 0
    for match in _exposed_key(key_format).finditer(text):
        if not all(map(_is_word, re.split("[._~:-]", match["secret"]))):
            return len(text) - match.start()
    return 0


def length_of_secret_in(key_format: KeyFormat, text: str) -> int:
    """Return the length of a whole secret that is in `text` without its prefix; 0 if there is none.

    Only secrets with digits and letters of both cases are recognised: others look like digests and ids. So do short
    ones, which only other programs make.
    """
    if key_format.secret.bits < MINIMUM_SECRET_BITS:
        return 0
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
    secret, whole = character_class(key_format.secret.characters), key_format.secret.expression
    after = key_format.expression().partition(f"(?P<secret>{whole})")[2]
    return re.compile(f"(?<!{secret}){whole}{after}(?!{secret})", re.ASCII)


@lru_cache(maxsize=64)
def _whole_key(key_format: KeyFormat) -> re.Pattern[str]:
    """Return what finds whole keys of a format without a fixed beginning: a shorter part looks like any other text.

    Where the alphabet has digits and letters of both cases, so must the secret: names of files have none, or a digest.
    """
    one = character_class(key_format.secret.characters)
    kinds = [kind for kind in ("0-9", "A-Z", "a-z") if re.search(f"[{kind}]", key_format.secret.characters)]
    mixed = "".join(f"(?={one}*[{kind}])" for kind in kinds)
    whole = _without_groups(key_format)
    head = whole[: len(whole) - len(f"(?:{key_format.secret.expression})")]
    return re.compile(f"(?<![0-9A-Za-z]){head}{mixed}{key_format.secret.expression}(?![0-9A-Za-z])", re.ASCII)


def _without_groups(key_format: KeyFormat, *, prefix_only: bool = False) -> str:
    return re.sub(r"[?]P<[a-z]+>", "?:", key_format.expression(prefix_only=prefix_only))


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST_WORD and bool(_WORD.fullmatch(text))
