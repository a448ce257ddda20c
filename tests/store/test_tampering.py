"""What is done to a store with SQL, before and after an ordinary command: found and named, at least by a checkpoint."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from keyctl.admin.bundle_export import BundleExporter
from keyctl.admin.hash_scheme import set_scheme
from keyctl.admin.keys import Update
from keyctl.admin.last_use import record_use
from keyctl.admin.minting import NewKey
from keyctl.admin.profile import ProfileAdmin
from keyctl.admin.token import AdminToken
from keyctl.audit import GENESIS, chain, key_entry
from keyctl.bundles.signing import SigningKey
from keyctl.errors import CheckFailed, KeyctlError, NotDelivered, StoreUnavailable
from keyctl.hashing import Sha256
from keyctl.history import Checkpoint
from keyctl.models import Actor, Event, EventContent, Key
from keyctl.profiles.model import read_profile
from keyctl.store import events as store_events
from keyctl.store import tables
from keyctl.store.integrity import check
from keyctl.store.keys import Filters
from keyctl.store.selection import Selection
from tests import postgres
from tests.stores import ACTOR, CHEAP, NOW, Kept, Opened
from tests.tampering import Saved, alter, fill

T = TypeVar("T")


class Scene:
    """A store in which something has happened, and a checkpoint of it."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        fill(opened)
        with opened.store.read() as connection:
            self.prefixes = {row.name: row.prefix for row in connection.execute(select(tables.keys))}
        self.saved = Saved(opened)
        self.renew_checkpoint()

    def renew_checkpoint(self) -> None:
        verdict = check(self.opened.store)
        assert verdict.fault is None
        self.checkpoint = Checkpoint(verdict.position, NOW)

    def run(self, statements: str) -> None:
        alter(self.opened, *statements.format(**self.prefixes).split("; "))

    def run_script(self, statements: str) -> None:
        if self.opened.store.location.file:
            with contextlib.closing(sqlite3.connect(self.opened.path)) as connection:
                connection.executescript(statements)
        else:
            postgres.run(self.opened.store.location.url, statements)

    def change_something(self) -> None:
        """Run ordinary commands, on what was altered and on what was not, as far as they can be run."""
        self.opened.clock.advance(hours=1)
        names = ("plain", "gone", "locked", "rotated", "rich")  # the last one has an owner, who may be missing
        changes: list[Callable[[], object]] = [
            self.opened.mint,
            lambda: self.opened.owners.update("acme", name="New"),
            *(
                partial(self.opened.admin.update, Selection.named(self.prefixes[name]), Update(name="new"))
                for name in names
            ),
        ]
        for change in changes:
            try:
                change()
            except StoreUnavailable:  # after ten attempts, so once is enough
                return
            except KeyctlError:
                continue

    def faults(self, *, resume: bool = False) -> str:
        try:
            verdict = check(self.opened.store, [self.checkpoint] if resume else [], resume=resume)
        except CheckFailed as error:
            return error.message
        return "\n".join(verdict.faults)


@pytest.fixture
def scene(opened: Opened) -> Iterator[Scene]:
    made = Scene(opened)
    yield made
    made.saved.close()


