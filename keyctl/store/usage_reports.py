"""Writes the reports of a recorder to a store."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from keyctl.store import usage
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.setting_names import SettingName
from keyctl.times import describe_relative, utc_now
from keyctl.usage.recorders import Instance
from keyctl.usage.report import Report


class StoreDestination:
    """A store that reports are written to. `warn` is called with a message if another recorder has the same name.

    Raises StoreUnavailable, ConfigurationInvalid and UsageError as Store does.
    """

    def __init__(self, url: str, *, warn: Callable[[str], object]) -> None:
        self._store = Store(StoreLocation.parse(url))
        self._warn = warn
        self.store_id: str | None = self._store.settings[SettingName.STORE_ID]

    def write(self, report: Report) -> None:
        now = utc_now()
        self._store.refresh(now)  # the profile says how long hours are kept

        def work(connection: Connection) -> list[Instance]:
            keep_hours = self._store.profile.usage_keep_hours
            usage.apply(connection, [report], now=now, keep_hours=keep_hours)
            return usage.instances(connection, report.recorder.name) if report.sequence == 1 else []

        for other in self._store.write(work):
            if other.host != report.recorder.host and other.is_reporting(now):
                last = describe_relative(other.reported_at, now=now)
                self._warn(
                    f"another recorder has the name {other.name}, and last reported {last} ({other.place}): "
                    "unless both are processes of one service, give each a name of its own"
                )

    def close(self) -> None:
        self._store.close()
