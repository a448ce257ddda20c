from __future__ import annotations

import gc
import io
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given
from hypothesis import strategies as st

from keyctl.admin import bundle_export
from keyctl.admin.bundle_export import BundleExporter
from keyctl.admin.owners import NewOwner
from keyctl.admin.profile import ProfileAdmin
from keyctl.bundles.bundle import Bundle, Seen
from keyctl.bundles.format import TABLES, TableWriter, to_json
from keyctl.bundles.reload import FollowedBundle
from keyctl.bundles.rollback import BundleState
from keyctl.bundles.signing import SigningKey, Trust, parse_trust
from keyctl.decision import Code, Request
from keyctl.errors import BundleUntrusted, ConfigurationInvalid, NotFound, Refused, UsageError
from keyctl.models import Status
from keyctl.profiles.model import read_profile
from keyctl.store import events
from keyctl.store.selection import Filters, Selection
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.verification.keyring import Keyring
from keyctl.verifier import Verifier
from tests.bundle_files import HOURS, export, forge, read_all, sign, split, trusting
from tests.fuzzing import examples, mutated_document
from tests.samples import document
from tests.second_reader import SecondReader
from tests.stores import ACTOR, NOW, Clock, Opened, names, new_store

OWNERS = {
    "default_kind": "account",
    "isolation": "subtree",
    "kinds": {
        "account": {
            "parent": "account",
            "attributes": {
                "origins": {"type": "list", "bundle": True},
                "contact": {"type": "text"},
            },
        }
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A store with keys of every kind, a signing key, and bundles of it with names and without. No test changes it."""
    folder = tmp_path_factory.mktemp("made")
    opened = new_store(folder / "keys.db")
    ProfileAdmin(opened.store, ACTOR, clock=opened.clock).apply(
        read_profile(document(owners=OWNERS, plans={"gold": {}}), source="test")
    )
    opened.store.reload()
    opened.owners.add(
        NewOwner(
            "acme", name="Acme Incorporated", plan="gold", attributes=["origins=https://acme.example", "contact=Jo Doe"]
        )
    )
    opened.owners.add(NewOwner("below", parent="acme"))
    opened.owners.add(NewOwner("off"))
    opened.owners.add(NewOwner("below-off", parent="off"))
    rich = {"owner": "below", "scopes": ["read"], "allowed_ips": ["192.0.2.0/24"]}
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "rich": rich | {"name": "the rich one", "metadata": ["team=secret-team"]},
        "admin": {"owner": "acme", "scopes": ["admin"]},
        "test": {"environment": "test", "owner": "acme"},
        "expiring": {"expires": "1h"},
        "expired": {"expires": "1s"},
        "revoked": {"owner": "acme"},
        "locked": {},
        "locked a while": {},
        "of a disabled owner": {"owner": "below-off"},
        "rotated": {"owner": "acme"},
    }
    minted = {kind: opened.mint(**how)[0] for kind, how in kinds.items()}
    ids = {kind: each.record.key.id for kind, each in minted.items()}
    opened.clock.advance(seconds=10)
    opened.admin.revoke(Selection.named(ids["revoked"]), reason="leaked")
    opened.admin.lock(Selection.named(ids["locked"]))
    opened.admin.lock(Selection.named(ids["locked a while"]), duration=HOURS)
    opened.owners.disable("off")
    minted["new"] = opened.rotate(ids["rotated"])
    key = SigningKey.create(folder / "signing")
    path, nameless = folder / "named.bundle", folder / "nameless.bundle"
    header = export(opened, path, key, with_names=True)
    export(opened, nameless, key)
    texts = {kind: each.text for kind, each in minted.items()}
    yield SimpleNamespace(
        opened=opened,
        key=key,
        path=path,
        nameless=nameless,
        header=header,
        texts=texts,
        prefixes={kind: each.record.key.prefix for kind, each in minted.items()},
        store_id=opened.store.settings["store_id"],
        now=opened.clock.now,
    )
    opened.store.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A store of the test's own with one key, and a bundle of it."""
    opened = new_store(tmp_path / "keys.db")
    [minted] = opened.mint()
    key = SigningKey.create(tmp_path / "signing")
    (tmp_path / "out").mkdir()
    path = tmp_path / "out/keys.bundle"
    header = export(opened, path, key)
    yield SimpleNamespace(
        opened=opened,
        key=key,
        path=path,
        header=header,
        text=minted.text,
        prefix=minted.record.key.prefix,
        id=minted.record.key.id,
        clock=opened.clock,
        store_id=opened.store.settings["store_id"],
    )
    opened.store.close()


def untrusted(path: Path, trust: list[Trust], *, now: datetime = NOW, **how: Any) -> str:
    """Claim that a bundle cannot be trusted, on opening or on reading; return the reason."""

    def read() -> None:
        bundle = Bundle(path, trust=trust)
        bundle.check_age(now, **how)
        assert [*bundle.every_key(), *bundle.every_owner()] == []

    with pytest.raises(BundleUntrusted) as error:
        read()
    assert (error.value.exit_code, error.value.code) == (20, "UNTRUSTED_BUNDLE")
    return error.value.reason


# ── the three keyrings decide alike ──────────────────────────────────────────────────────────────────────────────────

REQUESTS = {
    "nothing": Request(),
    "address": Request(ip="192.0.2.1"),
    "other address": Request(ip="198.51.100.1"),
    "scope": Request(scopes=("read",), ip="192.0.2.1"),
    "either scope": Request(scopes=("admin|read",), ip="192.0.2.1"),
    "both scopes": Request(scopes=("read", "write"), ip="192.0.2.1"),
    "live": Request(environment="live", ip="192.0.2.1"),
    "test": Request(environment="test", ip="192.0.2.1"),
    "resource of acme": Request(resource_owner="acme", ip="192.0.2.1"),
    "resource below acme": Request(resource_owner="below", ip="192.0.2.1"),
    "resource of off": Request(resource_owner="off", ip="192.0.2.1"),
    "resource of nobody": Request(resource_owner="nobody", ip="192.0.2.1"),
}


def decisions(made: SimpleNamespace, keyring: Keyring, later: timedelta) -> dict[tuple[str, str], tuple[Any, ...]]:
    verifier = Verifier(keyring, clock=lambda: made.now + later)
    presented = made.texts | {"unknown": made.texts["plain"].replace("kc_live", "kc_test"), "nonsense": "x", "none": ""}
    found = {}
    for kind, text in presented.items():
        for name, request in REQUESTS.items():
            decision = verifier.verify(text, request.scopes, request.environment, request.ip, request.resource_owner)
            owners = [owner.handle for owner in decision.record.owners] if decision.record else None
            # Why a key was revoked stays in the store.
            reason = decision.reason and decision.reason.removesuffix(": leaked").removesuffix(": rotated")
            found[kind, name] = (decision.code, reason, decision.missing_scope, owners)
    return found


@pytest.mark.parametrize("later", [timedelta(0), 2 * HOURS], ids=["now", "later"])
def test_store_reader_and_bundle_decide_alike(made: SimpleNamespace, later: timedelta):
    bundle = FollowedBundle(made.path, trust=trusting(made.key), clock=lambda: made.now)
    reader = SqliteReader(made.opened.path)

    from_store = decisions(made, made.opened.store, later)

    assert decisions(made, reader, later) == from_store
    assert decisions(made, bundle, later) == from_store
    assert {code for code, *_ in from_store.values()} >= {
        *(Code.VALID, Code.KEY_REVOKED, Code.KEY_EXPIRED, Code.KEY_LOCKED, Code.OWNER_INACTIVE, Code.FORBIDDEN_SCOPE),
        *(Code.FORBIDDEN_IP, Code.FORBIDDEN_ENVIRONMENT, Code.FORBIDDEN_OWNER, Code.INVALID_API_KEY),
    }
    reader.close()
    bundle.close()


def test_preflights_read_every_owner_of_a_bundle_once(made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    bundle = Bundle(made.path, trust=trusting(made.key))
    read: list[str] = []
    every_owner = bundle.every_owner
    monkeypatch.setattr(bundle, "every_owner", lambda: (read.append(one.id) or one for one in every_owner()))

    for origin in ("https://acme.example", "https://other.example", "https://acme.example"):
        bundle.owners_mentioning(origin)

    assert len(read) == len(set(read)) > 0
    bundle.close()


def test_the_three_find_who_lists_an_origin(made: SimpleNamespace):
    bundle, reader = Bundle(made.path, trust=trusting(made.key)), SqliteReader(made.opened.path)

    for text, handles in (("https://acme.example", ["acme"]), ("https://acme", []), ("", []), ("acme", [])):
        for keyring in (made.opened.store, reader, bundle):
            assert [chain[0].handle for chain in keyring.owners_mentioning(text)] == handles
    reader.close()
    bundle.close()


def test_without_names_owners_go_by_their_ids(made: SimpleNamespace):
    bundle = FollowedBundle(made.nameless, trust=trusting(made.key), clock=lambda: made.now)
    below, acme = made.opened.store.find_owners("below")
    verifier = Verifier(bundle, clock=lambda: made.now)

    assert [owner.id for owner in bundle.find_owners(below.id)] == [below.id, acme.id]
    assert bundle.find_owners("acme") == bundle.find_owners("") == ()
    assert verifier.verify(made.texts["admin"], resource_owner=below.id)
    assert verifier.verify(made.texts["admin"], resource_owner="acme").code is Code.FORBIDDEN_OWNER
    bundle.close()


def test_statuses_are_those_of_the_store(made: SimpleNamespace):
    bundle = Bundle(made.path, trust=trusting(made.key))
    in_store = {prefix: made.opened.store.find(prefix).status(made.now) for prefix in made.prefixes.values()}

    assert {one.key.prefix: one.status(made.now) for one in bundle.every_record()} == in_store
    assert set(in_store.values()) == set(Status)
    bundle.close()


def test_rules_come_along(made: SimpleNamespace):
    bundle = Bundle(made.path, trust=trusting(made.key))
    store = made.opened.store

    assert (bundle.profile, bundle.formats, bundle.hash_parameters) == (
        store.profile,
        store.formats,
        store.hash_parameters,
    )
    bundle.close()


# ── what is in it ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_holds_no_secret_and_names_only_when_asked(made: SimpleNamespace):
    named, nameless = made.path.read_text(), made.nameless.read_text()

    for text in made.texts.values():
        for part in (text, text.rpartition("_")[2], text.rpartition("_")[2][:32]):
            assert part not in named + nameless
    for word in ("the rich one", "Acme Incorporated", '"acme"', '"below-off"'):
        assert word in named
        assert word not in nameless
    for word in ("Jo Doe", "secret-team", "tester@host", "leaked"):
        assert word not in named
        assert word not in nameless
    for word in ("https://acme.example", *made.prefixes.values()):
        assert word in nameless


def test_filters_narrow_it_to_their_keys_and_those_keys_owners(made: SimpleNamespace, tmp_path: Path):
    below, acme = made.opened.store.find_owners("below")

    def exported(**filters: Any) -> tuple[set[str], set[str]]:
        path = tmp_path / "keys.bundle"
        export(made.opened, path, made.key, filters=Filters(**filters), described={"by": "test"}, with_names=True)
        bundle = Bundle(path, trust=trusting(made.key))
        assert bundle.header.filter == {"by": "test"}
        found = {key.prefix for key in bundle.every_key()}, {owner.handle for owner in bundle.every_owner()}
        assert all(bundle.find(prefix) for prefix in found[0])
        bundle.close()
        return found

    prefixes = made.prefixes
    assert exported(environments=("test",)) == ({prefixes["test"]}, {"acme"})
    assert exported(owner_ids=(below.id,)) == ({prefixes["rich"]}, {"below", "acme"})
    assert exported(statuses=(Status.REVOKED,)) == ({prefixes["revoked"]}, {"acme"})
    assert exported(scopes=("read",)) == ({prefixes["rich"]}, {"below", "acme"})
    assert exported(names=("nobody*",)) == (set(), set())
    assert acme.parent_id is None


def test_an_empty_store_makes_an_empty_bundle(tmp_path: Path):
    opened, key = new_store(tmp_path / "keys.db"), SigningKey.create(tmp_path / "signing")

    export(opened, tmp_path / "keys.bundle", key, with_names=True)

    assert read_all(tmp_path / "keys.bundle", key) == 0
    opened.store.close()


# ── near misses: never an answer about the key ───────────────────────────────────────────────────────────────────────


def test_who_signs_must_be_trusted_and_of_that_store(made: SimpleNamespace, tmp_path: Path):
    stranger = SigningKey.create(tmp_path / "stranger")
    mine, theirs = made.key.public_bytes, stranger.public_bytes

    assert untrusted(made.path, []) == "signer"
    assert untrusted(made.path, [Trust(theirs)]) == "signer"
    assert untrusted(made.path, [Trust(theirs, made.store_id)]) == "signer"
    assert untrusted(made.path, [Trust(mine, "another")]) == "store"
    assert untrusted(made.path, [Trust(mine, "another"), Trust(theirs, made.store_id)]) == "store"
    for trust in (
        [Trust(mine)],
        [Trust(theirs), Trust(mine)],
        [Trust(mine, made.store_id)],
        [Trust(mine, "another"), Trust(mine, made.store_id)],
        [Trust(mine, "another"), Trust(mine)],
    ):
        Bundle(made.path, trust=trust).close()


def test_a_signature_by_another_under_a_trusted_name_is_refused(made: SimpleNamespace, tmp_path: Path):
    stranger, path = SigningKey.create(tmp_path / "stranger"), tmp_path / "keys.bundle"
    sign(path, stranger, *split(made.path))
    words = path.read_bytes().split(b" ", 2)
    path.write_bytes(b" ".join([words[0], made.key.public_text.encode(), words[2]]))

    assert untrusted(path, trusting(made.key)) == "signature"


def test_no_byte_can_be_changed_unnoticed(made: SimpleNamespace, tmp_path: Path):
    whole, path = made.path.read_bytes(), tmp_path / "keys.bundle"
    first_line = whole.index(b"\n") + 1
    changed = [*range(0, 160, 3), *range(160, first_line, 41), first_line - 1, *range(first_line, len(whole), 97)]
    reasons = set()

    for i in changed:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(BundleUntrusted) as error:
            read_all(path, made.key)
        reasons.add(error.value.reason)

    assert reasons == {"signature", "signer", "damaged"}
    # The parts one by one: both levels of digests, and the rules.
    header, body = split(made.path)
    for name in ("keys", "owners", "handles"):
        for _, offset, length, _ in json.loads(header)[name]:
            for where in (offset, offset + length - 1):
                sign(path, made.key, header, body[:where] + b"#" + body[where + 1 :])
                with pytest.raises(BundleUntrusted):
                    read_all(path, made.key)


def test_nothing_can_be_cut_off_unnoticed(made: SimpleNamespace, tmp_path: Path):
    whole, path = made.path.read_bytes(), tmp_path / "keys.bundle"

    for length in [*range(0, 200, 17), *range(200, len(whole), 151), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert untrusted(path, trusting(made.key), now=made.now) in {"damaged", "signature"}


@pytest.mark.parametrize("more", [b"x", b"\n", b"\0" * 4096])
def test_nothing_can_be_appended_unnoticed(made: SimpleNamespace, tmp_path: Path, more: bytes):
    path = tmp_path / "keys.bundle"
    path.write_bytes(made.path.read_bytes() + more)

    with pytest.raises(BundleUntrusted) as error:
        read_all(path, made.key)

    assert error.value.reason == "damaged"
    assert "bytes were appended" in error.value.message


@pytest.mark.parametrize(
    "changes",
    [
        *({"phc": 1}, {"phc": None}, {"scopes": "[[1]]"}, {"scopes": "{}"}, {"scopes": ["read"]}, {"id": 7}),
        *({"environment": None}, {"created_at": 1.5}, {"created_at": "1"}, {"expires_at": "x"}, {"allowed_ips": "[1]"}),
        *({"name": []}, {"revoked_at": 10**30}, {"owner_id": 5}, {"scopes": "[" * 50_000}, {"metadata": "[]"}),
    ],
    ids=lambda changes: str(changes)[:30],
)
def test_values_of_other_types_are_refused_though_a_trusted_signer_wrote_them(
    own: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
):
    row_of = bundle_export.key_row
    monkeypatch.setattr(bundle_export, "key_row", lambda *args, **how: row_of(*args, **how) | changes)
    export(own.opened, own.path, own.key)

    for read in (lambda bundle: list(bundle.every_key()), lambda bundle: bundle.find(own.prefix)):
        with closing(Bundle(own.path, trust=trusting(own.key))) as bundle, pytest.raises(BundleUntrusted) as error:
            read(bundle)
        assert error.value.reason == "damaged"


def test_records_of_an_older_bundle_do_not_fit_a_newer_one(own: SimpleNamespace):
    old_body = split(own.path)[1]
    own.opened.admin.revoke(Selection.named(own.id))
    own.clock.advance(hours=1)
    export(own.opened, own.path, own.key)
    line, _, new_body = own.path.read_bytes().partition(b"\n")
    assert len(old_body) != len(new_body)

    own.path.write_bytes(line + b"\n" + old_body)

    assert untrusted(own.path, trusting(own.key), now=own.clock.now) == "damaged"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        bytes(4096),
        b"\x1f\x8b\x08\x00" + bytes(range(256)) * 10,
        b"SQLite format 3\0" + bytes(4080),
        b"keyctl-bundle-v2 x y {}\n",
        b"keyctl-bundle-v1 x y {}\n",
        b"{}\n",
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "keys.bundle").write_bytes(content)

    assert untrusted(tmp_path / "keys.bundle", [Trust(bytes(32))]) == "damaged"


def test_what_cannot_be_read_is_refused(tmp_path: Path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    for path in (tmp_path, tmp_path / "missing", loop, tmp_path / "missing/x", Path("/dev/null"), Path("/dev/zero")):
        assert untrusted(path, [Trust(bytes(32))]) == "damaged"


NEVER = timedelta(0)


@pytest.mark.parametrize(
    ("at", "how", "reason"),
    [
        (-5 * timedelta(minutes=1), {}, None),
        (-5 * timedelta(minutes=1) - timedelta(milliseconds=1), {}, "clock"),
        (timedelta(0), {}, None),
        (24 * HOURS - timedelta(milliseconds=1), {}, None),
        (24 * HOURS, {}, "age"),
        (1 * HOURS, {"max_age": HOURS}, None),
        (1 * HOURS + timedelta(milliseconds=1), {"max_age": HOURS}, "age"),
        (timedelta(days=4000), {}, "age"),
    ],
)
def test_a_bundle_is_in_force_for_its_time(made: SimpleNamespace, at: timedelta, how: Any, reason: str | None):
    bundle = Bundle(made.path, trust=trusting(made.key))
    zones = (made.now + at, (made.now + at).astimezone(timezone(timedelta(hours=-8))))

    for now in zones:
        if reason is None:
            bundle.check_age(now, **how)
            continue
        with pytest.raises(BundleUntrusted) as error:
            bundle.check_age(now, **how)
        assert error.value.reason == reason
    bundle.close()


def test_nothing_older_than_what_was_seen_is_accepted(made: SimpleNamespace):
    bundle = Bundle(made.path, trust=trusting(made.key))
    sequence, made_at = made.header.sequence, made.header.made_at
    second = timedelta(seconds=1)

    for seen in (Seen(sequence, made_at), Seen(sequence - 1, made_at - second)):
        bundle.check_age(made.now, seen=seen)
    for seen in (
        Seen(sequence + 1, made_at),
        Seen(sequence, made_at + second),
        Seen(sequence - 1, made_at + second),
        Seen(sequence + 1, made_at - second),
    ):
        with pytest.raises(BundleUntrusted) as error:
            bundle.check_age(made.now, seen=seen)
        assert error.value.reason == "sequence"
    bundle.close()


DIGEST = "0" * 64


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"store_id": 7},
        {"store_id": None},
        {"sequence": "7"},
        {"sequence": 7.5},
        {"sequence": float("nan")},
        {"sequence": float("inf")},
        {"sequence": None},
        {"made_at": "2026-01-01T12:00:00"},
        {"made_at": "2026-01-01"},
        {"made_at": "0001-01-01T00:00:00+14:00"},
        {"made_at": 1767268800},
        {"valid_until": "9999-12-31T23:59:59"},
        {"valid_until": "9999-12-31T23:59:59-14:00"},
        {"valid_until": "never"},
        {"filter": None},
        {"filter": []},
        {"with_names": "no"},
        {"rules": None},
        {"rules": ["", -1, 5, DIGEST]},
        {"rules": ["", 0, -1, DIGEST]},
        {"rules": ["", 10**30, 5, DIGEST]},
        {"rules": ["", 0, 10**12, DIGEST]},
        {"rules": ["", 0, float("nan"), DIGEST]},
        {"keys": None},
        {"keys": {}},
        {"owners": [["", 0, 0]]},
        {"handles": "none"},
    ],
)
def test_a_header_that_no_keyctl_wrote_is_refused(made: SimpleNamespace, tmp_path: Path, changes: dict[str, Any]):
    path = tmp_path / "keys.bundle"
    path.write_bytes(made.path.read_bytes())

    assert untrusted(forge(path, made.key, **changes), trusting(made.key)) == "damaged"


@pytest.mark.parametrize("header", [b"", b"[]", b"7", b"null", b"nonsense", b"[" * 200_000, b'{"version":1}', b"\xff"])
def test_a_header_that_is_none_is_refused(tmp_path: Path, header: bytes):
    key = SigningKey.create(tmp_path / "signing")

    assert untrusted(sign(tmp_path / "keys.bundle", key, header, b""), trusting(key)) == "damaged"


def test_times_at_the_end_of_the_calendar_are_no_accident(made: SimpleNamespace, tmp_path: Path):
    path = tmp_path / "keys.bundle"
    path.write_bytes(made.path.read_bytes())

    forge(path, made.key, made_at="0001-01-01T00:00:00Z", valid_until="9999-12-31T23:59:59Z")
    with pytest.raises(BundleUntrusted) as error:
        Bundle(path, trust=trusting(made.key)).check_age(NOW, max_age=HOURS)
    assert error.value.reason == "age"
    forge(path, made.key, made_at="9999-12-31T23:59:59Z", valid_until="9999-12-31T23:59:59Z")
    assert untrusted(path, trusting(made.key)) == "clock"


def test_fields_that_are_added_later_do_not_matter(made: SimpleNamespace, tmp_path: Path):
    path = tmp_path / "keys.bundle"
    path.write_bytes(made.path.read_bytes())

    assert read_all(forge(path, made.key, comment="new"), made.key)


@pytest.mark.parametrize(
    "change",
    [
        {"profile": {}},
        {"profile": None},
        {"profile": {"name": "x", "key": []}},
        {"hash": {}},
        {"hash": None},
        {"hash": {"scheme": "md5"}},
        {"hash": {"scheme": "argon2id", "memory_kib": 10**9, "passes": 1, "lanes": 1}},
        {"earlier_formats": None},
        {"earlier_formats": [{}]},
        {"earlier_formats": 7},
    ],
)
def test_rules_that_cannot_be_are_refused(own: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, change: Any):
    rules = BundleExporter._rules
    monkeypatch.setattr(BundleExporter, "_rules", lambda exporter: rules(exporter) | change)
    export(own.opened, own.path, own.key)

    assert untrusted(own.path, trusting(own.key)) == "damaged"


@pytest.mark.parametrize(
    "parent",
    [lambda _, below: below.id, lambda acme, _: acme.id, lambda _acme, _below: "gone"],
    ids=["loop", "itself", "gone"],
)
def test_an_owner_whose_parent_cannot_be_found_allows_nothing(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parent: Callable[..., str]
):
    below, acme = made.opened.store.find_owners("below")
    row = bundle_export.owner_row

    def altered(owner: Any, *args: Any, **how: Any) -> dict[str, Any]:
        return row(owner, *args, **how) | ({"parent_id": parent(acme, below)} if owner.id == acme.id else {})

    monkeypatch.setattr(bundle_export, "owner_row", altered)
    export(made.opened, tmp_path / "keys.bundle", made.key, with_names=True)
    bundle = FollowedBundle(tmp_path / "keys.bundle", trust=trusting(made.key), clock=lambda: made.now)
    verifier = Verifier(bundle, clock=lambda: made.now)

    for kind, resource_owner in (("admin", None), ("rich", None), ("plain", "acme")):
        decision = verifier.verify(made.texts[kind], resource_owner=resource_owner, ip="192.0.2.1")
        assert (decision.code, decision.reason) == (Code.UNTRUSTED_BUNDLE, "damaged")
        assert decision.record is None
    bundle.close()


# ── export ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_export_is_an_audit_event_and_the_chain_stays_whole(own: SimpleNamespace):
    with own.opened.store.read() as connection:
        *_, event = [row.content for row in events.every_as_written(connection)]

    assert event.action == "bundle.exported"
    assert event.detail["bundle"] == {
        "sequence": own.header.sequence,
        "valid_until": "2026-01-02T12:00:00Z",
        "filter": {},
        "with_names": False,
        "signer": own.key.public_text,
    }
    assert event.detail["settings"].keys() == event.detail["was"].keys() == {"bundle_sequence", "bundle_valid_until"}


def test_sequences_only_grow_even_if_the_clock_goes_back(own: SimpleNamespace):
    sequences = [own.header.sequence]

    for hours in (0, 1, -48):
        own.clock.advance(hours=hours)
        sequences.append(export(own.opened, own.path, own.key).sequence)

    assert sequences == sorted(set(sequences))
    assert sequences[0] == int(NOW.timestamp() * 1000)


def test_the_file_is_its_owners_alone_and_nothing_is_left_beside_it(own: SimpleNamespace):
    own.path.chmod(0o644)

    export(own.opened, own.path, own.key)

    assert own.path.stat().st_mode & 0o777 == 0o600
    assert names(own.path.parent) == ["keys.bundle"]


@pytest.mark.parametrize("where", ["missing/keys.bundle", ".", "file/keys.bundle", "pipe"])
def test_what_cannot_be_written_is_reported_and_leaves_no_event(own: SimpleNamespace, tmp_path: Path, where: str):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    before, settings = names(tmp_path), dict(own.opened.store.settings)

    with pytest.raises(UsageError, match="cannot write the bundle"):
        export(own.opened, tmp_path / where, own.key)

    own.opened.store.reload()
    assert own.opened.store.settings.get("bundle_sequence") == str(own.header.sequence)
    assert names(tmp_path) == before
    assert settings


def test_a_reader_never_sees_half_a_bundle(own: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    own.opened.mint(count=40)
    export(own.opened, own.path, own.key)
    monkeypatch.setattr(bundle_export, "_PAGE", 7)
    stop, counts = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            counts.add(read_all(own.path, own.key))

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for _ in range(8):
            export(own.opened, own.path, own.key)
        stop.set()
        reader.result(20)

    assert counts == {41}


def test_export_reads_the_store_in_pages(own: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    own.opened.mint(count=20, owner="acme")
    monkeypatch.setattr(bundle_export, "_PAGE", 7)
    read: list[int] = []
    by_prefix = bundle_export.keys.by_prefix

    def counted(*args: Any, **how: Any) -> Any:
        found = by_prefix(*args, **how)
        read.append(len(found))
        return found

    monkeypatch.setattr(bundle_export.keys, "by_prefix", counted)

    export(own.opened, own.path, own.key)

    assert read == [7, 7, 7, 0]
    assert read_all(own.path, own.key) == 21 + 1 + 1


# ── an application's bundle is followed ──────────────────────────────────────────────────────────────────────────────


class Seconds:
    """One time for the verifier's clock and its timer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self) -> float:
        return self._clock.now.timestamp()


def following(own: SimpleNamespace, **how: Any) -> Verifier:
    trust = [own.key.public_text]
    return Verifier.from_bundle(own.path, trust, clock=own.clock, timer=Seconds(own.clock), **how)


def test_a_new_bundle_takes_effect_within_refresh_seconds(own: SimpleNamespace):
    verifier = following(own)
    own.clock.advance(seconds=0.9)
    assert verifier.verify(own.text)

    own.opened.admin.revoke(Selection.named(own.id))
    export(own.opened, own.path, own.key)
    assert verifier.verify(own.text)
    own.clock.advance(seconds=0.6)  # the key itself was looked up less than a second ago

    assert verifier.verify(own.text).code is Code.KEY_REVOKED
    verifier.close()


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_bad_new_bundle_keeps_the_old_one_until_it_is_too_old_and_says_so_once(
    own: SimpleNamespace, caplog: pytest.LogCaptureFixture, content: bytes | None
):
    verifier = following(own)
    good = own.path.read_bytes()
    bad = own.path.with_name("bad")
    if content is None:
        own.path.unlink()
    else:
        bad.write_bytes(content)
        bad.replace(own.path)

    with caplog.at_level(logging.WARNING, "keyctl.bundle"):
        for _ in range(3):
            own.clock.advance(seconds=1)
            assert verifier.verify(own.text)
    assert len(caplog.messages) == 1
    assert "the bundle of 2026-01-01T12:00:00Z stays in use" in caplog.text

    own.clock.advance(hours=24)
    decision = verifier.verify(own.text)
    assert (decision.code, decision.reason, decision.record) == (Code.UNTRUSTED_BUNDLE, "age", None)
    bad.write_bytes(good)
    bad.replace(own.path)
    own.clock.advance(seconds=1)
    assert verifier.verify(own.text).code is Code.UNTRUSTED_BUNDLE
    # A good one ends it, however long it took.
    export(own.opened, own.path, own.key)
    own.clock.advance(seconds=1)
    assert verifier.verify(own.text)
    verifier.close()


def test_an_older_bundle_is_not_followed(own: SimpleNamespace, caplog: pytest.LogCaptureFixture):
    old = own.path.read_bytes()
    own.clock.advance(seconds=10)
    own.opened.admin.revoke(Selection.named(own.id))
    export(own.opened, own.path, own.key)
    verifier = following(own)

    own.path.with_name("old").write_bytes(old)
    own.path.with_name("old").replace(own.path)
    own.clock.advance(seconds=1)

    assert verifier.verify(own.text).code is Code.KEY_REVOKED
    assert "is older than one seen before" in caplog.text
    verifier.close()


def test_what_was_wrong_with_a_bundle_may_pass(own: SimpleNamespace):
    """The file stays the same; its time comes."""
    verifier = following(own)
    own.opened.admin.revoke(Selection.named(own.id))
    early = Opened(own.opened.store, Clock(own.clock.now + timedelta(minutes=10)))
    export(early, own.path, own.key)
    own.clock.advance(seconds=1)
    assert verifier.verify(own.text)

    own.clock.advance(minutes=5)

    assert verifier.verify(own.text).code is Code.KEY_REVOKED
    verifier.close()


def test_the_first_bundle_must_be_good(own: SimpleNamespace):
    own.clock.advance(hours=24)
    with pytest.raises(BundleUntrusted) as error:
        following(own)
    assert error.value.reason == "age"
    with pytest.raises(BundleUntrusted):
        Verifier.from_bundle(own.path, ["A" * 43])
    with pytest.raises(UsageError, match="is not a public key"):
        Verifier.from_bundle(own.path, ["short"])


def test_the_bundles_age_is_bounded_by_who_uses_it(own: SimpleNamespace):
    verifier = following(own, max_age=HOURS)
    assert verifier.verify(own.text)

    own.clock.advance(hours=1, seconds=1)

    assert verifier.verify(own.text).reason == "age"
    assert verifier.verify_request("GET", "/", [("authorization", f"Bearer {own.text}")]).reason == "age"
    assert verifier.verify_request("GET", "/", []).code is Code.UNTRUSTED_BUNDLE
    verifier.close()


def test_threads_share_a_bundle_that_is_replaced_meanwhile(own: SimpleNamespace):
    minted = [own.text, *(each.text for each in own.opened.mint(count=20, owner="acme"))]
    export(own.opened, own.path, own.key)
    verifier = following(own, cache_size=0)
    end = time.monotonic() + 1.0

    def verify(i: int) -> int:
        done = 0
        while time.monotonic() < end:
            assert verifier.verify(minted[(i + done) % len(minted)])
            done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(verify, i) for i in range(8)]
        while time.monotonic() < end:
            own.clock.advance(seconds=1)
            export(own.opened, own.path, own.key)
        assert sum(each.result(20) for each in running) > 8
    gc.collect()  # bundles that were let go close their files without a word
    verifier.close()


# ── what was seen is kept ────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_accepted_is_kept_for_each_store(own: SimpleNamespace, tmp_path: Path):
    state = BundleState(tmp_path / "state/bundles.json")
    assert state.seen(own.store_id) is None

    FollowedBundle(own.path, trust=trusting(own.key), state=state, clock=own.clock).close()

    assert state.seen(own.store_id) == Seen(own.header.sequence, own.header.made_at)
    assert state.seen("another") is None
    state.remember(replace(own.header, sequence=own.header.sequence - 1, made_at=NOW - HOURS))
    assert state.seen(own.store_id) == Seen(own.header.sequence, own.header.made_at)
    assert (tmp_path / "state/bundles.json").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path / "state") == ["bundles.json", "bundles.lock"]


def test_what_is_not_accepted_is_not_kept(own: SimpleNamespace, tmp_path: Path):
    state = BundleState(tmp_path / "bundles.json")
    own.clock.advance(hours=24)

    with pytest.raises(BundleUntrusted):
        FollowedBundle(own.path, trust=trusting(own.key), state=state, clock=own.clock)

    assert state.seen(own.store_id) is None


def test_going_back_is_refused(own: SimpleNamespace, tmp_path: Path):
    state, old = BundleState(tmp_path / "bundles.json"), own.path.read_bytes()
    own.clock.advance(hours=1)
    export(own.opened, own.path, own.key)
    FollowedBundle(own.path, trust=trusting(own.key), state=state, clock=own.clock).close()

    own.path.write_bytes(old)

    with pytest.raises(BundleUntrusted) as error:
        FollowedBundle(own.path, trust=trusting(own.key), state=state, clock=own.clock)
    assert error.value.reason == "sequence"
    assert "--no-state" in str(error.value.hint)
    FollowedBundle(own.path, trust=trusting(own.key), clock=own.clock).close()


def test_many_keep_what_they_saw_at_once(own: SimpleNamespace, tmp_path: Path):
    path = tmp_path / "bundles.json"
    headers = [replace(own.header, store_id=f"s{i % 4}", sequence=i) for i in range(40)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(BundleState(path).remember, headers))

    assert {name: pair[0] for name, pair in json.loads(path.read_text()).items()} == {
        "s0": 36,
        "s1": 37,
        "s2": 38,
        "s3": 39,
    }


@pytest.mark.parametrize(
    "content",
    [
        *("", "nonsense", "[]", "7", '{"x": 7}', '{"x": [1]}', '{"x": [1, "2"]}', '{"x": [NaN, 1]}', "[" * 200_000),
        '{"STORE": [1, 9999999999999999999999]}',
    ],
)
def test_a_state_that_cannot_be_read_believes_nothing(own: SimpleNamespace, tmp_path: Path, content: str):
    (tmp_path / "bundles.json").write_text(content.replace("STORE", own.store_id))
    state = BundleState(tmp_path / "bundles.json")

    with pytest.raises(ConfigurationInvalid) as error:
        FollowedBundle(own.path, trust=trusting(own.key), state=state, clock=own.clock)

    assert "--no-state" in str(error.value.hint)


def test_a_state_that_cannot_be_kept_believes_nothing(own: SimpleNamespace, tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationInvalid):
        FollowedBundle(
            own.path, trust=trusting(own.key), state=BundleState(tmp_path / "file/bundles.json"), clock=own.clock
        )


# ── keys of signers ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signing_key_is_its_owners_alone(tmp_path: Path):
    path = tmp_path / "folder/signing"

    key = SigningKey.create(path)

    private = path.read_text().split()[1]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert SigningKey.load(path).public_text == key.public_text
    assert len(key.public_text) == 43
    assert private not in repr(key) + str(key) + repr(vars(key))
    content = path.read_bytes()
    with pytest.raises(Refused, match="already"):
        SigningKey.create(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o666])
def test_a_signing_key_that_others_may_read_is_refused(tmp_path: Path, mode: int):
    SigningKey.create(tmp_path / "signing")
    (tmp_path / "signing").chmod(mode)

    with pytest.raises(Refused) as error:
        SigningKey.load(tmp_path / "signing")

    assert error.value.hint == f"chmod 600 {tmp_path / 'signing'}"


def test_a_file_that_is_no_signing_key_is_refused_and_not_shown(tmp_path: Path):
    path = tmp_path / "signing"
    key = SigningKey.create(path)
    whole = path.read_text()
    public = key.public_text  # as long as a private one, and not secret

    near = ("", "\n", public, f"{public}\n", whole[:-3], whole + "x", whole.replace("v1", "v2"), "é", "x" * 10_000)
    for text in near:
        path.write_text(text)
        with pytest.raises(UsageError) as error:
            SigningKey.load(path)
        assert whole.split()[1] not in f"{error.value} {error.value.hint}"
    with pytest.raises(UsageError):
        SigningKey.load(tmp_path)
    with pytest.raises(NotFound):
        SigningKey.load(tmp_path / "missing")


KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def test_trust_names_a_key_and_perhaps_a_store():
    assert parse_trust(KEY) == Trust(bytes(range(32)))
    assert parse_trust(f"store_1:{KEY}") == Trust(bytes(range(32)), "store_1")


@pytest.mark.parametrize(
    "text", ["", ":", "store_1:", KEY[:-1], KEY + "A", KEY + "=", " " + KEY, KEY + "\n", KEY[:-1] + "9", "\udc80" * 43]
)
def test_near_misses_of_a_public_key_are_refused(text: str):
    with pytest.raises(UsageError) as error:
        parse_trust(text)

    assert error.value.hint == "the signer prints it: keyctl bundle key"


# ── a reader written from the documentation alone ────────────────────────────────────────────────────────────────────


def test_the_documentation_suffices_for_a_second_reader(made: SimpleNamespace, tmp_path: Path):
    assert len((Path(__file__).parent.parent / "second_reader.py").read_text().splitlines()) < 80
    for path in (made.path, made.nameless):
        reader = SecondReader(path, made.key.public_text, made.now)
        for kind, prefix in made.prefixes.items():
            record, row = made.opened.store.find(prefix), reader.key(prefix)
            assert row is not None, kind
            assert (row["phc"], row["scopes"]) == (record.key.phc, list(record.key.scopes))
            assert (row["allowed_ips"], row["environment"]) == (list(record.key.allowed_ips), record.key.environment)
            assert (row["revoked_at"] is None) == (record.key.revoked_at is None)
            chain = reader.owners(row["owner_id"])
            assert [one["disabled_at"] is None for one in chain] == [owner.active for owner in record.owners]
        assert reader.key(made.prefixes["plain"] + "x") is None
        assert reader.rules["profile"]["name"] == "standard"


def test_the_second_reader_is_not_fooled(made: SimpleNamespace, tmp_path: Path):
    path = tmp_path / "keys.bundle"
    whole = made.path.read_bytes()
    trusted = made.key.public_text

    path.write_bytes(whole.replace(b'"version":1', b'"version":2'))
    with pytest.raises(InvalidSignature):
        SecondReader(path, trusted, made.now)
    for trust, now in ((trusted, made.now + 24 * HOURS), (trusted, made.now - HOURS), (KEY, made.now)):
        with pytest.raises(ValueError, match=r"not now|signer"):
            SecondReader(made.path, trust, now)
    line, _, body = whole.partition(b"\n")
    prefix = made.prefixes["plain"].encode()
    path.write_bytes(line + b"\n" + body.replace(b'["' + prefix, b'["' + prefix[::-1]))
    with pytest.raises(ValueError, match="altered"):
        SecondReader(path, trusted, made.now).find("keys", made.prefixes["plain"])


# ── anything that a trusted signer might sign ────────────────────────────────────────────────────────────────────────


def written(path: Path, key: SigningKey, header: Any, rules: Any, rows: Any) -> Path:
    """Write a bundle of these parts, with every reference, digest and signature right."""
    body = io.BytesIO()
    writer = TableWriter(body)
    references: dict[str, Any] = {name: writer.write_table(rows[name]) for name in TABLES}
    references["rules"] = writer.write_block("", to_json(rules))
    return sign(path, key, to_json({**header, **references}), body.getvalue())


@pytest.fixture(scope="module")
def parts(made: SimpleNamespace) -> dict[str, Any]:
    """The parts of a bundle as JSON values: header, rules, and the rows of its tables."""
    header, body = split(made.path)
    _, offset, length, _ = json.loads(header)["rules"]
    with closing(Bundle(made.path, trust=trusting(made.key))) as bundle:
        rows = {name: [list(row) for row in bundle._tables[name].every()] for name in TABLES}
    return {"header": json.loads(header), "rules": json.loads(body[offset : offset + length]), "rows": rows}


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": 7}])
def test_a_handle_without_an_owner_is_refused(
    made: SimpleNamespace, parts: dict[str, Any], tmp_path: Path, row: dict[str, Any]
):
    rows = parts["rows"] | {"handles": [["acme", row]]}
    path = written(tmp_path / "altered.bundle", made.key, parts["header"], parts["rules"], rows)

    with closing(Bundle(path, trust=trusting(made.key))) as bundle, pytest.raises(BundleUntrusted) as error:
        bundle.find_owners("acme")

    assert error.value.reason == "damaged"


@examples(100, 10_000)
@given(data=st.data(), part=st.sampled_from(["header", "rules", "rows"]))
def test_what_a_trusted_signer_signs_is_read_or_is_untrusted(
    made: SimpleNamespace, parts: dict[str, Any], tmp_path: Path, data: st.DataObject, part: str
):
    altered = parts | {part: data.draw(mutated_document(st.just(parts[part])))}
    path = tmp_path / "altered.bundle"
    try:
        written(path, made.key, **altered)
    except (AttributeError, KeyError, TypeError, ValueError):
        return  # no writer could

    try:
        read_all(path, made.key)
        verifier = Verifier(FollowedBundle(path, trust=trusting(made.key), clock=lambda: made.now))
        codes = {str(verifier.verify(text, ip="192.0.2.1", resource_owner="acme").code) for text in made.texts.values()}
    except BundleUntrusted:
        return
    assert codes <= set(Code)


def test_a_successor_without_its_predecessor_has_the_lineage(own: SimpleNamespace):
    """What counts for both is counted by it, also where the bundle does not hold the first key."""
    new = own.opened.rotate(own.prefix, grace=timedelta(0)).record.key
    path = own.path.with_name("live.bundle")
    export(own.opened, path, own.key, filters=Filters(statuses=(Status.ACTIVE,)))

    bundle = Bundle(path, trust=trusting(own.key))

    found, gone = bundle.find(new.prefix), bundle.find(own.prefix)
    assert gone is None
    assert found
    assert found.key.lineage == own.id == new.replaces
    bundle.close()
