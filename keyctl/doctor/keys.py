"""The keys of a store: those that were never delivered, that the profile would not permit, or with weak hashes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime

from keyctl.doctor.finding import Finding
from keyctl.hashing import DEFAULT, Argon2id, Scheme
from keyctl.store import examination, keys
from keyctl.store.database import Database, Store
from keyctl.store.examination import Found
from keyctl.times import format_duration, format_time, from_milliseconds

# OWASP's Password Storage Cheat Sheet: KiB of memory and passes, each pair as strong as the others.
FLOOR = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))


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


def limits(store: Store) -> Iterator[Finding]:
    """Look for owners whose keys have no rate limits, where the profile requires them."""
    plans = store.profile.plans
    if not store.profile.limits.required:
        return
    own = [plan.name for plan in plans.values() if plan.limits_from == "owner"]
    with store.read() as connection:
        found = examination.without_limits(connection, list(plans), own)
    for handle, plan in found.rows:
        missing = "--attr limits=5000/1h" if plan in own else "--plan PLAN"
        what = "an owner has no rate limits, and the profile requires them"
        yield Finding(what, str(handle), f"keyctl owner update {_typed(handle)} {missing}")
    yield from _more(found, "owners")


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
        end = "never expires" if expires is None else f"expires at {_time(expires)}"
        what = f"a key {end}, and lives longer than {format_duration(maximum)}, the profile's maximum"
        yield Finding(what, str(prefix), fix)
    yield from _more(found)


def rotation(store: Store, *, now: datetime) -> Iterator[Finding]:
    """Look for keys that are older than the profile wants keys to be when they are rotated."""
    every = store.profile.lifetime.rotate_every
    if every is None:
        return
    with store.read() as connection:
        found = examination.older_than(connection, every, now=now)
    for prefix, created in found.rows:
        what = f"a key of {_time(created)} was not rotated within {format_duration(every)}, as the profile wants"
        yield Finding(what, str(prefix), f"keyctl rotate {_typed(prefix)}")
    yield from _more(found)


def hashes(store: Store, *, now: datetime) -> Iterator[Finding]:
    """Look for Argon2id below OWASP's minimum, in the store's settings and in the hashes of valid keys."""
    own = store.hash_parameters
    if _is_weak(own):
        stronger = f"m={DEFAULT.memory_kib},t={DEFAULT.passes},p={DEFAULT.lanes}"
        what = "new keys are hashed with Argon2id below OWASP's minimum"
        yield Finding(what, str(own), f"keyctl db hash --argon2 {stronger}")
    with store.read() as connection:
        for scheme in keys.count_by_scheme(connection, now=now):
            if isinstance(scheme, Argon2id) and _is_weak(scheme):
                yield from _weakly_hashed(examination.hashed_with(connection, scheme, now=now), scheme)


def _weakly_hashed(found: Found, scheme: Argon2id) -> Iterator[Finding]:
    replace = "keyctl verify --record --key-file FILE, if new keys have a stronger hash"
    for (prefix,) in found.rows:
        what = f"a key is hashed with Argon2id below OWASP's minimum: {scheme}"
        yield Finding(what, str(prefix), f"keyctl rotate {_typed(prefix)}; or {replace}")
    yield from _more(found)


def _is_weak(scheme: Scheme) -> bool:
    return isinstance(scheme, Argon2id) and not any(
        scheme.memory_kib >= memory and scheme.passes >= passes for memory, passes in FLOOR
    )


def _more(found: Found, what: str = "keys") -> Iterator[Finding]:
    if rest := found.total - len(found.rows):
        yield Finding(f"there are {rest:,} more such {what}", None, "fix these first, then: keyctl doctor")


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
