"""What is done to the recorded use of keys: counting the reports in files, and forgetting a recorder. Not audited."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from keyctl.errors import NotFound, Refused, UsageError, suggestion
from keyctl.regular_files import open_regular
from keyctl.store import usage
from keyctl.store.database import Connection, Store
from keyctl.store.usage import Applied
from keyctl.text import brief
from keyctl.times import describe_relative, format_time, from_milliseconds
from keyctl.usage.recorders import CLOCKS_APART
from keyctl.usage.report import HOUR, LONGEST_LINE, Report, from_line

_TOGETHER = 1000  # reports that are counted at a time


def import_reports(store: Store, files: Sequence[Path], *, now: datetime, dry_run: bool = False) -> Applied:
    """Count the reports in files, each of them once: those of all files, or none. `-` is standard input.

    Raises UsageError for a file that cannot be read, Refused for one with a line that is cut off, of another store, or
    from the future.
    """
    store_id, keep_hours = store.store_id, store.profile.usage_keep_hours
    standard_input = sys.stdin.buffer.read() if Path("-") in files else b""

    def work(connection: Connection) -> Applied:
        done = Applied(0, 0, 0)
        for path in files:
            reports = _reports(path, standard_input, store_id, now)
            while some := list(islice(reports, _TOGETHER)):
                counted = usage.apply(connection, some, now=now, keep_hours=keep_hours, from_file=True)
                done = Applied(*map(sum, zip(done, counted, strict=True)))
        return done

    return store.write(work, dry_run=dry_run)


def forget_recorder(store: Store, name: str, *, now: datetime, dry_run: bool = False) -> int:
    """Expect no more reports of a recorder; what it counted stays. Return how many processes it had.

    Raises NotFound for an unknown one, and Refused for one that reports.
    """

    def work(connection: Connection) -> int:
        known = usage.instances(connection)
        those = [one for one in known if one.name == name]
        if not those:
            hint = suggestion(name, {one.name for one in known}, otherwise="see: keyctl usage recorders")
            raise NotFound(f'no recorder "{brief(name)}"', hint=hint)
        newest = max(those, key=lambda one: one.reported_at)
        if newest.is_reporting(now):
            last = describe_relative(newest.reported_at, now=now)
            raise Refused(f"the recorder {name} is reporting, and did so {last}", hint="close it first")
        usage.forget(connection, name)
        return len(those)

    return store.write(work, dry_run=dry_run)


def _reports(path: Path, standard_input: bytes, store_id: str, now: datetime) -> Iterator[Report]:
    """Yield the reports of a file. Raises UsageError and Refused, which name the line."""
    with closing(_open(path, standard_input)) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            where = f"line {number} of {path}"
            if not line.endswith(b"\n"):
                raise Refused(
                    f"{where} is cut off, and nothing was counted",
                    hint=f"to count the lines before it: head -n {number - 1} {path} | keyctl usage import -",
                )
            try:
                report = from_line(line)
            except ValueError as error:
                raise Refused(
                    f"{where} cannot be counted: {error}; nothing was counted",
                    hint="give files that Recorder.to_file wrote; see: keyctl help usage",
                ) from None
            if report.store_id != store_id:
                raise Refused(
                    f"{where} is about keys of the store {brief(report.store_id)}, and this is {store_id}: "
                    "nothing was counted",
                    hint="give the files of this store, or another --store",
                )
            _refuse_future(report, where, now)
            yield report


def _refuse_future(report: Report, where: str, now: datetime) -> None:
    latest = max([report.until, *(use.last_used or 0 for use in report.keys.values())])
    hour = max((hour for use in report.keys.values() for hour in use.hours), default=0)
    moment = from_milliseconds(max(latest, hour * HOUR))
    if moment > now + CLOCKS_APART:
        raise Refused(
            f"{where} is from the future ({format_time(moment)}), and nothing was counted",
            hint="set the clock of the machine that recorded it, or of this one",
        )


def _open(path: Path, standard_input: bytes) -> BinaryIO:
    if path == Path("-"):
        return io.BytesIO(standard_input)
    try:
        return open_regular(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"the file {path} cannot be read: {reason}") from None
