from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.times import from_milliseconds
from keyctl.ulid import ulids
from tests.samples import NOW

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds_of(ulid: str) -> int:
    value = 0
    for character in ulid[:10]:
        value = value * 32 + CROCKFORD.index(character)
    return value


def test_the_time_of_the_specifications_example_comes_out():
    [ulid] = ulids(datetime.fromtimestamp(1469918176.385, UTC), 1)

    assert ulid.startswith("01ARYZ6S41")


def test_ulids_of_one_instant_are_distinct_and_ascend():
    made = ulids(NOW, 10_000)

    assert all(re.fullmatch(f"[{CROCKFORD}]{{26}}", one) for one in made)
    assert made == sorted(set(made))
    assert len({one[:10] for one in made}) == 1


@given(st.integers(0, 2**48 - 1).filter(lambda ms: ms < 253402300800000))
def test_the_time_is_exact_to_the_millisecond(milliseconds: int):
    [ulid] = ulids(from_milliseconds(milliseconds), 1)

    assert milliseconds_of(ulid) == milliseconds


def test_a_later_instant_sorts_after_every_ulid_of_an_earlier_one():
    earlier, later = ulids(NOW, 1000), ulids(NOW + timedelta(milliseconds=1), 1000)

    assert max(earlier) < min(later)


def test_the_zone_does_not_matter():
    [here], [there] = ulids(NOW, 1), ulids(NOW.astimezone(timezone(timedelta(hours=-7))), 1)

    assert here[:10] == there[:10]


def test_two_calls_do_not_give_the_same():
    assert not set(ulids(NOW, 100)) & set(ulids(NOW, 100))


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="naive"):
        ulids(NOW.replace(tzinfo=None), 1)
