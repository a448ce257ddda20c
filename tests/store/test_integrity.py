from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.admin.bundle_export import BundleExporter
from keyctl.admin.delivery import Delivery
from keyctl.admin.hash_scheme import set_scheme
from keyctl.admin.keys import ScopeChange, Update
from keyctl.admin.last_use import record_use
from keyctl.admin.owners import NewOwner
from keyctl.admin.token import AdminToken
from keyctl.bundles.signing import SigningKey
from keyctl.errors import KeyctlError, NotDelivered, StoreUnavailable
from keyctl.hashing import Sha256
from keyctl.history import Checkpoint
from keyctl.models import Key, Owner
from keyctl.store import keys, usage
from keyctl.store.database import Store
from keyctl.store.integrity import check
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Filters, Selection
from tests import postgres
from tests.fuzzing import examples
from tests.runner import Cli
from tests.stores import ACTOR, CHEAP, Kept, Opened, new_store, used
from tests.tampering import alter, fill, tamper

KEY_COLUMNS = sorted(set(Key.__dataclass_fields__) - {"last_used_at"})
OWNER_COLUMNS = sorted(Owner.__dataclass_fields__)
EVENT_COLUMNS = ["seq", "at", "actor", "claimed_actor", "action", "reason", "detail", "previous_hash", "hash"]
TIMES = {"at", "created_at", "delivered_at", "expires_at", "locked_at", "locked_until", "revoked_at", "disabled_at"}
LISTS = {"scopes": '["admin"]', "allowed_ips": '["0.0.0.0/0"]', "metadata": '{"x":"y"}', "attributes": '{"x":"y"}'}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    opened = new_store(tmp_path_factory.mktemp("filled") / "store.db")
    fill(opened)
    opened.store.close()
    return opened.path.read_bytes()


@pytest.fixture
def store_file(tmp_path: Path, filled: bytes) -> Path:
    path = tmp_path / "store.db"
    path.write_bytes(filled)
    return path


def fault(cli: Cli, path: Path) -> str:
    """Return what `audit verify` finds, which must be something."""
    result = cli("audit", "verify", "--store", path, check=9)
    assert result.out == ""
    told = json.loads(cli("audit", "verify", "--json", "--store", path, check=9).out)
    assert told["intact"] is False
    assert result.err.startswith(f"keyctl: error: {told['fault']}\n")
    assert told["faults"][0] == told["fault"]
    return told["fault"]


def other_values(column: str) -> list[str]:
    """Values that a column may be set to, as SQL: another plausible one, NULL where there may be none, and nonsense."""
    if column in TIMES:
        return ["1700000000000", "'soon'", "1.5"]
    if column in LISTS:
        return [f"'{LISTS[column]}'", "'[[[['", f"{column} || ' '"]
    return ["'tampered'"]


KEY_TAMPERING = [(column, value) for column in KEY_COLUMNS for value in other_values(column)]
OWNER_TAMPERING = [(column, value) for column in OWNER_COLUMNS for value in other_values(column)]
EVENT_TAMPERING = [
    (column, value) for column in EVENT_COLUMNS for value in (["77"] if column == "seq" else other_values(column))
]


def test_an_untouched_store_is_intact(cli: Cli, store_file: Path):
    result = cli("audit", "verify", "--store", store_file, check=0)

    assert result.out == "intact: 17 events, 6 keys, 2 owners\n"


@pytest.mark.parametrize(("column", "value"), KEY_TAMPERING)
def test_a_column_of_a_key_altered_by_hand_is_found(cli: Cli, store_file: Path, column: str, value: str):
    tamper(store_file, f"update keys set {column} = {value} where name = 'rich'")

    told = fault(cli, store_file)

    assert "key " in told
    if column not in {"id", "prefix", "phc"} and value not in {"'soon'", "1.5", "'[[[['", f"{column} || ' '"}:
        assert f"was altered outside keyctl: {column} is " in told


