"""What `keyctl doctor` asks of a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyctl.hashing import Argon2id
from keyctl.store import examination
from keyctl.store.selection import Selection
from tests.stores import CHEAP, Opened

DAY = timedelta(days=1)


def test_many_rows_are_counted_and_only_the_first_are_returned(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(examination, "LARGEST", 2)
    prefixes = sorted(one.record.key.prefix for one in opened.mint(count=3))

    with opened.store.read() as connection:
        found = examination.without_owner(connection, now=opened.clock())

    assert found == ([(prefix,) for prefix in prefixes[:2]], 3)


def test_keys_that_have_ended_or_are_replaced_are_not_counted(opened: Opened):
    revoked, replaced, expired, valid = (one.record.key.prefix for one in opened.mint(count=4, expires="1h"))
    opened.admin.revoke(Selection.named(revoked))
    opened.admin.expire(Selection.named(expired), "1m")
    opened.clock.advance(minutes=2)
    successor = opened.rotate(replaced).record.key.prefix

    with opened.store.read() as connection:
        found = examination.without_owner(connection, now=opened.clock())
        hashed = examination.hashed_with(connection, CHEAP, now=opened.clock())

    assert [prefix for (prefix,) in found.rows] == sorted([valid, successor])
    assert [prefix for (prefix,) in hashed.rows] == sorted([valid, successor, replaced])


def test_keys_are_found_by_exactly_the_parameters_and_the_pepper_of_their_hash(opened: Opened):
    prefix = opened.mint()[0].record.key.prefix
    others = [Argon2id(80, 1, 1), Argon2id(8, 1, 1, pepper="a")]

    with opened.store.read() as connection:
        found = [examination.hashed_with(connection, one, now=opened.clock()) for one in (CHEAP, *others)]

    assert found == [([(prefix,)], 1), ([], 0), ([], 0)]


def test_a_lifetime_of_exactly_the_maximum_is_allowed(opened: Opened):
    exact, longer, endless = (
        opened.mint(expires=expires)[0].record.key.prefix for expires in ("24h", "86401s", "never")
    )

    with opened.store.read() as connection:
        found = examination.outliving(connection, DAY, now=opened.clock())

    assert exact not in [row[0] for row in found.rows]
    assert sorted(row[0] for row in found.rows) == sorted([longer, endless])


def test_a_key_is_old_at_its_age_and_not_while_it_is_locked(opened: Opened):
    old, locked, for_a_while = (one.record.key.prefix for one in opened.mint(count=3))
    opened.admin.lock(Selection.named(locked))
    opened.admin.lock(Selection.named(for_a_while), duration=timedelta(hours=1))

    def prefixes() -> list[str]:
        with opened.store.read() as connection:
            return [row[0] for row in examination.older_than(connection, DAY, now=opened.clock()).rows]

    assert prefixes() == []
    opened.clock.advance(days=1)
    assert prefixes() == sorted([old, for_a_while])


def test_the_time_of_a_server_is_now_and_a_file_has_none(opened: Opened, database: str):
    with opened.store.read() as connection:
        moment = examination.server_time(connection)

    if database == "sqlite":
        assert moment is None
    else:
        assert moment is not None
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_the_newest_event_is_the_last_of_the_log(opened: Opened):
    opened.clock.advance(hours=1)
    opened.mint()

    with opened.store.read() as connection:
        assert examination.newest_event(connection) == opened.clock()
