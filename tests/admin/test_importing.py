"""Keys move from store to store, over both databases: what is exported and imported verifies alike."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.admin.exporting import KeyExporter
from keyctl.admin.importing import Imported, ImportOptions, KeyImporter
from keyctl.admin.owners import NewOwner
from keyctl.errors import Refused
from keyctl.exchange.lines import CSV, JSONL, Line, read
from keyctl.exchange.records import KEY_FIELDS, KeyLine, OwnerLine, key_values, owner_values, read_line
from keyctl.store import keys, owners
from keyctl.store.integrity import check
from keyctl.store.selection import Filters, Selection
from keyctl.times import format_time
from keyctl.verifier import Verifier
from tests.fuzzing import examples
from tests.samples import CHEAP, NOW, owner, record
from tests.stores import ACTOR, Opened

SHA256 = "0" * 64


def importer(opened: Opened) -> KeyImporter:
    return KeyImporter(opened.store, ACTOR, clock=opened.clock)


def moved(opened: Opened, lines: bytes, form: str, **options: Any) -> Imported:
    return importer(opened).run(read(io.BytesIO(lines), form, KEY_FIELDS), ImportOptions(**options))


def exported(opened: Opened, form: str, filters: Filters | None = None) -> bytes:
    return b"".join(KeyExporter(opened.store, clock=opened.clock).lines(form, filters or Filters()))


def codes(opened: Opened, texts: Mapping[str, str]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return what a verifier answers about each key: the code, why, and the scopes in force."""
    verifier = Verifier(opened.store, clock=opened.clock)
    found = {name: verifier.verify(text, ip="192.0.2.1") for name, text in texts.items()}
    scopes = {name: one.record.key.scopes if one.record else () for name, one in found.items()}
    return {name: (str(one.code), str(one.reason), scopes[name]) for name, one in found.items()}


def filled(opened: Opened) -> dict[str, str]:
    """Fill a store with a key of each kind; return their texts, and one that is altered."""
    opened.owners.add(NewOwner("acme", name="Acme", plan=None))
    opened.owners.add(NewOwner("below", parent="acme"))
    opened.owners.add(NewOwner("gone"))
    given: dict[str, dict[str, Any]] = {
        "plain": {},
        "scoped": {"owner": "below", "scopes": ["read", "write"], "name": 'a, "b" c', "metadata": ["team=x"]},
        "near": {"allowed_ips": ["192.0.2.0/24"]},
        "far": {"allowed_ips": ["198.51.100.0/24"]},
        "brief": {"expires": "1h"},
        "test": {"environment": "test"},
        "revoked": {},
        "locked": {},
        "locked for a time": {},
        "orphan": {"owner": "gone"},
        "replaced": {},
    }
    minted = {name: opened.mint(**new)[0] for name, new in given.items()}
    prefixes = {name: one.record.key.prefix for name, one in minted.items()}
    opened.admin.revoke(Selection.named(prefixes["revoked"]), reason="leaked")
    opened.admin.lock(Selection.named(prefixes["locked"]))
    opened.admin.lock(Selection.named(prefixes["locked for a time"]), duration=timedelta(hours=1))
    opened.owners.disable("gone")
    successor = opened.rotate(prefixes["replaced"], grace=timedelta(hours=2))
    texts = {name: one.text for name, one in minted.items()} | {"successor": successor.text}
    return texts | {"altered": texts["plain"][:-12] + "x" * 12}


@pytest.mark.parametrize("form", [JSONL, CSV])
def test_an_export_that_is_imported_gives_keys_that_verify_alike(open_new: Callable[[], Opened], form: str):
    first = open_new()
    texts = filled(first)
    lines, now = exported(first, form), codes(first, texts)
    first.clock.advance(hours=3)
    later = codes(first, texts)
    assert {code for code, _, _ in (now | later).values()} >= {"VALID", "INVALID_API_KEY", "KEY_REVOKED", "KEY_LOCKED"}

    second = open_new()
    done = moved(second, lines, form, create_owner=form == CSV)

    assert done == Imported(keys=12, owners=3 if form == JSONL else 2)
    if form == CSV:  # it has only the handles of owners
        now["orphan"] = later["orphan"] = ("VALID", "None", ())
    assert codes(second, texts) == now
    second.clock.advance(hours=3)
    assert codes(second, texts) == later
    assert not check(second.store).faults


def test_owners_come_with_their_tree_and_their_state(open_new: Callable[[], Opened]):
    first = open_new()
    filled(first)
    lines = exported(first, JSONL)
    with first.store.read() as connection:
        before = {one.handle: one for one in owners.every(connection)}

    second = open_new()
    moved(second, lines, JSONL)

    with second.store.read() as connection:
        after = {one.handle: one for one in owners.every(connection)}
        assert [one.handle for one in owners.with_ancestors(connection, "below")] == ["below", "acme"]
    for handle, one in before.items():
        kept = replace(after[handle], id=one.id, parent_id=one.parent_id, created_by=one.created_by)
        assert kept == one