@pytest.mark.parametrize(("column", "value"), OWNER_TAMPERING)
def test_a_column_of_an_owner_altered_by_hand_is_found(cli: Cli, store_file: Path, column: str, value: str):
    tamper(store_file, f"update owners set {column} = {value} where handle = 'acme'")

    assert "owner " in fault(cli, store_file)


@pytest.mark.parametrize("column", ["name", "owner_id", "expires_at"])
def test_a_value_taken_away_is_found(cli: Cli, store_file: Path, column: str):
    tamper(store_file, f"update keys set {column} = null where name = 'rich'")

    assert f"was altered outside keyctl: {column} is null, and should be " in fault(cli, store_file)


@pytest.mark.parametrize("column", ["revoked_at", "revoked_reason"])
def test_a_revocation_taken_back_is_found(cli: Cli, store_file: Path, column: str):
    tamper(store_file, f"update keys set {column} = null where name = 'gone'")

    assert f"{column} is null, and should be " in fault(cli, store_file)


@pytest.mark.parametrize(("column", "value"), EVENT_TAMPERING)
@pytest.mark.parametrize("seq", [1, 5, 17])
def test_an_event_altered_by_hand_is_named(cli: Cli, store_file: Path, seq: int, column: str, value: str):
    tamper(store_file, f"update events set {column} = {value} where seq = {seq}")

    assert f"event {seq} " in fault(cli, store_file)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("delete from events where seq = 1", "event 1 is missing"),
        ("delete from events where seq = 5", "event 5 is missing"),
        ("delete from events where seq = 17", "event 17 is missing"),
        ("delete from events where seq > 3", "event 4 is missing"),
        ("delete from events", "event 1 is missing"),
        ("delete from keys where name = 'rich'", "is in the history, but missing from the store"),
        ("delete from keys where name = 'gone'", "is in the history, but missing from the store"),
        ("delete from owners where handle = 'acme'", "owner acme is in the history, but missing from the store"),
        ("update settings set value = value || ' ' where name = 'profile'", "profile was altered"),
        ("update settings set value = replace(value, 'read', 'raed') where name = 'profile'", "profile was altered"),
        ("update settings set value = 'nonsense' where name = 'profile'", "profile was altered"),
        ("update settings set value = '{}' where name = 'profile'", "profile was altered"),
        ("delete from settings where name = 'profile'", "profile"),
        ("update settings set value = replace(value, '\"passes\": 1', '\"passes\": 2') where name = 'hash'", "hash"),
        ("update settings set value = 'nonsense' where name = 'hash'", "hash"),
        ("delete from settings where name = 'hash'", "hash"),
        ("update audit_head set seq = 16", "head"),
        ("update audit_head set seq = 18", "event 18 is missing"),
        (f"update audit_head set hash = '{'0' * 64}'", "head"),
        ("delete from audit_head", "head"),
        ("insert into audit_head select 2, seq, hash from audit_head", "head"),
        (
            "insert into owners select 'x', 'mallory', null, kind, null, null, '{}', 1, 'x', null from owners limit 1",
            "owner mallory is in the store, but no event created it",
        ),
        (
            "insert into events select 18, 1, 'x', null, 'x', null, detail, hash, hash from events where seq = 17",
            "event 18 was altered",
        ),
    ],
)
def test_rows_altered_added_or_taken_away_are_named(cli: Cli, store_file: Path, statement: str, expected: str):
    tamper(store_file, statement)

    assert expected in fault(cli, store_file)


def test_a_key_copied_under_another_name_is_found(cli: Cli, store_file: Path):
    columns = [column for column in Key.__dataclass_fields__ if column not in {"id", "prefix"}]
    listed = ", ".join(columns)
    tamper(
        store_file,
        f"insert into keys (id, prefix, {listed}) select 'key_x', 'kc_live_xxxxxxxxxxxx', {listed}"
        " from keys where name = 'plain'",
    )

    assert fault(cli, store_file) == "key kc_live_xxxxxxxxxxxx (key_x) is in the store, but no event created it"


