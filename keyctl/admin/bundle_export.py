"""Writes bundles of a store: as a stream, and renamed into place, so that a reader sees the old one or the new."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from keyctl import private_files
from keyctl.bundles.bundle import Header, key_row, owner_row
from keyctl.bundles.format import Reference, TableWriter, signed_bytes, to_json, write_first_line
from keyctl.bundles.signing import SigningKey
from keyctl.errors import UsageError
from keyctl.hashing import pepper_of
from keyctl.models import Actor, EventContent, Key, Owner
from keyctl.store import events, keys, owners, settings
from keyctl.store.database import Connection, Store
from keyctl.store.selection import Filters
from keyctl.store.setting_names import SettingName
from keyctl.times import format_time, to_milliseconds, truncate, utc_now

T = TypeVar("T")
_PAGE = 5000


class BundleExporter:
    """Exports bundles, each with its audit event: a revocation can then say until when an older bundle may be in use.

    `clock` returns the current time, aware and in UTC; `on_key` is called after each key.
    """

    def __init__(
        self,
        store: Store,
        actor: Actor,
        signing_key: SigningKey,
        *,
        clock: Callable[[], datetime] = utc_now,
        on_key: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._actor = actor
        self._signing_key = signing_key
        self._clock = clock
        self._on_key = on_key

    def export(
        self,
        path: Path,
        *,
        filters: Filters,
        described: Mapping[str, Any],
        valid_for: timedelta,
        with_names: bool = False,
        reason: str | None = None,
    ) -> Header:
        """Write a bundle to `path`, replacing what is there, and return its header.

        `described` is how the header describes `filters`. Rows are read in short transactions, so that writers do not
        wait: each is as new as the bundle's time, or newer. Raises UsageError if the file cannot be written.
        """
        now = truncate(self._clock())
        if not private_files.is_replaceable(path):
            raise UsageError(
                f"cannot write the bundle {path}: it is not a regular file, and is never replaced",
                hint="give a regular file, or /dev/stdout",
            )
        temporary = private_files.temporary_beside(path)
        try:
            private_files.create(_body_of(temporary)).close()  # before the audit log says that there is a bundle
            sequence = self._store.write(
                lambda connection: self._reserve(connection, now, valid_for, described, with_names, reason)
            )
            header = Header(
                store_id=self._store.settings[SettingName.STORE_ID],
                sequence=sequence,
                made_at=now,
                valid_until=now + valid_for,
                filter=described,
                with_names=with_names,
                rules=Reference("", 0, 0, ""),  # this and the tables are known once the body is written
                tables={},
            )
            return self._write(path, temporary, header, filters)
        except OSError as error:
            raise UsageError(f"cannot write the bundle {path}: {error.strerror}") from None
        finally:
            for left in (temporary, _body_of(temporary)):
                private_files.remove(left)

    def _reserve(
        self,
        connection: Connection,
        now: datetime,
        valid_for: timedelta,
        described: Mapping[str, Any],
        with_names: bool,
        reason: str | None,
    ) -> int:
        kept = settings.read(connection)
        # It rises, also where the store is an earlier copy.
        sequence = max(settings.number(kept, SettingName.BUNDLE_SEQUENCE) + 1, to_milliseconds(now))
        valid_until = format_time(now + valid_for)
        latest = max(kept.get(SettingName.BUNDLE_VALID_UNTIL, ""), valid_until)
        bundle = {
            "sequence": sequence,
            "valid_until": valid_until,
            "filter": dict(described),
            "with_names": with_names,
            "signer": self._signing_key.public_text,
        }
        detail = {"bundle": bundle} | settings.change(
            connection, {SettingName.BUNDLE_SEQUENCE: str(sequence), SettingName.BUNDLE_VALID_UNTIL: latest}
        )
        events.append(connection, EventContent(now, self._actor, "bundle.exported", reason, detail))
        return sequence

    def _write(self, path: Path, temporary: Path, header: Header, filters: Filters) -> Header:
        body_path = _body_of(temporary)
        with body_path.open("wb") as body:
            writer = TableWriter(body)
            only = None if filters == Filters() else set[str]()
            peppers = {self._store.hash_parameters.pepper}  # an unknown prefix costs a hash with it
            tables = {"keys": writer.write_table(self._key_rows(filters, header, only, peppers))}
            with_ancestors = self._with_ancestors(only) if only is not None else None
            tables["owners"] = writer.write_table(self._owner_rows(header, with_ancestors))
            tables["handles"] = writer.write_table(self._handle_rows(with_ancestors) if header.with_names else ())
            rules = writer.write_block("", to_json(self._rules()))
        header = replace(header, rules=rules, tables=tables, peppers=_lines(peppers))
        signed = to_json(header.to_dict())
        signature = self._signing_key.sign(signed_bytes(signed))
        line = write_first_line(self._signing_key.public_bytes, signature, signed)
        with private_files.create(temporary) as file, body_path.open("rb") as body:
            file.write(line)
            shutil.copyfileobj(body, file, 1024 * 1024)
            private_files.sync(file)
        temporary.replace(path)
        return header

    def _rules(self) -> dict[str, Any]:
        earlier = [key_format.to_dict() for key_format in self._store.formats[len(self._store.profile.formats) :]]
        return {
            "profile": self._store.profile.document,
            "hash": self._store.hash_parameters.to_dict(),
            "earlier_formats": earlier,
            **({"foreign_hashes": list(self._store.foreign_hashes)} if self._store.foreign_hashes else {}),
        }

    def _key_rows(
        self, filters: Filters, header: Header, owner_ids: set[str] | None, peppers: set[str | None]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        def page(connection: Connection, after: str) -> list[Key]:
            return keys.by_prefix(connection, filters, now=header.made_at, after=after, limit=_PAGE)

        for key in self._paged(page, lambda key: key.prefix):
            if owner_ids is not None and key.owner_id:
                owner_ids.add(key.owner_id)
            peppers.add(pepper_of(key.phc))
            yield key.prefix, key_row(key, with_names=header.with_names)
            self._on_key()

    def _owner_rows(self, header: Header, only: set[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
        for owner in self._owners("id", only):
            yield owner.id, owner_row(owner, self._store.profile, with_names=header.with_names)

    def _handle_rows(self, only: set[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
        for owner in self._owners("handle", only):
            yield owner.handle, {"id": owner.id}

    def _owners(self, by: str, only: set[str] | None) -> Iterator[Owner]:
        def page(connection: Connection, after: str) -> list[Owner]:
            return owners.page(connection, by=by, after=after, limit=_PAGE)

        for owner in self._paged(page, attrgetter(by)):
            if only is None or owner.id in only:
                yield owner

    def _paged(self, page: Callable[[Connection, str], list[T]], position: Callable[[T], str]) -> Iterator[T]:
        """Yield rows in the order of their positions. Each page is a transaction of its own, so that none is long."""
        after = ""
        while True:
            with self._store.read() as connection:
                rows = page(connection, after)
            yield from rows
            if len(rows) < _PAGE:
                return
            after = position(rows[-1])

    def _with_ancestors(self, owner_ids: set[str]) -> set[str]:
        with self._store.read() as connection:
            return owners.ids_with_ancestors(connection, owner_ids)


def _lines(peppers: set[str | None]) -> tuple[str, ...]:
    """Return the ids that a reader's pepper file must have, and `none` if some keys have a pepper and others none."""
    ids = sorted(one for one in peppers if one is not None)
    return (*ids, "none") if ids and None in peppers else tuple(ids)


def _body_of(temporary: Path) -> Path:
    return temporary.with_name(f"{temporary.name}.body")
