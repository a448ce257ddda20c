"""`keyctl prune`, on stores whose keys ended in the past."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from keyctl.admin.pruning import Pruner
from keyctl.admin.restore import open_backup, restore
from keyctl.cli.commands import prune
from keyctl.cli.context import CommandContext, Settings
from keyctl.models import Status
from keyctl.store import usage
from keyctl.store.backup import back_up
from keyctl.store.database import Store
from keyctl.store.integrity import check
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Filters, Selection
from keyctl.times import utc_now
from keyctl.verifier import Verifier
from tests.cli.helpers import changes_nothing, dump, execute, location, mint, refused, with_profile
from tests.runner import Cli
from tests.stores import ACTOR, Clock, Opened, new_store, used

YEAR = ("--older-than", "365d")


@dataclass
class Aged:
    """A store in which two keys ended more than a year ago, at the test's clock and at the machine's."""

    opened: Opened
    cli: Cli
    live: str
    revoked: str
    expired: str
    recent: str
    texts: dict[str, str]

    def prune(self, **how: object) -> list[str]:
        pruner = Pruner(self.opened.store, ACTOR, clock=self.opened.clock)
        return [one.prefix for one in pruner.remove(Filters(), timedelta(days=365), **how)]  # type: ignore[arg-type]


@pytest.fixture
def aged(opened: Opened, cli: Cli) -> Aged:
    cli.env["KEYCTL_STORE"] = opened.store.location.url
    opened.clock.now -= timedelta(days=800)
    minted = [
        *opened.mint(owner="acme", name="live", expires="never"),
        *opened.mint(owner="acme", name="revoked"),
        *opened.mint(name="expired", expires="30d"),
        *opened.mint(name="recent"),
    ]
    live, revoked, expired, recent = (one.record.key.prefix for one in minted)
    opened.clock.advance(days=1)
    opened.admin.revoke(Selection.named(revoked), reason="leaked")
    opened.clock.advance(days=500)
    opened.admin.revoke(Selection.named(recent))
    opened.clock.advance(days=1)
    return Aged(opened, cli, live, revoked, expired, recent, {one.record.key.prefix: one.text for one in minted})


def prefixes(aged: Aged) -> set[str]:
    rows = dump(aged.cli) or {}
    return {row[1] for row in rows["keys"]}


# ── what is removed ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_that_ended_long_ago_are_removed_and_their_history_stays(aged: Aged):
    aged.prune(reason="a year has passed")

    assert prefixes(aged) == {aged.live, aged.recent}
    [event] = aged.cli("audit", "list", "--json", "--limit", "1", check=0).json["events"]
    assert (event["action"], event["reason"]) == ("key.removed", "a year has passed")
    assert [set(entry) for entry in event["detail"]["keys"]] == [{"id", "prefix", "hash", "was"}] * 2
    assert aged.cli("audit", "verify", check=0).out.startswith("intact: ")
    history = aged.cli("audit", "list", "--key", aged.revoked, "--jsonl", check=0).out
    assert len(history.splitlines()) == 4
    assert '"reason":"leaked"' in history


def test_the_command_previews_asks_and_names_what_it_removed(aged: Aged):
    unasked = changes_nothing(aged.cli, "prune", *YEAR, code=4, says="confirmation required: remove 3 keys")
    assert "standard input is not a terminal: add --yes" in unasked.err
    planned = changes_nothing(aged.cli, "prune", *YEAR, "--dry-run", says="would remove 3 keys (1 expired, 2 revoked)")
    assert planned.out == ""

    shown = aged.cli.tty("prune", *YEAR, talk=[("remove 3 keys? [y/N] ", "y\n")], check=0).out
    assert "keyctl: in the store " in shown

    assert f"removed {aged.revoked}" in shown
    assert prefixes(aged) == {aged.live}
    changes_nothing(aged.cli, "prune", *YEAR, "--yes", says="no key ended more than 365d ago: nothing was changed")


def test_status_and_owner_select_and_the_answer_has_one_shape(aged: Aged):
    expired = aged.cli("prune", *YEAR, "--status", "expired", "--yes", "--json", check=0).json
    revoked = aged.cli("prune", *YEAR, "--owner", "acme", "--yes", "--jsonl", check=0).json

    assert [(one["prefix"], one["status"], one["owner"]) for one in expired["keys"]] == [
        (aged.expired, "expired", None)
    ]
    assert (revoked["prefix"], revoked["owner"]) == (aged.revoked, "acme")
    assert revoked.keys() == {"id", "prefix", "owner", "status", "ended_at"}
    assert prefixes(aged) == {aged.live, aged.recent}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--older-than", "365d", "--status", "active"], "active keys cannot be removed"),
        (["--older-than", "365d", "--status", "revoked,locked"], "locked keys cannot be removed"),
        (["--older-than", "365d", "--status", "revokd"], 'did you mean "revoked"?'),
        (["--older-than", "23h"], "--older-than 23h is shorter than 24h"),
        (["--older-than", "365d", "--below"], "--below requires --owner"),
        ([], "--older-than is required"),
    ],
)
@pytest.mark.sqlite
def test_what_may_still_be_valid_cannot_be_removed(aged: Aged, args: list[str], says: str):
    refused(aged.cli, "prune", *args, "--yes", code=2, says=says)


def test_the_recorded_use_of_removed_keys_goes_and_that_of_others_stays(aged: Aged):
    now = aged.opened.clock()
    ids = {row[1]: row[0] for row in (dump(aged.cli) or {})["keys"]}
    for then in (now - timedelta(days=400), now):  # counted by the day, and by the hour
        uses = used(ids[aged.live], then) | used(ids[aged.revoked], then, code="KEY_REVOKED")
        aged.opened.store.write(partial(usage.add, uses=uses, now=now, keep_hours=24 * 30))

    aged.prune()

    rows = dump(aged.cli) or {}
    assert {row[1] for name in ("usage_hours", "usage_days") for row in rows[name]} == {ids[aged.live]}
    assert len(rows["usage_days"]) == len(rows["usage_hours"]) == 1


def test_it_is_all_or_nothing(aged: Aged):
    before = dump(aged.cli)

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aged.prune(on_removed=fail)

    assert dump(aged.cli) == before


def test_a_thousand_keys_are_one_event(opened: Opened, cli: Cli):
    cli.env["KEYCTL_STORE"] = opened.store.location.url
    opened.clock.now -= timedelta(days=800)
    opened.mint(count=1001, expires="1d")
    opened.clock.advance(days=500)
    steps: list[int] = []

    removed = Pruner(opened.store, ACTOR, clock=opened.clock).remove(
        Filters(statuses=(Status.EXPIRED,)), timedelta(days=365), on_removed=steps.append
    )

    events = cli("audit", "list", "--action", "key.removed", "--json", check=0).json["events"]
    assert [len(event["detail"]["keys"]) for event in events] == [1, 1000]
    assert (len(removed), steps) == (1001, [1000, 1])
    assert check(opened.store).fault is None


def test_what_became_old_enough_after_it_was_shown_is_not_removed(opened: Opened):
    opened.clock.now -= timedelta(days=800)
    opened.mint(expires="1d")
    opened.mint(expires="2d")
    opened.clock.advance(days=366, hours=1)
    pruner = Pruner(opened.store, ACTOR, clock=opened.clock)
    shown = pruner.preview(Filters(), timedelta(days=365), examples=5)
    opened.clock.advance(days=10)

    removed = pruner.remove(Filters(), timedelta(days=365), before=shown.before)

    assert [one.prefix for one in removed] == shown.first


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_removed_key_is_unknown_and_its_history_is_hinted_at(aged: Aged):
    aged.prune()

    with closing(Verifier(aged.opened.store)) as verifier:
        decision = verifier.verify(aged.texts[aged.revoked])
    assert (decision.code, decision.record) == ("INVALID_API_KEY", None)
    result = refused(aged.cli, "show", aged.revoked, code=3, says=f"the key {aged.revoked} was removed at ")
    assert f"keyctl audit list --key {aged.revoked}" in result.err
    refused(aged.cli, "show", aged.revoked[:-1] + "~", code=3, says="no key ")


def test_the_owner_of_a_removed_key_still_has_its_events(aged: Aged):
    before = aged.cli("audit", "list", "--owner", "acme", "--json", check=0).json["events"]

    aged.prune()

    after = aged.cli("audit", "list", "--owner", "acme", "--json", check=0).json["events"]
    assert [event["action"] for event in after[:1]] == ["key.removed"]
    assert after[1:] == before


def test_the_chain_of_a_rotation_names_a_removed_key(opened: Opened, cli: Cli):
    cli.env["KEYCTL_STORE"] = opened.store.location.url
    opened.clock.now -= timedelta(days=800)
    [first] = opened.mint()
    second = opened.rotate(first.record.key.prefix, grace=timedelta(0))
    opened.clock.advance(days=500)

    Pruner(opened.store, ACTOR, clock=opened.clock).remove(Filters(), timedelta(days=365))

    shown = cli("show", second.record.key.prefix, "--json", check=0).json
    assert shown["replaces"] == shown["lineage"] == first.record.key.id
    refused(cli, "show", first.record.key.id, code=3, says=f"the key {first.record.key.prefix} was removed")
    third = opened.rotate(second.record.key.prefix)
    assert third.record.key.lineage == first.record.key.id
    assert check(opened.store).fault is None
    cli("bundle", "key", "--create", check=0)
    cli("bundle", "export", "./keys.bundle", check=0)
    with closing(
        Verifier.from_bundle(cli.cwd / "keys.bundle", trust=[cli("bundle", "key", check=0).out.strip()])
    ) as verifier:
        assert verifier.verify(third.text)
        assert not verifier.verify(first.text)


@pytest.mark.sqlite
def test_serial_ids_are_not_used_again(cli: Cli):
    with_profile(cli, '[ids]\nkey = "serial"\n')
    cli("revoke", mint(cli)["prefix"], check=0)

    with closing(Store(StoreLocation.parse(location(cli)))) as store:
        removed = Pruner(store, ACTOR, clock=Clock(utc_now() + timedelta(days=400))).remove(
            Filters(), timedelta(days=365)
        )
        assert (len(removed), check(store).fault) == (1, None)

    assert mint(cli)["id"] == "2"


# ── tampering ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_revoked_key_that_was_removed_cannot_be_imported_as_a_valid_one(aged: Aged):
    aged.cli("export", "--out", "keys.jsonl", check=0)
    lines = [json.loads(line) for line in (aged.cli.cwd / "keys.jsonl").read_text().splitlines()]
    [line] = [one for one in lines if one.get("prefix") == aged.revoked]
    aged.prune()
    (aged.cli.cwd / "edited.jsonl").write_text(json.dumps(line | {"revoked_at": None}) + "\n")

    refused(aged.cli, "import", "edited.jsonl", code=4, says=[aged.revoked, "it stays revoked"])


def test_a_removed_key_that_reappears_is_found(aged: Aged):
    rows = dump(aged.cli) or {}
    execute(aged.cli, "create table aside as select * from keys")
    aged.prune()
    execute(aged.cli, "insert into keys select * from aside where prefix = :one", one=aged.revoked)
    execute(aged.cli, "drop table aside")

    fault = check(aged.opened.store).fault

    assert len(rows["keys"]) == 4
    assert fault is not None
    assert f"key {aged.revoked} " in fault
    assert "is in the store, but event" in fault


def test_a_key_that_is_gone_without_an_event_is_still_found(aged: Aged):
    aged.prune()
    execute(aged.cli, "delete from keys where prefix = :one", one=aged.recent)

    assert check(aged.opened.store).faults == (f"key {aged.recent} is in the history, but missing from the store",)


def test_a_row_that_was_altered_to_be_removed_is_found_afterwards(aged: Aged):
    execute(aged.cli, "update keys set revoked_at = 1000, revoked_reason = 'x' where prefix = :one", one=aged.live)

    assert aged.live in aged.prune()

    faults = " ".join(check(aged.opened.store).faults)
    assert f"key {aged.live} was altered outside keyctl before event" in faults
    assert "which had not ended" in faults


def test_a_checkpoint_from_before_and_one_from_after_hold(aged: Aged):
    aged.cli("bundle", "key", "--create", check=0)
    (aged.cli.cwd / "before").write_text(aged.cli("audit", "checkpoint", check=0).out)
    aged.prune()
    verify = ("audit", "verify", "--json", "--checkpoint")

    assert aged.cli(*verify, "before", check=0).json["intact"]
    resumed = aged.cli(*verify, "before", "--resume", check=0).json
    assert (resumed["intact"], resumed["since"]) == (True, 1)  # read in full: the event has not the whole row
    (aged.cli.cwd / "after").write_text(aged.cli("audit", "checkpoint", check=0).out)
    aged.opened.admin.lock(Selection.named(aged.live))
    resumed = aged.cli(*verify, "after", "--resume", check=0).json
    assert (resumed["intact"], resumed["since"] > 1) == (True, True)


# ── backups ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_an_older_backup_brings_no_removed_key_back(aged: Aged):
    backup = aged.cli.cwd / "backup.db"
    back_up(aged.opened.store, backup)
    aged.prune()

    with open_backup(backup) as opened:
        done = restore(opened, aged.opened.store.location, ACTOR, now=aged.opened.clock())

    assert (sorted(done.removed), done.repaired, done.changes_store) == (
        sorted([aged.revoked, aged.expired]),
        [],
        False,
    )
    assert prefixes(aged) == {aged.live, aged.recent}
    assert check(aged.opened.store).fault is None


@pytest.mark.sqlite
def test_a_newer_backup_removes_what_it_no_longer_has(aged: Aged):
    old = aged.cli.cwd / "old.db"
    back_up(aged.opened.store, old)
    aged.prune()
    new = aged.cli.cwd / "new.db"
    back_up(aged.opened.store, new)
    target = new_store(aged.cli.cwd / "target.db")
    target.store.close()
    (aged.cli.cwd / "target.db").write_bytes(old.read_bytes())
    aged.cli.env["KEYCTL_STORE"] = str(aged.cli.cwd / "target.db")

    answer = aged.cli("db", "restore", new, "--yes", "--json", check=0)

    assert sorted(answer.json["removed"]) == sorted([aged.revoked, aged.expired])
    assert "removed by keyctl prune, and not restored" in answer.err
    assert prefixes(aged) == {aged.live, aged.recent}
    aged.cli("audit", "verify", check=0)


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_the_file_shrinks(opened: Opened, cli: Cli):
    cli.env["KEYCTL_STORE"] = str(opened.path)
    opened.clock.now -= timedelta(days=800)
    opened.mint(count=600, expires="1d")
    before = opened.path.stat().st_size

    kept = cli("prune", *YEAR, "--status", "expired", "--yes", "--no-vacuum", "--dry-run", check=0)
    assert (kept.out, opened.path.stat().st_size) == ("", before)
    shrunk = cli("prune", *YEAR, "--yes", check=0)

    assert len(shrunk.out.splitlines()) == 600
    after = opened.path.stat().st_size
    assert after < 0.8 * before
    assert f"{opened.path} has {after / 1e6:.1f} MB, and had " in shrunk.err
    cli("audit", "verify", check=0)


@pytest.mark.sqlite
def test_that_the_file_cannot_shrink_is_only_a_warning(aged: Aged, capsys: pytest.CaptureFixture[str]):
    aged.prune()
    context = CommandContext()
    context.settings = Settings(store=str(aged.opened.path), wait="0")

    with closing(sqlite3.connect(aged.opened.path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select 1 from keys").fetchone()
        prune._shrink(context, Pruner(context.store, ACTOR))
    context.close()

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"keyctl: warning: the keys are removed, but {aged.opened.path} could not be made smaller: ")
    assert "is busy" in err


@pytest.mark.postgres
def test_a_server_uses_the_space_again_by_itself(aged: Aged):
    if aged.opened.store.location.file is None:
        assert "autovacuum" in aged.cli("prune", *YEAR, "--yes", check=0).err