def test_two_keys_that_changed_their_hashes_are_found(cli: Cli, store_file: Path):
    tamper(
        store_file,
        "create table hashes as select name, phc from keys",
        "update keys set phc = (select phc from hashes where name = 'gone') where name = 'plain'",
    )

    assert "the hash of key" in fault(cli, store_file)


def test_two_events_that_changed_places_are_found(cli: Cli, store_file: Path):
    tamper(
        store_file, "update events set seq = -seq where seq in (6, 7)", "update events set seq = 13 + seq where seq < 0"
    )

    assert "event 6 " in fault(cli, store_file)


def test_the_last_use_is_recorded_and_not_audited(cli: Cli, store_file: Path):
    tamper(store_file, "update keys set last_used_at = 1700000000000")

    cli("audit", "verify", "--store", store_file, check=0)


def test_whatever_is_altered_by_hand_on_postgres_is_found_as_well(postgres_schema: str, empty_store: str):
    postgres.run(postgres_schema, empty_store)
    opened = Opened(Store(StoreLocation.parse(postgres_schema)))
    fill(opened)
    contents = postgres.contents(postgres_schema)
    alterations = [
        *(f"update keys set {column} = {value} where name = 'rich'" for column, value in KEY_TAMPERING),
        *(f"update owners set {column} = {value} where handle = 'acme'" for column, value in OWNER_TAMPERING),
        *(f"update events set {column} = {value} where seq = 5" for column, value in EVENT_TAMPERING),
        *("delete from keys where name = 'gone'", "delete from owners where handle = 'acme'", "delete from events"),
    ]

    for alteration in alterations:
        if alteration.split(" where ")[0].endswith("'soon'"):
            continue  # no number, and no such column takes it
        # as a superuser who knows how to get round foreign keys
        postgres.run(postgres_schema, f"set local session_replication_role = replica; {alteration}")
        assert check(opened.store).fault is not None, alteration
        postgres.run(postgres_schema, contents)
        assert check(opened.store).fault is None
    opened.store.close()


# ── altered by hand, before and after an ordinary command ────────────────────────────────────────────────────────────


PLAUSIBLE = {column: values[0] for column in {*KEY_COLUMNS, *OWNER_COLUMNS} if (values := other_values(column))} | {
    "owner_id": "null",
    "parent_id": "null",
    "environment": "'test'",
    "phc": f"'{CHEAP.hash('a key of the attacker')}'",
}
ORDINARY: dict[str, Callable[[Opened, str], object]] = {
    "update": lambda opened, prefix: opened.admin.update(Selection.named(prefix), Update(name="new", metadata=["a=b"])),
    "allow": lambda opened, prefix: opened.admin.update(Selection.named(prefix), Update(allowed_ips=["192.0.2.7"])),
    "scope": lambda opened, prefix: opened.admin.scope(Selection.named(prefix), ScopeChange(add=["write"])),
    "expire": lambda opened, prefix: opened.admin.expire(Selection.named(prefix), "40d"),
    "lock": lambda opened, prefix: opened.admin.lock(Selection.named(prefix)),
    "unlock": lambda opened, prefix: opened.admin.unlock(Selection.named(prefix)),
    "rotate": lambda opened, prefix: opened.rotate(prefix, grace=timedelta(hours=1)),
    "rotate at once": lambda opened, prefix: opened.rotate(prefix, grace=timedelta(0)),
    "revoke": lambda opened, prefix: opened.admin.revoke(Selection.named(prefix), reason="leaked"),
}


@pytest.mark.sqlite  # test_tampering has both databases
@pytest.mark.parametrize("command", ORDINARY)
def test_no_command_hides_that_a_key_was_altered_before(open_new: Callable[[], Opened], command: str):
    for column in KEY_COLUMNS:
        opened = open_new()
        [minted] = opened.mint(owner="acme", scopes=["read"], expires="30d", metadata=["team=x"])
        prefix = minted.record.key.prefix
        opened.clock.advance(hours=1)
        alter(opened, f"update keys set {column} = {PLAUSIBLE[column]}")
        found = check(opened.store).fault

        with contextlib.suppress(KeyctlError):  # not every command allows what the row says now
            ORDINARY[command](opened, "tampered" if column == "prefix" else prefix)

        after = check(opened.store).fault
        assert found, column
        assert after, column
        assert minted.record.key.id in after or prefix in after or column == "id", (column, after)