def test_an_export_can_be_of_some_keys_with_their_owners(opened: Opened):
    filled(opened)
    with opened.store.read() as connection:
        below = owners.get(connection, "below").id

    values = [json.loads(line) for line in exported(opened, JSONL, Filters(owner_ids=(below,))).splitlines()]

    assert [one["owner"]["handle"] if isinstance(one["owner"], dict) else one["owner"] for one in values] == [
        *("acme", "below", "below")
    ]


def test_a_second_import_is_refused_whole_and_changes_nothing(opened: Opened):
    lines = [
        Line(1, {"prefix": f"kc_live_{0:012}", "hash": SHA256}),
        Line(2, {"prefix": f"kc_live_{1:012}", "hash": SHA256}),
    ]
    importer(opened).run(lines[:1], ImportOptions())

    with pytest.raises(Refused, match="1 line is refused"):
        importer(opened).run(lines, ImportOptions())

    with opened.store.read() as connection:
        assert keys.count_live(connection, Filters(), now=opened.clock.now) == 1
    assert not check(opened.store).faults


def test_more_keys_than_one_event_takes_are_imported_in_one_transaction(opened: Opened):
    many = (Line(i, {"prefix": f"kc_live_{i:012}", "hash": SHA256, "name": f"key {i}"}) for i in range(1, 1002))

    assert importer(opened).run(many, ImportOptions()) == Imported(1001, 0)

    assert not check(opened.store).faults
    with opened.store.read() as connection:
        [scheme] = keys.count_by_scheme(connection, now=opened.clock.now).items()
    assert (str(scheme[0]), scheme[1]) == ("foreign sha256", 1001)


def test_the_schemes_of_a_store_are_few_since_each_costs_every_refusal(opened: Opened):
    salts = [
        Line(i, {"prefix": f"kc_live_{i:012}", "hash": f"pbkdf2_sha256${i}$salt${'A' * 43}="}) for i in range(1, 10)
    ]

    with pytest.raises(Refused, match=r"line 9: its hash is of a scheme more than 8: pbkdf2-sha256 9"):
        importer(opened).run(salts, ImportOptions())
    importer(opened).run(salts[:8], ImportOptions())

    assert len(opened.store.foreign_hashes) == 8
    with pytest.raises(Refused, match="a scheme more than 8"):
        importer(opened).run(salts[8:], ImportOptions())


def test_what_a_dead_key_had_may_be_unknown_by_now(opened: Opened):
    dead = {"prefix": f"kc_live_{1:012}", "hash": SHA256, "scopes": ["forgotten"], "environment": "staging"}
    expired = dead | {"prefix": f"kc_live_{2:012}", "expires_at": format_time(NOW - timedelta(days=365))}

    importer(opened).run([Line(1, dead | {"revoked": True}), Line(2, expired)], ImportOptions())

    with pytest.raises(Refused, match='unknown environment "staging"'):
        importer(opened).run([Line(1, dead | {"prefix": f"kc_live_{3:012}"})], ImportOptions())


# ── lines and records are inverses ───────────────────────────────────────────────────────────────────────────────────

moments = st.datetimes(NOW.replace(tzinfo=None) - timedelta(days=900), NOW.replace(tzinfo=None)).map(
    lambda moment: moment.replace(tzinfo=NOW.tzinfo, microsecond=moment.microsecond // 1000 * 1000)
)
texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=40)


@st.composite
def any_key(draw: st.DrawFn) -> dict[str, Any]:
    revoked, locked = draw(st.none() | moments), draw(st.none() | moments)
    return {
        "name": draw(st.none() | texts),
        "scopes": tuple(draw(st.lists(st.sampled_from(["read", "write"]), unique=True))),
        "metadata": draw(st.dictionaries(st.from_regex("[a-z]{1,9}", fullmatch=True), texts, max_size=3)),
        "allowed_ips": tuple(draw(st.lists(st.sampled_from(["192.0.2.0/24", "2001:db8::/32"]), unique=True))),
        "created_at": draw(moments),
        "expires_at": draw(st.none() | moments),
        "last_used_at": draw(st.none() | moments),
        "revoked_at": revoked,
        "revoked_reason": draw(texts) if revoked else None,
        "locked_at": locked,
        "locked_until": draw(st.none() | moments) if locked else None,
    }


@examples(100, 5_000)
@given(any_key())
def test_a_key_that_is_written_reads_back_the_same(values: dict[str, Any]):
    one = record(owner(), phc=CHEAP.decoy(), **values)
    line = json.loads(json.dumps(key_values(one)))

    back = read_line(line, now=NOW)

    assert isinstance(back, KeyLine)
    assert (back.prefix, back.hash, back.owner, back.hash_format) == (one.key.prefix, one.key.phc, "acme", "keyctl")
    for name, value in back.values.items():
        found = tuple(value) if isinstance(value, list) else value
        assert found == getattr(one.key, name), name


def test_an_owner_that_is_written_reads_back_the_same():
    one = owner(name="Acme", plan="pro", attributes={"a": [1]}, disabled_at=NOW)

    back = read_line(json.loads(json.dumps(owner_values(one, "top"))), now=NOW)

    assert isinstance(back, OwnerLine)
    assert (back.handle, back.parent, back.plan, back.attributes) == ("acme", "top", "pro", {"a": [1]})
    assert (back.created_at, back.disabled_at) == (NOW, NOW)
