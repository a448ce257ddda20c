"""Imports keys from other programs and stores: all of them in one transaction, or none.

A first pass checks every line and keeps what is accepted in a spool; a second one writes it. Keys that are given as
text are hashed in the first one, and are in no file, message or event.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from keyctl import foreign_hashes
from keyctl.admin.hash_scheme import check_pepper
from keyctl.admin.import_owners import ImportedOwners
from keyctl.admin.import_rules import ImportRules, Refusal
from keyctl.admin.import_spool import Accepted, Spool
from keyctl.audit import KEYS_PER_EVENT, key_entry, key_state
from keyctl.errors import Refused, UsageError
from keyctl.exchange.lines import Line
from keyctl.exchange.records import KeyLine, OwnerLine, read_line
from keyctl.hashing import Sha256
from keyctl.models import Actor, EventContent, Key
from keyctl.pepper import Peppers
from keyctl.store import counters, events, keys, removals, settings
from keyctl.store.database import Connection, Store
from keyctl.store.setting_names import SettingName
from keyctl.text import counted
from keyctl.times import utc_now

MOST_REFUSALS = 1000  # lines, after which the rest is not read
_SHOWN = 100  # of them
_BATCH = 500
_MOST_SCHEMES = 8  # each of them is computed whenever a key is refused


@dataclass(frozen=True)
class ImportOptions:
    """How lines are to be read. A line's own `hash_format` and `hash_of` go before these.

    `hash_pepper` is the id of a foreign pepper. With `create_owner`, an owner that does not exist is added, of the
    profile's default kind. `texts_refused` is why lines may not hold keys themselves, if they may not.
    """

    hash_format: str | None = None
    hash_of: str | None = None
    hash_pepper: str | None = None
    create_owner: bool = False
    texts_refused: str | None = None


@dataclass(frozen=True)
class Imported:
    """How many keys and owners were imported, or would be."""

    keys: int
    owners: int


class KeyImporter:
    """Imports keys. `clock` returns the current time, aware and in UTC; `on_lines` is called with the
    number of lines of each part that was checked.

    Raises Refused with every line that is refused and why, and PepperMissing; then nothing was changed.
    """

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        peppers: Peppers | None = None,
        clock: Callable[[], datetime] = utc_now,
        on_lines: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._store = store
        self._actor = actor
        self._peppers = peppers
        self._clock = clock
        self._on_lines = on_lines
        self._revoked: set[str] | None = None  # prefixes of removed keys that were revoked
        self.read_texts = False  # whether a line had a key itself

    def run(
        self, lines: Iterable[Line], options: ImportOptions, *, reason: str | None = None, dry_run: bool = False
    ) -> Imported:
        """Import the keys and owners of `lines`. With `dry_run`, everything is checked, and nothing is changed."""
        now = self._clock()
        if options.hash_pepper is not None:
            self._require_foreign_pepper(options.hash_pepper)
        with closing(Spool()) as spool:
            rules = ImportRules(self._store, options, now)
            owners = ImportedOwners(self._store, self._actor, now, create=options.create_owner)
            refusals, schemes = self._check(lines, rules, owners, spool)
            if refusals:
                raise _refused(refusals)
            if not spool.count and not owners.new:
                raise UsageError("there is no key in the file", hint="one line is one key; see: keyctl help import")
            return self._store_all(spool, owners, schemes, now, reason=reason, dry_run=dry_run)

    # ── the first pass ───────────────────────────────────────────────────────────────────────────────────────────

    def _check(
        self, lines: Iterable[Line], rules: ImportRules, owners: ImportedOwners, spool: Spool
    ) -> tuple[list[Refusal], list[str]]:
        refusals: list[Refusal] = []
        schemes: dict[str, None] = {}
        source = iter(lines)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while batch := list(islice(source, _BATCH)):
                refusals += self._check_batch(batch, rules, owners, spool, schemes, pool)
                self._on_lines(len(batch))
                if len(refusals) >= MOST_REFUSALS:
                    break
        return sorted(refusals), list(schemes)

    def _check_batch(
        self,
        batch: Sequence[Line],
        rules: ImportRules,
        owners: ImportedOwners,
        spool: Spool,
        schemes: dict[str, None],
        pool: ThreadPoolExecutor,
    ) -> Iterator[Refusal]:
        found: list[tuple[int, KeyLine, Key]] = []
        for line in batch:
            try:
                if line.fault is not None:
                    raise ValueError(line.fault)
                read = read_line(line.values, now=rules.now)
                if isinstance(read, OwnerLine):
                    owners.add(read)
                else:
                    found.append((line.number, read, rules.key(read)))
            except (ValueError, UsageError, Refused) as error:
                yield rules.refusal(line.number, error)
        owners.look_up(read.owner for _, read, _ in found if read.owner is not None)
        with self._store.read() as connection:
            taken = keys.taken(connection, {key.prefix for _, _, key in found})
            ended = {key.prefix for _, _, key in found if key.revoked_at is None} & self._ended(connection)
        hashed = self._hash({number: read.text for number, read, _ in found if read.text is not None}, pool)
        for number, read, key in found:
            try:
                if key.prefix in taken:
                    raise ValueError(f"the store has a key with the prefix {key.prefix}")
                if key.prefix in ended:
                    raise ValueError(f"{key.prefix} was revoked here before it was removed: it stays revoked")
                owner = owners.find(read.owner) if read.owner is not None else None
                checked = rules.checked(key, owner)
                phc = hashed[number] if read.text is not None else key.phc
                if foreign_hashes.is_foreign(phc):
                    scheme = foreign_hashes.parse(phc).scheme
                    self._add_scheme(scheme, schemes)
                if (first := spool.add(Accepted(number, replace(checked, phc=phc), read.owner))) is not None:
                    raise ValueError(f"line {first} has the same prefix, {key.prefix}")
            except (ValueError, UsageError, Refused) as error:
                yield rules.refusal(number, error)

    def _ended(self, connection: Connection) -> set[str]:
        if self._revoked is None:
            self._revoked = removals.revoked_prefixes(connection)
        return self._revoked

    def _hash(self, texts: Mapping[int, str], pool: ThreadPoolExecutor) -> dict[int, str]:
        """Return the hash of each key by its line. Argon2 runs on all cores: it releases the interpreter's lock."""
        if not texts:
            return {}
        self.read_texts = True
        parameters = self._store.hash_parameters
        check_pepper(parameters, self._peppers)
        run = map if isinstance(parameters, Sha256) else pool.map
        return dict(zip(texts, run(lambda text: parameters.hash(text, self._peppers), texts.values()), strict=True))

    def _add_scheme(self, scheme: str, schemes: dict[str, None]) -> None:
        known = dict.fromkeys((*self._store.foreign_hashes, *schemes))
        if scheme not in known and len(known) >= _MOST_SCHEMES:
            raise ValueError(
                f"its hash is of a scheme more than {_MOST_SCHEMES}: {scheme}, besides {', '.join(known)}; "
                "each is computed whenever a key is refused"
            )
        schemes[scheme] = None

    def _require_foreign_pepper(self, pepper: str) -> None:
        probe = foreign_hashes.ForeignHash(0, "append", pepper, "", "")
        foreign_hashes.mixed(b"", probe, self._peppers)

    # ── the second pass ──────────────────────────────────────────────────────────────────────────────────────────

    def _store_all(
        self,
        spool: Spool,
        owners: ImportedOwners,
        schemes: Sequence[str],
        now: datetime,
        *,
        reason: str | None,
        dry_run: bool,
    ) -> Imported:
        def work(connection: Connection) -> int:
            created = owners.create(connection, reason=reason)
            extra = self._note_schemes(connection, schemes)
            for batch in spool.batches(KEYS_PER_EVENT):
                made = self._insert(connection, batch, owners, now)
                detail = {**_detail(made), **extra}
                events.append(connection, EventContent(now, self._actor, "key.imported", reason, detail))
                extra = {}
            return created

        created = self._store.write(work, dry_run=dry_run)
        if schemes and not dry_run:
            self._store.reload()
        return Imported(spool.count, created)

    def _insert(
        self, connection: Connection, batch: Sequence[Accepted], owners: ImportedOwners, now: datetime
    ) -> list[Key]:
        if taken := keys.taken(connection, [one.key.prefix for one in batch]):
            raise Refused(f"another process added a key with the prefix {min(taken)}", hint="retry the command")
        owner_ids = owners.ids(connection, {one.owner for one in batch if one.owner is not None})
        new_ids = counters.new_ids(connection, "key", self._store.profile.key_ids, now=now, count=len(batch))
        made = [
            replace(
                one.key,
                id=key_id,
                lineage=key_id,
                owner_id=owner_ids[one.owner] if one.owner is not None else None,
                created_by=str(self._actor),
                delivered_at=one.key.created_at,
            )
            for key_id, one in zip(new_ids, batch, strict=True)
        ]
        keys.add(connection, made)
        return made

    def _note_schemes(self, connection: Connection, schemes: Sequence[str]) -> dict[str, Any]:
        kept = json.loads(settings.read(connection).get(SettingName.FOREIGN_HASHES, "[]"))
        wanted = [*dict.fromkeys([*kept, *schemes])]
        if wanted == kept:
            return {}
        return settings.change(connection, {SettingName.FOREIGN_HASHES: json.dumps(wanted)})


def _detail(made: Sequence[Key]) -> dict[str, Any]:
    """Return how an event records new keys: what all of them have in common is there once."""
    states = [key_state(key) for key in made]
    common = {name: value for name, value in states[0].items() if all(one[name] == value for one in states)}
    entries = [
        key_entry(key) | {"set": {name: value for name, value in state.items() if name not in common}}
        for key, state in zip(made, states, strict=True)
    ]
    return {"keys": entries, "set": common}


def _refused(refusals: Sequence[Refusal]) -> Refused:
    count = counted(len(refusals), "line is refused", "lines are refused")
    shown = "".join(f"\n  line {one.line}: {one.reason}" for one in refusals[:_SHOWN])
    rest = len(refusals) - _SHOWN
    more = f"\n  and {rest:,} more" if rest > 0 else ""
    stopped = "\n  the rest of the file was not read" if len(refusals) >= MOST_REFUSALS else ""
    return Refused(
        f"{count}, and nothing was imported{shown}{more}{stopped}", hint="correct these lines; see: keyctl help import"
    )