@pytest.mark.parametrize("command", sorted(ORDINARY.keys() - {"unlock"}))  # unlock has nothing to change here
def test_an_altered_hash_that_was_put_back_after_a_command_is_found(opened: Opened, command: str):
    [minted] = opened.mint()
    prefix, phc = minted.record.key.prefix, minted.record.key.phc
    alter(opened, f"update keys set phc = {PLAUSIBLE['phc']}")
    opened.clock.advance(hours=1)
    ORDINARY[command](opened, prefix)

    alter(opened, f"update keys set phc = '{phc}' where prefix = '{prefix}'")

    fault = check(opened.store).fault
    assert fault is not None
    assert fault.startswith(f"key {prefix} was altered outside keyctl before event ")


@pytest.mark.parametrize(
    ("statement", "command", "column"),
    [
        ('update keys set scopes = \'["read","admin"]\'', "scope", "scopes"),
        ('update keys set metadata = \'{"tier":"gold"}\'', "update", "metadata"),
        ("update keys set allowed_ips = '[]'", "allow", "allowed_ips"),
        ("update keys set expires_at = 4102444800000", "expire", "expires_at"),
        ('update keys set scopes = \'["read","admin"]\'', "rotate", "scopes"),
    ],
)
def test_what_a_command_took_from_an_altered_row_is_found(opened: Opened, statement: str, command: str, column: str):
    [minted] = opened.mint(scopes=["read"], expires="30d", allowed_ips=["192.0.2.0/24"])
    alter(opened, statement)

    ORDINARY[command](opened, minted.record.key.prefix)

    fault = check(opened.store).fault
    assert fault is not None
    assert f"key {minted.record.key.prefix} was altered outside keyctl before event 4: {column} is " in fault


def test_a_revived_key_that_is_revoked_again_is_found(opened: Opened):
    [minted] = opened.mint()
    prefix = minted.record.key.prefix
    opened.admin.revoke(Selection.named(prefix))
    alter(opened, "update keys set revoked_at = null")

    opened.admin.revoke(Selection.named(prefix))

    assert f"key {prefix} was altered outside keyctl before event 5: revoked_at is null" in (
        check(opened.store).fault or ""
    )


def test_a_planted_hash_is_not_made_genuine_by_recording_use(opened: Opened):
    [minted] = opened.mint()
    prefix = minted.record.key.prefix
    mine = "kc_live_" + "x" * 12
    alter(opened, f"update keys set phc = '{Sha256().hash(mine)}'")
    record = opened.store.find(prefix)
    assert record

    record_use(opened.store, ACTOR, record, mine, now=opened.clock())

    fault = check(opened.store).fault
    assert fault is not None
    assert fault.startswith(f"key {prefix} was altered outside keyctl before event 4: hash is ")


def test_a_hash_that_was_replaced_by_a_stronger_one_is_intact(opened: Opened):
    set_scheme(opened.store, ACTOR, Sha256())
    [minted] = opened.mint()
    set_scheme(opened.store, ACTOR, CHEAP)
    record_use(opened.store, ACTOR, minted.record, minted.text, now=opened.clock())
    opened.admin.update(Selection.named(minted.record.key.id), Update(name="new"))

    assert opened.store.find(minted.record.key.prefix).key.phc.startswith("$argon2id$")  # type: ignore[union-attr]
    assert check(opened.store).fault is None


OWNER_COMMANDS: dict[str, Callable[[Opened], object]] = {
    "name": lambda opened: opened.owners.update("acme", name="New"),
    "attributes": lambda opened: opened.owners.update("acme", parent="above"),
    "disable": lambda opened: opened.owners.disable("acme"),
    "enable": lambda opened: opened.owners.enable("acme"),
    "mint": lambda opened: opened.mint(owner="acme"),
}


