from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.rows import RowDamaged
from keyctl.usage import sequences
from tests.fuzzing import examples


@examples(100, 2000)
@given(st.lists(st.lists(st.integers(1, 30))))
def test_numbers_are_new_once(batches: list[list[int]]):
    text, seen = "", set[int]()
    for numbers in batches:
        text, new = sequences.added(text, numbers)
        assert new == set(numbers) - seen
        seen |= new

    assert sequences.added(text, range(1, 31))[1] == set(range(1, 31)) - seen
    gap = sequences.missing(text)
    expected = next((number for number in range(1, max(seen, default=0)) if number not in seen), None)
    assert (gap[0] if gap else None) == expected


def test_ranges_that_meet_are_one():
    assert sequences.added("1-4 6-9", [5]) == ("1-9", {5})
    assert sequences.added("1-4", [5]) == ("1-5", {5})
    assert sequences.added("1-4", [3]) == ("1-4", set())
    assert sequences.added("1-4", [9, 6, 9]) == ("1-4 6-6 9-9", {6, 9})
    assert sequences.missing("1-4 7-9") == (5, 6)


def test_a_hundred_thousand_gaps_are_no_work():
    text, new = sequences.added("", range(1, 200_000, 2))

    assert len(new) == 100_000
    assert sequences.added(text, range(2, 200_000, 2))[0] == "1-199999"


@pytest.mark.parametrize("text", ["x", "0-1", "2-1", "1", "1-2,4-5", "1-2  4-5", "1-٢"])
def test_what_keyctl_did_not_write_is_refused(text: str):
    with pytest.raises(RowDamaged):
        sequences.added(text, [1])