# What is done, and which words name it: one of several, where a later command makes another fault of it.
ANYWHERE = {
    "update events set reason = 'x' where seq = 5": "event 5 was altered",
    "delete from events where seq = 5": "event 5 is missing",
    "update events set seq = -seq where seq in (6, 7); update events set seq = 13 + seq where seq < 0": "event 6 does",
}
ROWS = {
    "update events set reason = 'x' where seq = 17": "event 17 was altered",
    "delete from events where seq = 17": "event 17 is missing",
    "insert into events select 18, 1, 'x', null, 'x', null, '{{}}', hash, hash from events where seq = 17": "event 18 ",
    (
        "delete from events where seq > 12;"
        " update audit_head set seq = 12, hash = (select hash from events where seq = 12)"
    ): "{rotated}",
    "update audit_head set seq = 16": "the log's head|event 17",
    f"update audit_head set hash = '{'0' * 64}'": "the log's head|event 18 does not follow",
    "delete from audit_head": "the log's head is missing",
    "insert into audit_head select 2, seq, hash from audit_head": "the log's head is missing, or there are several",
    "update keys set revoked_at = null, revoked_reason = null where prefix = '{gone}'": "{gone}",
    "update keys set locked_at = null, locked_until = null where prefix = '{locked}'": "{locked}",
    "update keys set scopes = '[\"read\",\"admin\"]' where prefix = '{rich}'": "{rich}",
    "update keys set expires_at = null where prefix = '{rich}'": "{rich}",
    "update keys set phc = (select phc from keys where prefix = '{plain}') where prefix = '{rich}'": "{rich}",
    f"update keys set phc = '{CHEAP.hash('a key of the attacker')}' where prefix = '{{plain}}'": "{plain}",
    (
        "update keys set prefix = 'x' where prefix = '{plain}'; update keys set prefix = '{plain}'"
        " where prefix = '{rich}'; update keys set prefix = '{rich}' where prefix = 'x'"
    ): "the prefix of key|prefix is",
    "update keys set id = 'key_x' where prefix = '{plain}'": "{plain}",
    "delete from keys where prefix = '{rich}'": "key {rich} is in the history, but missing from the store",
    (
        "insert into keys select 'key_x', 'kc_live_x', phc, name, owner_id, environment, scopes, allowed_ips, metadata,"
        " created_at, created_by, delivered_at, expires_at, locked_at, locked_until, revoked_at, revoked_reason,"
        " replaces, replaced_by, last_used_at, 'key_x' from keys where prefix = '{plain}'"
    ): "key kc_live_x (key_x)",
    "update owners set disabled_at = 1 where handle = 'below'": "owner below",
    "update owners set parent_id = null where handle = 'below'": "owner below",
    (
        "update owners set handle = 'x' where handle = 'acme'; update owners set handle = 'acme'"
        " where handle = 'below'; update owners set handle = 'below' where handle = 'x'"
    ): "owner below|owner acme",
    "delete from owners where handle = 'below'": "owner below is in the history, but missing from the store",
    "insert into owners select 'x', 'x', null, kind, null, null, '{{}}', 1, 'x', null from owners limit 1": "owner x",
    "update settings set value = '{{\"scheme\": \"sha256\"}}' where name = 'hash'": "the store's hash",
    "update settings set value = value || ' ' where name = 'profile'": "the store's profile",
    "update settings set value = 'store_x' where name = 'store_id'": "the store's store_id|is of the store",
    "delete from settings where name = 'profile'": "the store's profile",
    "insert into settings values ('admin_token', 'x')": "the store's admin_token",
    "insert into settings values ('planted', 'x')": "the store's planted",
    "insert into counters values ('key', 7)": "a counter of the store",
}
# What is planted, how it is removed, and which words name it.
TRIGGER = {
    "sqlite": "create trigger planted before update on keys begin select raise(ignore); end",
    "postgres": (
        "create function planted() returns trigger language plpgsql as 'begin return null; end';"
        " create trigger planted before update on keys for each row execute function planted()"
    ),
}
SCHEMA = {
    "sqlite": {
        "drop index ix_keys_prefix": ("create unique index ix_keys_prefix on keys (prefix)", "ix_keys_prefix on keys"),
        "drop index ix_owners_handle; create index ix_owners_handle on owners (handle)": (
            "drop index ix_owners_handle; create unique index ix_owners_handle on owners (handle)",
            "the index ix_owners_handle on owners is missing, or was altered",
        ),
        "alter table keys rename to genuine; create view keys as select * from genuine": (
            "drop view keys; alter table genuine rename to keys",
            "the view keys was added",
        ),
    },
    "postgres": {
        "create rule planted as on update to keys do instead nothing": (
            "drop rule planted on keys",
            "the rule planted on keys was added",
        ),
        "create policy planted on keys using (revoked_at is null)": (
            "drop policy planted on keys",
            "the policy planted on keys was added",
        ),
        "alter table keys enable row level security": (
            "alter table keys disable row level security",
            "the row-level security on keys was added",
        ),
    },
}


