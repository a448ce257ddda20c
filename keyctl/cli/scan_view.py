"""How a scan reports what it found: by prefix, never by key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from keyctl.cli.columns import Column
from keyctl.cli.json_objects import key_object
from keyctl.cli.output import Output
from keyctl.text import counted

if TYPE_CHECKING:
    from datetime import datetime

    from keyctl.leaks import Leak
    from keyctl.profiles.model import Profile
    from keyctl.scanning.places import Collected, Place

_MOST_NAMED = 20


class Row(NamedTuple):
    """One place of one key."""

    leak: Leak
    place: Place


COLUMNS: Sequence[Column[Row]] = [
    Column("status", lambda row: str(row.leak.status), rank=1, status=True),
    Column("prefix", lambda row: row.leak.record.key.prefix, kept=True, code=True),
    Column("owner", lambda row: row.leak.record.owner.handle if row.leak.record.owner else "", least=5, rank=3),
    Column("secret", lambda row: str(row.leak.secret), rank=2),
    Column("where", lambda row: str(row.place), kept=True),
    Column("name", lambda row: row.leak.record.key.name or "", least=5, optional=True),
    Column("path", lambda row: row.place.path, optional=True),
    Column("line", lambda row: str(row.place.line or ""), optional=True),
    Column("column", lambda row: str(row.place.column or ""), optional=True),
    Column("encoding", lambda row: row.place.encoding, optional=True),
    Column("commit", lambda row: row.place.commit or "", optional=True, code=True),
]


def leak_object(leak: Leak, profile: Profile, *, now: datetime) -> dict[str, Any]:
    """Return a key that was found, with its places."""
    return {
        **key_object(leak.record, profile, now=now),
        "live": leak.live,
        "secret": str(leak.secret),
        "count": leak.count,
        "places": [place._asdict() for place in leak.places],
    }


def collected_object(collected: Collected, unknown: int) -> dict[str, Any]:
    """Return what was searched, and what was not."""
    return {"unknown": unknown, "files": collected.files, "bytes": collected.bytes, "unread": list(collected.unread)}


def warn_of_unread(output: Output, collected: Collected) -> None:
    for what in collected.unread[:_MOST_NAMED]:
        output.warn(f"not searched: {what}")
    if collected.unread_count > _MOST_NAMED:
        output.warn(f"not searched: {collected.unread_count - _MOST_NAMED:,} more")


def note_result(output: Output, leaks: Sequence[Leak], collected: Collected, unknown: int) -> None:
    """Note what else was found, what was left aside, and how much was searched."""
    from keyctl.leaks import Secret

    cut = sum(leak.count - len(leak.places) for leak in leaks if leak.live)
    if cut:
        output.note(f"{cut:,} more places of these keys are not listed")
    ended = _prefixes(leak for leak in leaks if not leak.live and leak.secret is not Secret.WRONG)
    if ended:
        output.note(
            f"also found: {counted(len(ended), 'key')} that {'is' if len(ended) == 1 else 'are'} revoked or expired"
        )
    wrong = sum(leak.count for leak in leaks if leak.secret is Secret.WRONG)
    if wrong:
        output.note(f"also found: {counted(wrong, 'text')} with the prefix of a live key, and another secret")
    if unknown:
        output.note(f"also found: {counted(unknown, 'key')} of the same form, not in this store")
    if collected.links:
        output.note(f"{counted(collected.links, 'symbolic link')} not followed")
    if collected.special:
        output.note(f"{counted(collected.special, 'pipe, socket or device', 'pipes, sockets or devices')} not read")
    for path in collected.repositories[:_MOST_NAMED]:
        output.note(f"{path} is a Git repository; to search its history: keyctl scan --git {path}")
    output.note(f"searched {counted(collected.files, 'file')}, {collected.bytes:,} bytes")


def _prefixes(leaks: Collection[Leak] | Any) -> set[str]:
    return {leak.record.key.prefix for leak in leaks}
