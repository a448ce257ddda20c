from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.rows import RowDamaged
from keyctl.usage import sequences
from tests.fuzzing import examples


@examples(100, 2000)
@given(st.lists(st.integers(1, 30)))
def test_a_number_is_contained_once_it_was_added(numbers: list[int]):
    text = ""
    for number in numbers:
        text = sequences.added(text, number)

    assert [number for number in range(1, 32) if sequences.contains(text, number)] == sorted(set(numbers))
    gap = sequences.missing(text)
    expected = next((number for number in range(1, max(numbers, default=0)) if number not in numbers), None)
    assert (gap[0] if gap else None) == expected


def test_ranges_that_meet_are_one():
    assert sequences.added("1-4 6-9", 5) == "1-9"
    assert sequences.added("1-4", 5) == "1-5"
    assert sequences.added("1-4", 3) == "1-4"
    assert sequences.missing("1-4 7-9") == (5, 6)


@pytest.mark.parametrize("text", ["x", "0-1", "2-1", "1", "1-2,4-5", "1-2  4-5", "1-٢"])
def test_what_keyctl_did_not_write_is_refused(text: str):
    with pytest.raises(RowDamaged):
        sequences.contains(text, 1)
