"""ULIDs: identifiers that sort by their time of creation.

Source: the ULID specification, https://github.com/ulid/spec. 48 bits of Unix milliseconds, then
80 random bits, in Crockford's base 32.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import lru_cache

from keyctl.times import to_milliseconds

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


def ulids(now: datetime, count: int) -> list[str]:
    """Return `count` ULIDs of one instant, ascending, as the specification's monotonic factory makes them."""
    # The top random bit stays clear, so that counting upwards never overflows into the time.
    first = (to_milliseconds(now) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS - 1)
    return [_encode(first + i) for i in range(count)]


def _encode(value: int) -> str:
    # ULIDs of one call share all digits but the last few.
    return _digits(value >> 20, 22) + "".join([_CROCKFORD[(value >> shift) & 31] for shift in (15, 10, 5, 0)])


@lru_cache(maxsize=4)
def _digits(value: int, length: int) -> str:
    return "".join(_CROCKFORD[(value >> 5 * i) & 31] for i in reversed(range(length)))
