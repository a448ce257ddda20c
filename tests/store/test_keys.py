from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl.errors import NotFound, UsageError
from keyctl.hashing import Argon2id, Sha256
from keyctl.models import Key, KeyRecord, Owner, Status
from keyctl.store import key_pages, keys, owners
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.schema import ddl
from keyctl.store.selection import Filters, Selection
from keyctl.text import visible
from keyctl.times import to_milliseconds
from tests import postgres
from tests.fuzzing import JSON, examples, mutated
from tests.stores import CHEAP, NOW, Opened, new_store

SECOND = timedelta(seconds=1)
# owner0 is above owner1, and that is above owner2.
PARENTS = {"own_0": None, "own_1": "own_0", "own_2": "own_1"}
OWNERS = [
    Owner(f"own_{i}", f"owner{i}", None, "account", above, plan, {}, NOW, "tester", disabled_at=NOW if i == 2 else None)
    for i, (above, plan) in enumerate(zip(PARENTS.values(), [None, "free", "free"], strict=True))
]
BY_ID = {owner.id: owner for owner in OWNERS}
# Each owner, with itself and those above it.
CHAINS = {None: [], "own_0": ["own_0"], "own_1": ["own_1", "own_0"], "own_2": ["own_2", "own_1", "own_0"]}
# Few values and close together, so that ties, limits and equal sort columns happen all the time.
moments = st.sampled_from([NOW + i * SECOND for i in (-86400, -2, -1, 0, 1, 2, 86400)])
maybe = moments | st.none()
names = st.none() | st.text("aB*?%_\\\"'é🙂", max_size=3)
globs = st.text("aB*?%_\\'é🙂", max_size=3)
durations = st.none() | st.sampled_from([timedelta(0), SECOND, 2 * SECOND, timedelta(days=1)])
scopes = ["read", "write", "re", "a_min", "a-min"]


@st.composite
def stored_keys(draw: st.DrawFn) -> list[Key]:
    drawn = draw(
        st.lists(
            st.builds(
                Key,
                id=st.uuids().map(str),
                prefix=st.uuids().map(str),
                phc=st.just("$phc"),
                name=names,
                owner_id=st.none() | st.sampled_from([owner.id for owner in OWNERS]),
                environment=st.sampled_from(["live", "test"]),
                scopes=st.lists(st.sampled_from(scopes), unique=True).map(tuple),
                allowed_ips=st.just(()),
                metadata=st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", '"', "\\", '"a":"1"'])),
                created_at=moments,
                created_by=st.just("tester"),
                lineage=st.just("key_first"),
                delivered_at=maybe,
                expires_at=maybe,
                locked_at=maybe,
                locked_until=maybe,
                revoked_at=maybe,
                revoked_reason=st.none(),
                replaces=st.none(),
                replaced_by=st.none() | st.just("key_other"),
                last_used_at=maybe,
            ),
            max_size=12,
            unique_by=(lambda key: key.id, lambda key: key.prefix),
        )
    )
    return [replace(key, locked_until=key.locked_until if key.locked_at else None) for key in drawn]


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=2).map(tuple)


statuses, owner_ids = st.sampled_from(list(Status)), st.sampled_from([owner.id for owner in OWNERS])
pairs = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["1", '"', "\\"]))
filters_of_any_kind = st.builds(
    Filters,
    statuses=some(statuses),
    owner_ids=some(owner_ids),
    environments=some(st.just("live")),
    scopes=some(st.sampled_from(scopes)),
    plans=some(st.sampled_from(["free", "paid"])),
    metadata=some(pairs),
    names=some(globs),
    created_by=some(st.sampled_from(["TEST", "*er", "x"])),
    created_since=maybe,
    created_before=maybe,
    expires_within=durations,
    older_than=durations,
    unused_for=durations,
    below=st.booleans(),
    due_after=durations,
)
# One filter at a time finds something more often than all together.
filters_alone = st.one_of(
    st.just(Filters()),
    st.builds(Filters, statuses=some(statuses)),
    st.builds(Filters, names=some(globs)),
    st.builds(Filters, created_since=maybe, created_before=maybe),
    st.builds(Filters, expires_within=durations),
    st.builds(Filters, older_than=durations),
    st.builds(Filters, unused_for=durations),
    st.builds(Filters, scopes=some(st.sampled_from(scopes))),
    st.builds(Filters, plans=some(st.sampled_from(["free", "paid"]))),
    st.builds(Filters, metadata=some(pairs)),
    st.builds(Filters, due_after=durations),
    st.builds(Filters, owner_ids=some(owner_ids), below=st.just(True)),
)


