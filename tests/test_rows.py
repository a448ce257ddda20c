from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.models import Key, Owner
from keyctl.rows import (
    KEY_COLUMNS,
    OWNER_COLUMNS,
    RowDamaged,
    decode_key,
    decode_owner,
    encode,
    encode_key,
    encode_owner,
)
from tests.samples import NOW, key, owner

NAIVE = NOW.replace(tzinfo=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.integers(-(10**12), 10**14).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
optional = st.none() | moments
lists = st.lists(texts, max_size=4).map(tuple)
keys = st.builds(
    key,
    id=texts,
    prefix=texts,
    name=st.none() | texts,
    owner_id=st.none() | texts,
    scopes=lists,
    allowed_ips=lists,
    metadata=st.dictionaries(texts, texts, max_size=4),
    created_at=moments,
    revoked_reason=st.none() | texts,
    replaces=st.none() | texts,
    replaced_by=st.none() | texts,
    lineage=texts,
    **dict.fromkeys(
        ["delivered_at", "expires_at", "locked_at", "locked_until", "revoked_at", "last_used_at"], optional
    ),
)
attributes = st.dictionaries(
    texts, texts | st.integers(-(10**15), 10**15) | st.booleans() | st.lists(texts, max_size=3)
)
owners = st.builds(
    owner, handle=texts, name=st.none() | texts, attributes=attributes, created_at=moments, disabled_at=optional
)


def through_sqlite(columns: dict[str, Any]) -> sqlite3.Row:
    """Write a row to a real database, and read it back."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    try:
        connection.execute(f"create table t ({', '.join(columns)})")
        connection.execute(f"insert into t values ({', '.join('?' * len(columns))})", tuple(columns.values()))
        row: sqlite3.Row = connection.execute("select * from t").fetchone()
        return row
    finally:
        connection.close()


@given(keys)
def test_a_key_comes_back_from_the_database_as_it_was(one: Key):
    assert decode_key(through_sqlite(encode_key(one))) == one


@given(owners)
def test_an_owner_comes_back_from_the_database_as_it_was(one: Owner):
    assert decode_owner(through_sqlite(encode_owner(one))) == one


def test_every_field_has_its_column():
    assert tuple(encode_key(key())) == KEY_COLUMNS
    assert tuple(encode_owner(owner())) == OWNER_COLUMNS
    assert {"phc", "last_used_at", "locked_until"} <= set(KEY_COLUMNS)


def test_a_row_is_as_readers_in_other_languages_expect_it():
    row = encode_key(key(scopes=("b", "a"), metadata={"team": "ä"}, allowed_ips=("192.0.2.0/24",), expires_at=NOW))

    assert row["scopes"] == '["b","a"]'
    assert row["metadata"] == '{"team":"ä"}'
    assert row["allowed_ips"] == '["192.0.2.0/24"]'
    assert row["expires_at"] == 1782907200000
    assert row["revoked_at"] is None


@pytest.mark.parametrize("zone", [timezone(timedelta(hours=hours)) for hours in (-9, 2, 14)], ids=str)
def test_a_time_of_any_zone_is_kept_as_the_same_instant_and_comes_back_in_utc(zone: timezone):
    read = decode_key(encode_key(key(expires_at=NOW.astimezone(zone))))

    assert read.expires_at == NOW
    assert read.expires_at.tzinfo is UTC


@pytest.mark.parametrize(
    "name",
    ["created_at", "delivered_at", "expires_at", "locked_at", "locked_until", "revoked_at", "last_used_at"],
)
def test_a_naive_time_never_reaches_a_row(name: str):
    with pytest.raises(ValueError, match="naive"):
        encode_key(key(**{name: NAIVE}))
    with pytest.raises(ValueError, match="naive"):
        encode({name: NAIVE})


@pytest.mark.parametrize("name", ["created_at", "disabled_at"])
def test_a_naive_time_of_an_owner_never_reaches_a_row(name: str):
    with pytest.raises(ValueError, match="naive"):
        encode_owner(replace(owner(), **{name: NAIVE}))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("scopes", "not JSON"),
        ("scopes", ""),
        ("scopes", None),
        ("scopes", "5"),
        ("allowed_ips", "["),
        ("metadata", "{"),
        ("metadata", None),
        ("created_at", "yesterday"),
        ("created_at", None),
        ("expires_at", 10**30),
        ("revoked_at", "1782907200000"),
    ],
)
def test_a_damaged_row_is_named_by_what_is_public(column: str, value: object):
    row = encode_key(key()) | {column: value}

    with pytest.raises(RowDamaged) as error:
        decode_key(row)

    assert key().prefix in str(error.value)
    assert key().phc not in str(error.value)


def test_a_damaged_owner_is_named():
    with pytest.raises(RowDamaged, match="owner acme was altered"):
        decode_owner(encode_owner(owner("acme")) | {"attributes": json.dumps({})[:1]})