def planted(database: str) -> dict[str, tuple[str, str]]:
    trigger = {"sqlite": "drop trigger planted", "postgres": "drop function planted cascade"}[database]
    both = {TRIGGER[database]: (trigger, "the trigger planted on keys was added")}
    return both | SCHEMA["sqlite"] | (SCHEMA["postgres"] if database == "postgres" else {})


@pytest.mark.parametrize("when", ["before", "after"])
def test_rows_that_are_edited_deleted_reordered_or_inserted_are_named(scene: Scene, when: str):
    overlooked = []
    for statement, words in (ANYWHERE | ROWS).items():
        scene.run(statement)
        if when == "after":
            scene.change_something()

        faults = scene.faults(resume=True)
        if not faults:
            overlooked.append(statement)
            faults = scene.faults()
        assert any(one in faults for one in words.format(**scene.prefixes).split("|")), (statement, faults)
        scene.saved.put_back()
    assert overlooked == list(ANYWHERE)  # a resumed check does not read earlier events again, and says so
    assert scene.faults() == ""


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_planted_in_the_schema_or_taken_from_it_is_named(scene: Scene, database: str, when: str):
    for statements, (removal, words) in planted(database).items():
        scene.run_script(statements)
        if when == "after":
            scene.change_something()

        try:
            assert words in scene.faults(resume=True), statements
        finally:
            scene.run_script(removal)
            scene.saved.put_back()
    assert scene.faults() == ""


# ── a whole history that is consistent, and not the one that was ─────────────────────────────────────────────────────


def rewrite(opened: Opened, forge: Callable[[Event], EventContent]) -> None:
    """Write a new log, with hashes that fit, as an account can that may write to the database."""
    with opened.store.read() as connection:
        genuine = [row.content for row in store_events.every_as_written(connection) if row.content]
    forged: list[Event] = []
    for event in genuine:
        content = forge(event)
        plain = EventContent(content.at, content.actor, content.action, content.reason, content.detail)
        forged.append(chain(forged[-1].hash if forged else GENESIS, event.seq, plain))

    def write(connection: Connection) -> None:
        connection.execute(delete(tables.events))
        connection.execute(insert(tables.events), [store_events.encode(event) for event in forged])
        connection.execute(update(tables.audit_head).values(seq=forged[-1].seq, hash=forged[-1].hash))

    opened.store.write(write)


def never_revoked(scene: Scene) -> None:
    """Revive a revoked key, and make its event one that means nothing."""
    scene.run("update keys set revoked_at = null, revoked_reason = null where prefix = '{gone}'")
    harmless = {"action": "admin_token.refused", "detail": {}}
    rewrite(scene.opened, lambda event: replace(event, **harmless) if event.action == "key.revoked" else event)


def blamed_on_another(scene: Scene) -> None:
    rewrite(scene.opened, lambda event: replace(event, actor=Actor("another@host")))


def wider_from_the_start(scene: Scene) -> None:
    scene.run("update keys set scopes = '[\"read\",\"admin\"]' where prefix = '{rich}'")

    def forge(event: Event) -> Event:
        if event.detail.get("set", {}).get("scopes") != ["read"]:
            return event
        return replace(event, detail={**event.detail, "set": {**event.detail["set"], "scopes": ["read", "admin"]}})

    rewrite(scene.opened, forge)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("forge", [never_revoked, blamed_on_another, wider_from_the_start])