@pytest.mark.parametrize("command", OWNER_COMMANDS)
def test_no_command_hides_that_an_owner_was_altered_before(open_new: Callable[[], Opened], command: str):
    for column in OWNER_COLUMNS:
        opened = open_new()
        opened.owners.add(NewOwner("above"))
        opened.owners.add(NewOwner("acme", parent="above"))
        alter(opened, f"update owners set {column} = {PLAUSIBLE[column]} where handle = 'acme'")

        with contextlib.suppress(KeyctlError):
            OWNER_COMMANDS[command](opened)

        assert "acme" in (check(opened.store).fault or ""), column


def test_an_owner_that_was_enabled_by_hand_and_disabled_again_is_found(opened: Opened):
    opened.owners.add(NewOwner("acme"))
    opened.owners.disable("acme")
    alter(opened, "update owners set disabled_at = null")

    opened.owners.disable("acme")

    assert check(opened.store).fault == (
        "owner acme was altered outside keyctl before event 4: disabled_at is null, and should be 1767268800000"
    )


def test_a_setting_that_was_altered_and_then_set_is_found(opened: Opened):
    alter(opened, "update settings set value = '{\"scheme\": \"sha256\"}' where name = 'hash'")
    opened.store.reload()

    set_scheme(opened.store, ACTOR, CHEAP)

    assert check(opened.store).fault == "the store's hash was altered outside keyctl before event 2"


def test_a_planted_admin_token_that_is_rotated_is_found(opened: Opened):
    alter(opened, f"insert into settings values ('admin_token', '{CHEAP.hash('a password of mine')}')")
    opened.store.reload()
    token = AdminToken(opened.store, ACTOR, clock=opened.clock)
    token.authorise("a password of mine")

    token.rotate("another password")

    assert check(opened.store).fault == "the store's admin_token was altered outside keyctl before event 2"


# ── settings and counters ────────────────────────────────────────────────────────────────────────────────────────────


def export_bundle(opened: Opened, folder: Path) -> None:
    private = folder / "bundle.key"
    signer = SigningKey.load(private) if private.exists() else SigningKey.create(private)
    exporter = BundleExporter(opened.store, ACTOR, signer, clock=opened.clock)
    exporter.export(folder / "bundle", filters=Filters(), described={}, valid_for=timedelta(hours=1))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("update settings set value = 'store_x' where name = 'store_id'", "the store's store_id"),
        ("update settings set value = '2020-01-01T00:00:00Z' where name = 'created_at'", "the store's created_at"),
        ("update settings set value = '1' where name = 'bundle_sequence'", "the store's bundle_sequence"),
        ("delete from settings where name = 'bundle_sequence'", "the store's bundle_sequence"),
        (
            "update settings set value = '2020-01-01T00:00:00Z' where name = 'bundle_valid_until'",
            "the store's bundle_valid_until",
        ),
        ("insert into counters values ('key', 7)", "a counter of the store"),
    ],
)
def test_an_altered_setting_or_counter_is_found(opened: Opened, tmp_path: Path, statement: str, expected: str):
    export_bundle(opened, tmp_path)
    assert check(opened.store).fault is None

    alter(opened, statement)

    assert (check(opened.store).fault or "").startswith(f"{expected} was altered outside keyctl")


@pytest.mark.parametrize(
    ("name", "value"), [("bundle_sequence", "9999999999999"), ("bundle_valid_until", "2099-01-01T00:00:00Z")]
)
def test_no_export_hides_that_a_bundles_setting_was_altered_before(
    opened: Opened, tmp_path: Path, name: str, value: str
):
    export_bundle(opened, tmp_path)
    alter(opened, f"update settings set value = '{value}' where name = '{name}'")

    export_bundle(opened, tmp_path)

    assert (check(opened.store).fault or "").startswith(f"the store's {name} was altered outside keyctl")


