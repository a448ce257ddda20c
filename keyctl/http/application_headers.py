"""Which headers of a request its application may see: none that say who the caller is, and none with a key. Pure.

Servers that turn the names of headers into variables (RFC 3875, 4.1.18) read several spellings as one name: some treat
`_` as `-`, others every character but letters and digits. Names are compared as the least exact server reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

from keyctl.profiles.http import HttpRules

_READ_ALIKE = bytes(byte if chr(byte).isascii() and chr(byte).isalnum() else ord("-") for byte in range(256)).lower()


class Withheld(NamedTuple):
    """The headers that an application does not get, by names as `read_alike` returns them.

    Attributes:
        identity: Those that say who the caller is. Only the profile's own, which are added later, may.
        credentials: Those that may hold a key, with their schemes in lower case; None is the whole value.
    """

    identity: frozenset[bytes]
    credentials: Mapping[bytes, frozenset[bytes] | None]

    def holds(self, name: bytes, value: bytes) -> bool:
        """Return whether a client's header is withheld. Of `Authorization`, only the schemes that hold keys are."""
        alike = read_alike(name)
        if alike in self.identity:
            return True
        if alike not in self.credentials:
            return False
        schemes = self.credentials[alike]
        # a server may have joined several values by commas
        return schemes is None or any(_first_word(part) in schemes for part in value.lower().split(b","))


def read_alike(name: bytes) -> bytes:
    """Return the one name for all spellings that some server reads alike: `X_Owner.Name` is `x-owner-name`."""
    return name.translate(_READ_ALIKE)


def withheld(rules: HttpRules) -> Withheld:
    """Return what an application does not get by a profile's rules for HTTP."""
    credentials: dict[bytes, frozenset[bytes] | None] = {}
    for credential in rules.credentials:
        name = read_alike(credential.header.encode())
        schemes = credentials.get(name, frozenset())
        if schemes is None or credential.scheme is None:
            credentials[name] = None
        else:
            credentials[name] = schemes | {credential.scheme.encode()}
    return Withheld(frozenset(read_alike(name.encode()) for name in rules.identity), credentials)


def drop_pattern(rules: HttpRules) -> str | None:
    """Return a regular expression for all spellings of the headers that a gateway must remove; None if there are none.

    A name must match as a whole, in any case. A gateway injects these headers itself.
    """
    names = [re.sub("[^0-9a-z]", "[^0-9A-Za-z]", name.lower()) for name in rules.identity]
    return "|".join(dict.fromkeys(names)) or None


def headers_to_drop(rules: HttpRules) -> tuple[str, ...]:
    """Return the names of `drop_pattern` for a gateway that cannot match patterns: with `-` and `_` alone.

    Those are the spellings that servers read alike most often; all of them would be thousands.
    """
    return tuple(dict.fromkeys(spelling for own in rules.identity for spelling in _spellings(own)))


def _spellings(name: str) -> list[str]:
    first, *parts = name.split("-")
    marks = product("-_", repeat=len(parts))
    return [first + "".join(mark + part for mark, part in zip(chosen, parts, strict=True)) for chosen in marks]


def _first_word(value: bytes) -> bytes:
    return (value.split(None, 1) or [b""])[0]