def like(text: str | None, pattern: str) -> bool:
    """Whether a text contains another, or matches it as a pattern, whatever the case."""
    glob = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    whole = glob if {"*", "?"} & set(pattern) else f".*{glob}.*"
    return text is not None and re.fullmatch(whole, text, re.DOTALL | re.IGNORECASE) is not None


def has_metadata(key: Key, wanted: Filters) -> bool:
    names = {name for name, _ in wanted.metadata}
    return all(any(key.metadata.get(name) == value for own, value in wanted.metadata if own == name) for name in names)


def record_of(key: Key) -> KeyRecord:
    return KeyRecord(key, tuple(BY_ID[owner_id] for owner_id in CHAINS[key.owner_id]))


def matches(key: Key, wanted: Filters) -> bool:
    """What a filter means, in plain Python."""
    used = key.last_used_at or key.created_at
    record = record_of(key)
    status = record.status(NOW)
    return all(
        [
            not wanted.statuses or status in wanted.statuses,
            not wanted.owner_ids
            or {*(CHAINS[key.owner_id] if wanted.below else [key.owner_id])} & set(wanted.owner_ids),
            not wanted.environments or key.environment in wanted.environments,
            not wanted.scopes or set(wanted.scopes) & set(key.scopes),
            not wanted.plans or (record.owner is not None and record.owner.plan in wanted.plans),
            has_metadata(key, wanted),
            not wanted.names or any(like(key.name, one) for one in wanted.names),
            not wanted.created_by or any(like(key.created_by, one) for one in wanted.created_by),
            wanted.created_since is None or key.created_at >= wanted.created_since,
            wanted.created_before is None or key.created_at < wanted.created_before,
            wanted.expires_within is None
            or (key.expires_at is not None and NOW < key.expires_at <= NOW + wanted.expires_within),
            wanted.older_than is None or key.created_at <= NOW - wanted.older_than,
            wanted.unused_for is None or used <= NOW - wanted.unused_for,
            wanted.due_after is None or (status == Status.ACTIVE and key.created_at <= NOW - wanted.due_after),
        ]
    )


def sort_key(sort: str, key: Key) -> Any:
    far = 2**62
    return {
        "created": to_milliseconds(key.created_at),
        "expires": to_milliseconds(key.expires_at) if key.expires_at else far,
        "last-used": to_milliseconds(key.last_used_at) if key.last_used_at else 0,
        "name": (key.name or "").encode(),
        "owner": next((owner.handle for owner in OWNERS if owner.id == key.owner_id), "").encode(),
        "prefix": key.prefix.encode(),
        "status": list(reversed(Status)).index(record_of(key).status(NOW)),
    }[sort]