def test_a_bundles_sequence_that_is_not_a_number_is_reported(opened: Opened, tmp_path: Path):
    export_bundle(opened, tmp_path)
    alter(opened, "update settings set value = 'x' where name = 'bundle_sequence'")

    with pytest.raises(StoreUnavailable, match="is damaged: its bundle_sequence is not a number"):
        export_bundle(opened, tmp_path)


def test_any_number_of_bundles_leaves_an_intact_store(opened: Opened, tmp_path: Path):
    for seconds in (0, 0, 1, 3600):
        opened.clock.advance(seconds=seconds)
        export_bundle(opened, tmp_path)
        assert check(opened.store).fault is None


# ── untampered, after whatever was done ──────────────────────────────────────────────────────────────────────────────


class Refusing(Kept):
    """A delivery that fails."""

    def hand_over(self) -> None:
        raise OSError(28, "No space left on device")


Operation = Callable[[Opened, list[str], st.DataObject], object]


def _mint(opened: Opened, known: list[str], data: st.DataObject) -> None:
    minted = opened.mint(
        count=data.draw(st.integers(1, 3)),
        owner=data.draw(st.sampled_from([None, "acme", "below", "other"])),
        expires=data.draw(st.sampled_from([None, "1h", "never"])),
        scopes=data.draw(st.sampled_from([None, ["read"], ["admin", "write"]])),
        metadata=["a=1"],
    )
    known += [one.record.key.prefix for one in minted]


def _mint_in_vain(opened: Opened, known: list[str], data: st.DataObject) -> None:
    from keyctl.admin.minting import NewKey

    refusing: Delivery = Refusing()
    with pytest.raises(NotDelivered):
        opened.minter.mint(NewKey(), refusing, count=data.draw(st.integers(1, 2)))


def _rotate(opened: Opened, known: list[str], data: st.DataObject) -> None:
    grace = data.draw(st.sampled_from([None, timedelta(0), timedelta(hours=1)]))
    known.append(opened.rotate(_some(known, data)[0], grace=grace).record.key.prefix)


def _rotate_in_vain(opened: Opened, known: list[str], data: st.DataObject) -> None:
    opened.rotator.rotate(Selection.named(_some(known, data)[0]), Refusing())


def _revoke(opened: Opened, known: list[str], data: st.DataObject) -> None:
    opened.admin.revoke(Selection.named(*_some(known, data)), reason=data.draw(st.sampled_from([None, "leaked “é”"])))


def _lock(opened: Opened, known: list[str], data: st.DataObject) -> None:
    duration = data.draw(st.sampled_from([None, timedelta(minutes=30)]))
    opened.admin.lock(Selection.named(*_some(known, data)), duration=duration)


def _expire(opened: Opened, known: list[str], data: st.DataObject) -> None:
    opened.admin.expire(Selection.named(*_some(known, data)), data.draw(st.sampled_from(["never", "30m", "90d"])))


def _scope(opened: Opened, known: list[str], data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(["read", "write", "admin"]), unique=True)
    opened.admin.scope(Selection.named(*_some(known, data)), ScopeChange(add=data.draw(some), remove=data.draw(some)))


def _update(opened: Opened, known: list[str], data: st.DataObject) -> None:
    new = Update(
        name=data.draw(st.sampled_from([None, "", "new"])),
        allowed_ips=data.draw(st.sampled_from([None, [], ["192.0.2.0/24"]])),
        metadata=data.draw(st.sampled_from([[], ["a="], ["b=2"]])),
    )
    opened.admin.update(Selection.named(*_some(known, data)), new)


def _use(opened: Opened, known: list[str], data: st.DataObject) -> None:
    prefix, now = _some(known, data)[0], opened.clock()
    opened.store.write(lambda c: usage.add(c, used(keys.get(c, prefix).key.id, now), now=now, keep_hours=720))


def _wait(opened: Opened, known: list[str], data: st.DataObject) -> None:
    opened.clock.advance(seconds=data.draw(st.sampled_from([0.001, 1, 1800])))