def test_a_rewritten_log_is_found_by_a_checkpoint_and_by_nothing_else(
    scene: Scene, forge: Callable[[Scene], None], when: str
):
    forge(scene)
    if when == "after":
        scene.change_something()

    assert check(scene.opened.store).fault is None
    for resume in (False, True):
        verdict = check(scene.opened.store, [scene.checkpoint], resume=resume)
        [fault] = verdict.faults
        assert fault.startswith("event 17 is not the one of the checkpoint of 2026-01-01T12:00:00Z: the log was rewri")


def test_a_store_rolled_back_is_found_by_a_checkpoint_and_by_nothing_else(scene: Scene):
    scene.opened.admin.revoke(Selection.named(scene.prefixes["plain"]))
    scene.opened.mint(count=5)
    scene.renew_checkpoint()

    scene.saved.put_back()

    assert check(scene.opened.store).fault is None
    for resume in (False, True):
        verdict = check(scene.opened.store, [scene.checkpoint], resume=resume)
        [fault] = verdict.faults
        assert fault.startswith("event 20 of the checkpoint of 2026-01-01T12:00:00Z is missing: the log was truncated")


def test_a_store_rolled_back_and_used_since_is_found_by_a_checkpoint_and_by_nothing_else(scene: Scene):
    scene.opened.admin.revoke(Selection.named(scene.prefixes["plain"]))
    scene.renew_checkpoint()
    scene.saved.put_back()

    scene.change_something()

    assert check(scene.opened.store).fault is None
    for resume in (False, True):
        fault = check(scene.opened.store, [scene.checkpoint], resume=resume).fault
        assert fault is not None
        assert fault.startswith("event 18 is not the one of the checkpoint of 2026-01-01T12:00:00Z")


# ── checkpoints of an untampered store ───────────────────────────────────────────────────────────────────────────────


def test_a_resumed_check_reads_only_later_events(scene: Scene):
    scene.change_something()

    verdict = check(scene.opened.store, [scene.checkpoint], resume=True)

    assert (verdict.fault, verdict.start) == (None, scene.checkpoint)
    assert verdict.events < check(scene.opened.store).events - 15
    assert verdict.position == check(scene.opened.store).position


def test_a_resumed_check_needs_no_earlier_event_whatever_was_changed(scene: Scene, tmp_path: Path):
    """What the sequences of changes in test_integrity leave out: hashes, the admin token, the profile and bundles."""
    opened, store = scene.opened, scene.opened.store
    set_scheme(store, ACTOR, Sha256())
    [minted] = opened.mint()
    scene.renew_checkpoint()
    token = AdminToken(store, ACTOR, clock=opened.clock)
    serial = read_profile({**store.profile.document, "ids": {"key": "serial", "owner": "serial"}}, source="test")
    exporter = BundleExporter(store, ACTOR, SigningKey.create(tmp_path / "key"), clock=opened.clock)
    for change in (
        lambda: set_scheme(store, ACTOR, CHEAP),
        lambda: record_use(store, ACTOR, minted.record, minted.text, now=opened.clock()),
        lambda: token.set("a password of mine"),
        lambda: token.rotate("another password of mine"),
        token.clear,
        lambda: exporter.export(tmp_path / "b", filters=Filters(), described={}, valid_for=timedelta(hours=1)),
        lambda: exporter.export(tmp_path / "b", filters=Filters(), described={}, valid_for=timedelta(hours=2)),
        lambda: ProfileAdmin(store, ACTOR, clock=opened.clock).apply(serial),
        lambda: opened.mint(count=3, owner="new"),
        scene.renew_checkpoint,
        lambda: opened.mint(count=2),
    ):
        change()
        store.reload()
        verdict = check(store, [scene.checkpoint], resume=True)
        assert (verdict.fault, verdict.start) == (None, scene.checkpoint)


