from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl import lifecycle
from keyctl.errors import Refused
from keyctl.models import KeyRecord, Status
from tests.samples import NOW, key, owner, record

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
DISABLED = {"disabled_at": NOW}


def refusal(work: Callable[[], None]) -> Refused:
    with pytest.raises(Refused) as error:
        work()
    return error.value


# ── states ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, Status.ACTIVE),
        ({"expires_at": NOW + SECOND}, Status.ACTIVE),
        ({"expires_at": NOW}, Status.EXPIRED),
        ({"locked_at": NOW - DAY}, Status.LOCKED),
        ({"locked_at": NOW - DAY, "locked_until": NOW + SECOND}, Status.LOCKED),
        ({"locked_at": NOW - DAY, "locked_until": NOW}, Status.ACTIVE),
        ({"replaced_by": "key_2"}, Status.RETIRING),
        ({"revoked_at": NOW}, Status.REVOKED),
        # the first that is true
        ({"replaced_by": "key_2", "locked_at": NOW}, Status.LOCKED),
        ({"replaced_by": "key_2", "locked_at": NOW, "expires_at": NOW}, Status.EXPIRED),
        ({"replaced_by": "key_2", "locked_at": NOW, "expires_at": NOW, "revoked_at": NOW}, Status.REVOKED),
        ({"replaced_by": "key_2", "expires_at": NOW}, Status.EXPIRED),
        # a revocation counts whenever it is dated
        ({"revoked_at": NOW + DAY}, Status.REVOKED),
    ],
)
def test_the_status_of_a_key_is_the_first_that_is_true(changes: dict[str, Any], status: Status):
    assert record(**changes).status(NOW) is status


@pytest.mark.parametrize("changes", [{"expires_at": NOW}, {"locked_at": NOW, "locked_until": NOW}])
def test_a_naive_clock_gives_no_status(changes: dict[str, Any]):
    with pytest.raises(TypeError):
        record(**changes).status(NOW.replace(tzinfo=None))


# ── what may be done ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["rotated", "unlocked", "locked", "changed"])
def test_revoked_is_final(what: str):
    gone = key(revoked_at=NOW - DAY, revoked_reason="leaked")

    for check in (lambda: lifecycle.refuse_revoked(gone, what), lambda: lifecycle.refuse_ended(gone, NOW, what)):
        refused = refusal(check)
        assert refused.message == f"{gone.prefix} is permanently revoked: it cannot be {what}"
        assert refused.hint == "mint a new key: keyctl mint"


@pytest.mark.parametrize(
    ("expires_at", "ended"), [(None, False), (NOW + SECOND, False), (NOW, True), (NOW - SECOND, True)]
)
def test_an_expired_key_has_ended(expires_at: datetime | None, *, ended: bool):
    one = key(expires_at=expires_at)

    if ended:
        assert "it cannot be rotated" in refusal(lambda: lifecycle.refuse_ended(one, NOW, "rotated")).message
    else:
        lifecycle.refuse_ended(one, NOW, "rotated")
    lifecycle.refuse_revoked(one, "rotated")


def test_a_key_in_force_can_be_rotated():
    lifecycle.refuse_unrotatable(record(owner("client"), owner("agency")), NOW)
    lifecycle.refuse_unrotatable(record(expires_at=NOW + SECOND), NOW)
    lifecycle.refuse_unrotatable(record(locked_at=NOW - DAY, locked_until=NOW), NOW)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (record(revoked_at=NOW), "is permanently revoked: it cannot be rotated"),
        (record(expires_at=NOW), "expired now: it cannot be rotated"),
        (record(expires_at=NOW - 2 * DAY), "expired 2d ago: it cannot be rotated"),
        (record(locked_at=NOW), "is locked: it cannot be rotated"),
        (record(locked_at=NOW, locked_until=NOW + SECOND), "is locked: it cannot be rotated"),
        (record(replaced_by="key_2"), "was already replaced"),
        (record(owner("client", **DISABLED)), "the owner client is disabled"),
        (record(owner("client"), owner("agency", **DISABLED)), "the owner agency is disabled"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_that_does_not_work_or_was_replaced_cannot_be_rotated(one: KeyRecord, why: str):
    refused = refusal(lambda: lifecycle.refuse_unrotatable(one, NOW))

    assert why in refused.message
    assert one.key.phc not in f"{refused.message} {refused.hint}"


@pytest.mark.parametrize(
    ("one", "hint"),
    [
        (record(locked_at=NOW), "keyctl unlock kc_live_0123456789ab"),
        (record(replaced_by="key_2"), "its successor: keyctl show key_2"),
        (record(owner("acme", **DISABLED)), "keyctl owner enable acme"),
    ],
)
def test_what_could_be_done_first_is_reported(one: KeyRecord, hint: str):
    assert refusal(lambda: lifecycle.refuse_unrotatable(one, NOW)).hint == hint


# ── the end of a replaced key ────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_grace_a_replaced_key_is_revoked_at_once():
    assert lifecycle.end_of_replaced(key(), "key_2", timedelta(0), NOW) == {
        "replaced_by": "key_2",
        "revoked_at": NOW,
        "revoked_reason": "rotated",
    }


@pytest.mark.parametrize(
    ("expires_at", "end"),
    [
        (None, NOW + DAY),
        (NOW + 2 * DAY, NOW + DAY),
        (NOW + DAY, NOW + DAY),
        (NOW + HOUR, NOW + HOUR),
    ],
)
def test_with_a_grace_a_replaced_key_expires_but_never_later_than_it_would_have(
    expires_at: datetime | None, end: datetime
):
    assert lifecycle.end_of_replaced(key(expires_at=expires_at), "key_2", DAY, NOW) == {
        "replaced_by": "key_2",
        "expires_at": end,
    }


def test_a_key_revoked_meanwhile_keeps_its_revocation():
    revoked = key(revoked_at=NOW - HOUR, revoked_reason="leaked")

    for grace in (timedelta(0), DAY):
        assert lifecycle.end_of_replaced(revoked, "key_2", grace, NOW) == {"replaced_by": "key_2"}


durations = st.integers(0, 10**9).map(lambda seconds: timedelta(seconds=seconds))


@given(left=st.none() | durations, grace=durations, later=durations)
def test_no_rotation_prolongs_a_key(left: timedelta | None, grace: timedelta, later: timedelta):
    old = key(expires_at=None if left is None else NOW + left)

    new = replace(old, **lifecycle.end_of_replaced(old, "key_2", grace, NOW))

    assert new.replaced_by == "key_2"
    alive = KeyRecord(new).status(NOW + later) in {Status.ACTIVE, Status.RETIRING}
    assert not (alive and old.expired(NOW + later))
    assert not (alive and later >= grace)


# ── in use or not ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("last_used_at", [None, NOW - DAY, NOW - DAY - SECOND])
def test_a_key_unused_for_long_enough_is_not_in_use(last_used_at: datetime | None):
    lifecycle.refuse_in_use(key(last_used_at=last_used_at), DAY, NOW)


def test_a_key_in_use_is_reported_with_the_time_of_its_last_use():
    used = key(last_used_at=NOW - 23 * HOUR)

    refused = refusal(lambda: lifecycle.refuse_in_use(used, DAY, NOW))

    assert refused.message == ("kc_live_0123456789ab was last used 23h ago, at 2026-06-30T13:00:00Z: less than 24h ago")