@pytest.fixture(scope="module")
def shared(database: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A store whose every example is a dry run."""
    with ExitStack() as stack:
        if database == "sqlite":
            opened = new_store(tmp_path_factory.mktemp("shared") / "keys.db")
        else:
            server, contents = map(request.getfixturevalue, ("postgres_server", "empty_store"))
            url = stack.enter_context(postgres.schema(server, ddl("postgresql").rstrip(";"), contents))
            opened = Opened(Store(StoreLocation.parse(url)))
        opened.store.write(lambda connection: [owners.add(connection, owner) for owner in OWNERS])
        yield opened
        opened.store.close()


@examples(60, 2_000)
@given(
    stored=stored_keys(),
    wanted=filters_alone | filters_of_any_kind,
    sort=st.sampled_from(sorted(key_pages.SORTS)),
    reverse=st.booleans(),
    limit=st.integers(1, 5),
)
def test_pages_hold_what_filtering_in_python_finds_each_once_and_in_order(
    shared: Opened, stored: list[Key], wanted: Filters, sort: str, reverse: bool, limit: int
):
    descending = (sort == "created") ^ reverse
    expected = sorted(
        (key for key in stored if matches(key, wanted)),
        key=lambda key: (sort_key(sort, key), key.id),
        reverse=descending,
    )

    def work(connection: keys.Connection) -> None:
        if stored:
            keys.add(connection, stored)
        how = {"now": NOW, "sort": sort, "reverse": reverse}
        whole = key_pages.page(connection, wanted, limit=None, **how)
        pages = [key_pages.page(connection, wanted, limit=limit, **how)]
        while pages[-1].next:
            assert len(pages) <= len(stored)
            pages.append(key_pages.page(connection, wanted, limit=limit, after=pages[-1].next, **how))

        assert [record.key for record in whole.records] == expected
        assert [record.key for page in pages for record in page.records] == expected
        assert all(len(page.records) == limit for page in pages[:-1])
        assert len(pages[-1].records) or len(pages) == 1
        by_id = {owner.id: owner for owner in OWNERS}
        assert all(record.owner == by_id.get(record.key.owner_id or "") for record in whole.records)

    shared.store.write(work, dry_run=True)


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "é", "5", "="),
        *(5, [], [1], {}, None, ["created", 1, 2], ["name", 1, "b"], ["created", None, "x"], ["phc", "a", "b"]),
        *(["created  --reverse", 1, "x"], ["created --all", 1, "x"], [["created"], 1, "x"]),
        *(["created", 10**30, "x"], ["created", -(10**30), "x"], ["created", "a", "x"], ["created", True, "x"]),
        *(["created", 1.0, "x"], ["created", 1, "\0"], ["created", 1, "\ud800"], ["created", 1, "x", "y"]),
        "W1tb" * 40_000,  # brackets, more than the recursion allows
    ],
    ids=lambda cursor: str(cursor)[:30],
)
def test_a_text_that_is_no_cursor_of_this_list_is_a_usage_error(opened: Opened, cursor: object):
    if not isinstance(cursor, str):
        cursor = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")

    with opened.store.read() as connection, pytest.raises(UsageError, match="not a valid cursor for this") as error:
        key_pages.page(connection, Filters(), now=NOW, after=cursor)

    assert error.value.hint == "use the last one that keyctl list --sort created printed"


@pytest.mark.parametrize(
    ("written", "value", "read"),
    [("name", "a", "created"), ("created --reverse", 1, "created"), ("owner", "acme", "name"), ("status", 2, "name")],
)
def test_a_cursor_of_another_order_is_refused_with_the_order_to_ask_for(
    opened: Opened, written: str, value: object, read: str
):
    cursor = key_pages._write_cursor(written, value, "key_1")

    with opened.store.read() as connection, pytest.raises(UsageError, match=f"--sort {written}") as error:
        key_pages.page(connection, Filters(), now=NOW, sort=read, after=cursor)

    assert error.value.hint == f"continue that list: --sort {written} --after CURSOR"


@pytest.mark.parametrize("value", ["\0", "\ud800", 1, None])
def test_a_cursor_holds_nothing_that_a_column_cannot(opened: Opened, value: object):
    cursor = key_pages._write_cursor("name", value, "x")

    with opened.store.read() as connection, pytest.raises(UsageError, match="not a valid cursor"):
        key_pages.page(connection, Filters(), now=NOW, sort="name", after=cursor)


cursors = mutated(
    st.sampled_from(
        [key_pages._write_cursor("created", 1782907200000, "key_1"), key_pages._write_cursor("name", "é", "x")]
    )
) | st.lists(st.sampled_from(sorted(key_pages.SORTS)) | JSON, max_size=4).map(
    lambda content: base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
)


@examples(100, 10_000)
@given(cursor=cursors, sort=st.sampled_from(sorted(key_pages.SORTS)), reverse=st.booleans())
def test_a_cursor_is_refused_or_reads_as_it_is_written(shared: Opened, cursor: str, sort: str, reverse: bool):
    with shared.store.read() as connection:
        try:
            key_pages.page(connection, Filters(), now=NOW, sort=sort, reverse=reverse, after=cursor or None)
        except UsageError:
            return
    order = f"{sort} --reverse" if reverse else sort
    assert not cursor or key_pages._write_cursor(order, *key_pages._read_cursor(cursor, order)) == cursor


@examples(100, 10_000)
@example(selector="\0")
@example(selector="\ud800")
@given(selector=mutated(st.sampled_from(["kc_live_0123456789ab", "key_01JZ2Q3V4W5X6Y7Z8A9B0C1D2E", "%", "acme"])))
def test_a_selector_of_any_text_finds_nothing_and_says_so(shared: Opened, selector: str):
    for find in (
        lambda connection: keys.get(connection, selector, beginning=1),
        lambda connection: keys.selected(connection, Selection.named(selector), now=NOW, for_change=True),
        lambda connection: owners.get(connection, selector),
    ):
        with pytest.raises((NotFound, UsageError)) as error:
            shared.store.write(find, dry_run=True)
        assert visible(error.value.message) == error.value.message
    with shared.store.read() as connection:
        assert keys.find(connection, "kc") is None


def test_a_cursor_stays_good_when_its_key_is_gone_from_the_list(opened: Opened):
    for i in range(4):
        opened.mint(name=f"key {i}")
        opened.clock.advance(seconds=1)
    wanted = Filters(statuses=(Status.ACTIVE,))
    with opened.store.read() as connection:
        first = key_pages.page(connection, wanted, now=NOW, limit=2)

    opened.admin.revoke(Selection.named(first.records[-1].key.prefix))

    with opened.store.read() as connection:
        second = key_pages.page(connection, wanted, now=NOW, limit=2, after=first.next)
    assert [record.key.name for record in (*first.records, *second.records)] == ["key 3", "key 2", "key 1", "key 0"]


def test_a_list_may_hold_the_keys_of_more_owners_than_a_statement_takes_values(opened: Opened):
    count = 1_000
    many = [
        replace(OWNERS[0], id=f"own_{i:06}", handle=f"o{i}", parent_id="own_000000" if i else None)
        for i in range(count)
    ]
    key = opened.mint()[0].record.key

    def work(connection: keys.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)  # what it was before SQLite 3.32
        for owner in many:
            owners.add(connection, owner)
        keys.add(connection, [replace(key, id=one.id, prefix=one.id, owner_id=one.id) for one in many])
        page = key_pages.page(connection, Filters(), now=NOW, limit=None)
        assert len(page.records) == count + 1
        assert all(record.owners[-1].id == "own_000000" for record in page.records if record.owners)
        found = keys.selected(connection, Selection.named(*(one.id for one in many)), now=NOW, for_change=True)
        assert len(found) == count

    opened.store.write(work, dry_run=True)


def test_a_beginning_selects_only_one_key_and_only_where_it_is_allowed(opened: Opened):
    first, second = (one.record.key for one in opened.mint(count=2))

    def look(selector: str, beginning: int | None = 8) -> str:
        with opened.store.read() as connection:
            return keys.get(connection, selector, beginning=beginning).key.prefix

    assert look(first.prefix) == look(first.id) == look(first.prefix[:14]) == first.prefix
    assert look(second.prefix[:14]) == second.prefix
    for selector, beginning, message in [
        ("kc_live_", 8, "matches several keys"),
        (first.prefix[:7], 8, "no key"),
        (first.prefix[:-1], None, "no key"),
        ("kc_l%", 4, "no key"),
        ("kc_live_" + "_" * 12, 8, "no key"),
        (first.prefix.swapcase(), 8, "no key"),
        ("", 0, "no key"),
    ]:
        with pytest.raises(NotFound, match=message):
            look(selector, beginning)


def test_keys_are_counted_and_found_by_how_they_are_hashed(opened: Opened):
    schemes = [CHEAP, CHEAP, Argon2id(8, 1, 1, pepper="old"), Argon2id(8, 1, 1, pepper="older"), Sha256(pepper="old")]
    hashes = [*(scheme.decoy() for scheme in schemes), Sha256().decoy(), Sha256().decoy(), "$", "x" * 200]
    made = [one.record.key for one in opened.mint(count=len(hashes) + 2)]
    opened.admin.revoke(Selection.named(made[-1].prefix))
    opened.admin.expire(Selection.named(made[-2].prefix), "1s")
    opened.clock.advance(seconds=2)
    for key, phc in zip(made, hashes, strict=False):
        opened.store.write(lambda connection, key=key, phc=phc: keys.set_on(connection, {key.id: {"phc": phc}}))

    def found(pepper: str) -> set[int]:
        page = key_pages.page(connection, Filters(peppers=(pepper,)), now=opened.clock.now)
        return {made.index(next(key for key in made if key.id == one.key.id)) for one in page.records}

    with opened.store.read() as connection:
        counts = keys.count_by_scheme(connection, now=opened.clock.now)
        assert counts == {**Counter(schemes), Sha256(): 2, None: 2}
        assert found("old") == {2, 4}
        assert found("older") == {3}
        assert found("other") == found("o%") == set()
        assert found("none") == set(range(len(made))) - {2, 3, 4}


def test_columns_of_one_key_are_set_and_no_others(opened: Opened):
    one, other = (minted.record.key for minted in opened.mint(count=2))

    opened.store.write(lambda connection: keys.set_on(connection, {one.id: {"name": "new"}}))

    with opened.store.read() as connection:
        assert keys.get(connection, one.id).key == replace(one, name="new")
        assert keys.get(connection, other.id).key == other


def test_more_keys_than_a_statement_takes_are_set_and_looked_for(opened: Opened):
    made = [minted.record.key for minted in opened.mint(count=1001)]

    with opened.store.read() as connection:
        taken = keys.taken(connection, [*(key.prefix for key in made), "kc_live_nobody"])
    chosen = Selection.named(*(key.prefix for key in made), made[0].id)
    records = opened.store.write(lambda connection: keys.selected(connection, chosen, now=NOW, for_change=True))

    assert taken == {key.prefix for key in made}
    assert [record.key for record in records] == made
