"""The times between wrong admin tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyctl.admin.refusals import FORGOTTEN_AFTER, PAUSES, Refusals, format_refusals, parse
from keyctl.store.database import DEFAULT_WAIT
from tests.stores import NOW


def after(number: int) -> Refusals:
    refusals = Refusals()
    for _ in range(number):
        refusals = refusals.another(NOW)
    return refusals


@pytest.mark.parametrize(("number", "pause"), [(0, 0), (1, 1), (2, 2), (3, 4), (4, 4), (1000, 4)])
def test_each_refusal_in_a_row_is_followed_by_a_longer_pause(number: int, pause: float):
    refusals = after(number)

    assert refusals.pause(NOW) == pause
    assert refusals.pause(NOW + timedelta(seconds=pause)) == 0
    if pause:
        assert refusals.pause(NOW + timedelta(seconds=pause - 0.25)) == 0.25


def test_the_right_token_is_never_later_than_the_default_wait():
    assert max(PAUSES) < DEFAULT_WAIT


def test_refusals_are_forgotten_after_ten_minutes():
    later = NOW + timedelta(seconds=FORGOTTEN_AFTER)

    assert after(9).another(later).number == 1
    assert after(9).another(later - timedelta(milliseconds=1)).number == 10


def test_a_clock_that_was_set_back_locks_no_one_out():
    assert after(9).pause(NOW - timedelta(hours=1)) == 0


def test_a_day_of_guesses_makes_few_events():
    refusals, now, logged = Refusals(), NOW, 0
    while now < NOW + timedelta(days=1):
        refusals = refusals.another(now)
        logged += refusals.is_logged
        now += timedelta(seconds=refusals.pause(now))

    assert refusals.number <= 21_602
    assert 0 < logged <= 24 * 60 + 1


def test_what_is_kept_is_bounded_and_the_newest():
    users = {f"user{number}@host": Refusals(1, number) for number in range(1, 1001)}

    kept = parse(format_refusals(users))

    assert list(kept) == [f"user{number}@host" for number in range(901, 1001)]
    assert kept["user1000@host"] == Refusals(1, 1000)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "{", "[]", "1", "[" * 9999),
        *('{"a": 1}', '{"a": ["x", 1]}', '{"a": [1e999, 1]}', '{"a": [-7, 1]}', f'{{"a": [1, {"9" * 400}]}}'),
    ],
)
def test_what_cannot_be_read_is_forgotten(text: str | None):
    assert parse(text) == {}