def _change_owner(opened: Opened, known: list[str], data: st.DataObject) -> None:
    handle = data.draw(st.sampled_from(["acme", "below", "other"]))
    data.draw(
        st.sampled_from(
            [
                lambda: opened.owners.add(
                    NewOwner(handle, parent=data.draw(st.sampled_from([None, "acme"]))), ensure=True
                ),
                lambda: opened.owners.disable(handle),
                lambda: opened.owners.enable(handle),
                lambda: opened.owners.update(handle, name=data.draw(st.sampled_from(["", "New"]))),
                lambda: opened.owners.update(handle, parent=data.draw(st.sampled_from(["", "acme", "below", "other"]))),
            ]
        )
    )()


def _some(known: list[str], data: st.DataObject) -> list[str]:
    return data.draw(st.lists(st.sampled_from(known or ["kc_live_nobody"]), min_size=1, max_size=3))


OPERATIONS: dict[str, Operation] = {
    function.__name__: function
    for function in (
        *(_mint, _mint, _mint_in_vain, _rotate, _rotate_in_vain, _revoke, _lock, _expire, _scope, _update, _use, _wait),
        lambda opened, known, data: opened.admin.unlock(Selection.named(*_some(known, data))),
        _change_owner,
    )
}


@examples(8, 300)
@given(steps=st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=3, max_size=12), data=st.data())
def test_after_any_sequence_of_changes_the_store_is_intact(
    open_new: Callable[[], Opened], steps: list[str], data: st.DataObject
):
    opened = open_new()
    codes: set[int] = set()
    known: list[str] = [one.record.key.prefix for one in opened.mint(count=2)]
    checkpoints = [Checkpoint(check(opened.store).position, opened.clock())]
    for step in steps:
        try:
            OPERATIONS[step](opened, known, data)
        except KeyctlError as error:
            codes.add(error.exit_code)
        verdict = check(opened.store)
        assert verdict.fault is None, step
        checkpoints.append(Checkpoint(verdict.position, opened.clock()))
    assert codes <= {3, 4, 21}  # unknown, refused, not delivered
    start = data.draw(st.sampled_from(checkpoints))
    resumed = check(opened.store, [start], resume=True)
    assert (resumed.fault, resumed.start, resumed.position) == (None, start, verdict.position)


def test_every_command_that_changes_something_leaves_an_intact_store(store: Cli):
    prefix = store("mint", "--owner", "acme", "--create-owner", "--scope", "read", "--json", check=0).json["prefix"]
    key = store("mint", "--count", "1", check=0).out
    second = key.rpartition("_")[0]
    for args in (
        ["owner", "add", "below", "--parent", "acme"],
        ["owner", "update", "below", "--name", "Below"],
        ["owner", "disable", "below", "--yes"],
        ["owner", "enable", "below"],
        ["mint", "--count", "12", "--expires", "30d"],
        ["lock", prefix, "--for", "1h", "--reason", "why"],
        ["unlock", prefix],
        ["expire", prefix, second, "--to", "40d", "--yes"],
        ["scope", prefix, "--add", "write"],
        ["update", prefix, "--set-name", "é “x”", "--set-meta", "a=b", "--allow-ip", "192.0.2.0/24"],
        ["rotate", prefix, "--grace", "1h"],
        ["revoke", prefix, second, "--yes"],
        ["revoke", prefix],
        ["mint", "--dry-run"],
        ["db", "upgrade"],
        ["init"],
    ):
        store(*args, check=0)
        store("audit", "verify", check=0)
    with Path("/dev/full").open("wb") as full:
        store("mint", stdout=full.fileno(), check=21)
    store("audit", "verify", check=0)


def test_more_keys_than_one_event_holds_are_intact(opened: Opened):
    minted = opened.mint(count=1001)
    opened.admin.revoke(Selection.named(*[one.record.key.prefix for one in minted]))

    verdict = check(opened.store)

    assert (verdict.fault, verdict.keys, verdict.events) == (None, 1001, 7)