@pytest.mark.parametrize("delivered", [True, False])
def test_a_checkpoint_may_come_between_a_key_and_its_delivery(scene: Scene, delivered: bool):
    class Signing(Kept):
        def hand_over(self) -> None:
            scene.renew_checkpoint()
            if not delivered:
                raise OSError(28, "No space left on device")

    with contextlib.nullcontext() if delivered else pytest.raises(NotDelivered):
        scene.opened.minter.mint(NewKey(), Signing(), count=2)

    verdict = check(scene.opened.store, [scene.checkpoint], resume=True)
    assert (verdict.fault, verdict.start, verdict.events) == (None, scene.checkpoint, 2)


def test_every_checkpoint_is_compared_and_a_resumed_check_starts_from_the_newest(scene: Scene):
    first = scene.checkpoint
    scene.change_something()
    scene.renew_checkpoint()
    second = scene.checkpoint
    wrong = replace(first, position=first.position._replace(hash="f" * 64))

    assert check(scene.opened.store, [second, first]).fault is None
    assert check(scene.opened.store, [second, first], resume=True).start == second
    assert "event 17 is not the one of" in (check(scene.opened.store, [second, wrong]).fault or "")


def test_a_checkpoint_of_another_store_is_an_error(scene: Scene):
    other = replace(scene.checkpoint, position=scene.checkpoint.position._replace(store_id="store_other"))

    for resume in (False, True):
        with pytest.raises(CheckFailed, match="is of the store store_other, and this is the store store_"):
            check(scene.opened.store, [other], resume=resume)


def test_states_that_are_not_those_of_the_checkpoint_are_read_again_in_full(scene: Scene):
    """Its digest may be of rows in another form; what all events say decides."""
    other = replace(scene.checkpoint, position=scene.checkpoint.position._replace(states="f" * 64))

    verdict = check(scene.opened.store, [other], resume=True)

    assert (verdict.fault, verdict.start) == (None, None)


@pytest.mark.torture(only=True)
@pytest.mark.sqlite
def test_a_resumed_check_takes_no_longer_with_a_million_earlier_events(
    opened: Opened, figure: Callable[[str, object], None]
):
    set_scheme(opened.store, ACTOR, Sha256())
    keys = [one.record.key for one in opened.mint(count=100_000)]
    rename_in_turn(opened, keys, times=1_000_000)
    took, whole = timed(lambda: check(opened.store))
    checkpoint = Checkpoint(whole.position, NOW)
    opened.admin.update(Selection.named(keys[7].prefix), Update(name="new"))

    took_resumed, resumed = timed(lambda: check(opened.store, [checkpoint], resume=True))

    assert (whole.fault, resumed.fault, resumed.start, resumed.events) == (None, None, checkpoint, 2)
    assert took_resumed < took / 3
    figure(f"audit verify of {whole.events:,} events and {whole.keys:,} keys, CPU seconds", round(took, 1))
    figure("the same with --resume from the last event, CPU seconds", round(took_resumed, 1))


def rename_in_turn(opened: Opened, keys: Sequence[Key], *, times: int) -> None:
    """Change the names of keys so many times, past KeyAdmin: with a commit for each change it would take hours."""
    prepared = [key_entry(key) for key in keys]

    def write(connection: Connection) -> None:
        seq, digest = store_events.head(connection) or (0, "")
        batch = []
        for i in range(times):
            turn, which = divmod(i, len(keys))
            renamed = {"set": {"name": str(turn)}, "was": {"name": str(turn - 1) if turn else None}}
            detail = {"keys": [{**prepared[which], **renamed}], "set": {}}
            event = chain(digest, seq + 1, EventContent(NOW, ACTOR, "key.updated", None, detail))
            seq, digest = event.seq, event.hash
            batch.append(store_events.encode(event))
            if len(batch) == 10_000 or i == times - 1:
                connection.execute(insert(tables.events), batch)
                batch.clear()
        connection.execute(update(tables.audit_head).values(seq=seq, hash=digest))
        connection.execute(update(tables.keys).values(name=str((times - 1) // len(keys))))

    opened.store.write(write)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the CPU time as well, in seconds: unlike the time of day, other processes hardly change it."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result
