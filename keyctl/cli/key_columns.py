"""The columns of a list of keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from keyctl.cli.columns import Column
from keyctl.models import Key, KeyRecord
from keyctl.times import describe_relative, format_time


def key_columns(now: datetime) -> list[Column[KeyRecord]]:
    """Return all columns of keys. On a narrow terminal the environment goes first, and the prefix never."""

    def time(name: str, of: Callable[[Key], datetime | None], *, none: str = "", **how: object) -> Column[KeyRecord]:
        """Return a column with a time: relative for people, exact for programs, which read `none` if there is none."""

        def plain(record: KeyRecord) -> str:
            moment = of(record.key)
            return format_time(moment) if moment else none

        def shown(record: KeyRecord) -> str:
            moment = of(record.key)
            return describe_relative(moment, now=now) if moment else never.get(name, "")

        return Column(name, plain, shown, **how)  # type: ignore[arg-type]

    never = {"expires": "never", "used": "never"}
    return [
        Column("prefix", lambda record: record.key.prefix, kept=True, code=True),
        Column("name", lambda record: record.key.name or "", least=5, rank=2),
        Column("owner", lambda record: record.owner.handle if record.owner else "", least=5, rank=4),
        Column("env", lambda record: record.key.environment, rank=8),
        Column("scopes", lambda record: ",".join(record.key.scopes), least=5, rank=6),
        Column("status", lambda record: str(record.status(now)), rank=0, status=True),
        time("expires", lambda key: key.expires_at, none="never", rank=5),
        time("used", lambda key: key.last_used_at, rank=7),
        time("created", lambda key: key.created_at, rank=3, wide=True),
        Column("id", lambda record: record.key.id, rank=1, wide=True, code=True),
        Column("created-by", lambda record: record.key.created_by, least=8, optional=True),
        Column("allowed-ips", lambda record: ",".join(record.key.allowed_ips), least=8, optional=True),
        Column("metadata", lambda record: _pairs(record.key), least=8, optional=True),
        time("locked-until", lambda key: key.locked_until if key.locked(now) else None, optional=True),
        time("revoked", lambda key: key.revoked_at, optional=True),
        Column("reason", lambda record: record.key.revoked_reason or "", least=8, optional=True),
        Column("replaces", lambda record: record.key.replaces or "", optional=True, code=True),
        Column("replaced-by", lambda record: record.key.replaced_by or "", optional=True, code=True),
    ]


def _pairs(key: Key) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(key.metadata.items()))
