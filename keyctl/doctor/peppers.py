"""The peppers that the hashes of a store need, beside those of the pepper file in use."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from keyctl.doctor.finding import Finding
from keyctl.pepper import Peppers
from keyctl.store.database import Store
from keyctl.store.keys import count_by_scheme


def peppers(store: Store, given: Peppers | None, *, now: datetime) -> Iterator[Finding]:
    """Look for hashes of valid keys, and of new ones, that cannot be checked with the peppers that are given."""
    with store.read() as connection:
        schemes = count_by_scheme(connection, now=now)
    needed: Counter[str | None] = Counter({store.hash_parameters.pepper: 0})  # new keys count as none
    for scheme, number in schemes.items():
        if scheme is not None:  # a hash of no known scheme is a matter of the log
            needed[scheme.pepper] += number
    for pepper, number in needed.items():
        if not (pepper is None if given is None else given.accepts(pepper)):
            yield _missing(pepper, number, given)


def _missing(pepper: str | None, number: int, given: Peppers | None) -> Finding:
    keys = "a valid key has" if number == 1 else f"{number:,} valid keys have" if number else "new keys get"
    if pepper is None:
        replaced = "keyctl list --pepper none shows the keys to replace"
        fix = f"echo none >> {shlex.quote(str(given.path))}; {replaced}" if given else None
        return Finding(f"{keys} a hash without a pepper, which the pepper file does not accept", "none", fix)
    which = "which is not in the pepper file" if given else "and no pepper file is given"
    fix = f"copy the line of {pepper} into {given.path}" if given else "give the file: --pepper-file FILE"
    return Finding(f"{keys} a hash that needs a pepper, {which}", pepper, fix)
