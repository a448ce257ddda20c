"""The keys of a store: those that were never delivered, that the profile would not permit, or with weak hashes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime

from keyctl.doctor.finding import Finding
from keyctl.hashing import DEFAULT, Argon2id
from keyctl.store import examination
from keyctl.store.database import Database, Store
from keyctl.store.examination import Found
from keyctl.times import format_duration, format_time, from_milliseconds

# OWASP's Password Storage Cheat Sheet: KiB of memory and passes, each pair as strong as the others.
FLOOR = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
_ARGON2 = re.compile(r"\$argon2id\$v=19\$m=(?P<memory>\d{1,8}),t=(?P<passes>\d{1,4}),p=", re.ASCII)


def undelivered(database: Database, *, now: datetime) -> Iterator[Finding]:
    """Look for keys that may exist nowhere but here: neither a delivery nor a use is recorded."""
    with database.read() as connection:
        found = examination.undelivered(connection, now=now)
    for row in found.rows:
        prefix, old = _typed(row[0]), row[1]
        what, finish, otherwise = "a key may not have been delivered", "", f"keyctl revoke {prefix}"
        if old is not None:
            what = f"a rotation of {old} was not finished"
            finish, otherwise = f", then keyctl revoke {_typed(old)}", f"keyctl rotate {_typed(old)} --yes"
        record = "keyctl verify --record --key-file FILE"
        yield Finding(what, str(row[0]), f"if you have it: {record}{finish}; if not: {otherwise}")
    yield from _more(found)


def owners(store: Store, *, now: datetime) -> Iterator[Finding]:
    """Look for keys without an owner, where the profile requires one."""
    if not store.profile.owners.required:
        return
    with store.read() as connection:
        found = examination.without_owner(connection, now=now)
    for (prefix,) in found.rows:
        replace = f"keyctl mint --owner HANDLE; once that is in use: keyctl revoke {_typed(prefix)}"
        yield Finding("a key has no owner, and the profile requires one", str(prefix), replace)
    yield from _more(found)


def expiry(store: Store, *, now: datetime) -> Iterator[Finding]:
    """Look for keys that live longer than the profile permits."""
    maximum = store.profile.lifetime.maximum
    if maximum is None:
        return
    with store.read() as connection:
        found = examination.outliving(connection, maximum, now=now)
    for prefix, created, expires in found.rows:
        born = _moment(created)
        fix = f"keyctl rotate {_typed(prefix)}"
        if born is not None and born + maximum > now:
            fix = f"keyctl expire {_typed(prefix)} --to {format_time(born + maximum)}"
        yield Finding(
            f"a key lives longer than {format_duration(maximum)}, the profile's maximum",
            f"{prefix}, which expires {f'at {_time(expires)}' if expires is not None else 'never'}",
            fix,
        )
    yield from _more(found)


def rotation(store: Store, *, now: datetime) -> Iterator[Finding]:
    """Look for keys that are older than the profile wants keys to be when they are rotated."""
    every = store.profile.lifetime.rotate_every
    if every is None:
        return
    with store.read() as connection:
        found = examination.older_than(connection, every, now=now)
    for prefix, created in found.rows:
        yield Finding(
            f"a key was not rotated within {format_duration(every)}, as the profile wants",
            f"{prefix}, created at {_time(created)}",
            f"keyctl rotate {_typed(prefix)}",
        )
    yield from _more(found)


def hashes(store: Store, *, now: datetime) -> Iterator[Finding]:
    """Look for Argon2id below OWASP's minimum, in the store's settings and in the hashes of valid keys."""
    own = store.hash_parameters
    below = "Argon2id below OWASP's minimum"
    if isinstance(own, Argon2id) and _is_weak(own.memory_kib, own.passes):
        raise_it = f"keyctl db hash --argon2 m={DEFAULT.memory_kib},t={DEFAULT.passes},p={DEFAULT.lanes}"
        yield Finding(f"new keys are hashed with {below}", str(own), raise_it)
    with store.read() as connection:
        schemes = examination.hash_schemes(connection, now=now)
    for scheme, count, prefix in schemes:
        match = _ARGON2.match(scheme)
        if match and _is_weak(int(match["memory"]), int(match["passes"])):
            yield Finding(
                f"{'a key is' if count == 1 else f'{count:,} keys are'} hashed with {below}",
                f"{scheme.rpartition('$')[2]}: {prefix}{'' if count == 1 else ' and others'}",
                f"keyctl rotate {_typed(prefix)}; or use keyctl verify --record, which replaces a hash weaker than new ones",
            )


def _is_weak(memory_kib: int, passes: int) -> bool:
    return not any(memory_kib >= memory and passes >= least for memory, least in FLOOR)


def _more(found: Found) -> Iterator[Finding]:
    if rest := found.total - len(found.rows):
        yield Finding(f"there are {rest:,} more such keys", None, "fix these first, then: keyctl doctor")


def _typed(prefix: object) -> str:
    """Return a prefix as an argument: a row that was altered must not put a command into what is typed."""
    return shlex.quote(str(prefix))


def _moment(milliseconds: object) -> datetime | None:
    """Return a time of a row; None if that was altered and is none."""
    try:
        return from_milliseconds(milliseconds)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return None


def _time(milliseconds: object) -> str:
    moment = _moment(milliseconds)
    return format_time(moment) if moment else "an unknown time"
