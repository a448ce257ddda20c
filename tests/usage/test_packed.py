from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.codes import Code
from keyctl.rows import RowDamaged
from keyctl.usage import packed
from keyctl.usage.outcomes import NAMES, NUMBERS, WRONG_SECRET, allowed, refused
from keyctl.usage.packed import HOURS
from tests.fuzzing import examples

COUNTS = st.dictionaries(
    st.integers(0, 30), st.dictionaries(st.integers(0, HOURS - 1), st.integers(1, 2**40), min_size=1), max_size=5
)


def test_every_code_has_a_number_of_its_own():
    assert NUMBERS.keys() >= {*Code, WRONG_SECRET}
    assert len(NAMES) == len(NUMBERS)


def test_the_numbers_are_those_that_stores_hold():
    """They are in every store: a new code gets a new one."""
    assert {NUMBERS[name] for name in ("VALID", "WRONG_SECRET", "KEY_REVOKED", "FORBIDDEN_SCOPE")} == {0, 1, 3, 7}
    assert NUMBERS["RATE_LIMITED"] == 13


def test_what_is_not_allowed_is_refused():
    counts = {"VALID": 5, "WRONG_SECRET": 2, "KEY_REVOKED": 1}

    assert (allowed(counts), refused(counts)) == (5, 3)


def test_hours_in_a_row_share_a_run_and_far_ones_do_not():
    counts: packed.Counts = {}
    for outcome, offset, count in [(0, 9, 2), (0, 11, 4), (0, 33, 7), (1, 9, 2), (0, 9, 3)]:
        packed.add(counts, outcome, offset, count)

    assert packed.pack(counts) == "0 9=5,,4 33=7|1 9=2"


@examples(100, 2000)
@given(COUNTS)
def test_what_is_packed_is_unpacked_unchanged(counts: packed.Counts):
    assert packed.unpack(packed.pack(counts), HOURS) == counts


@pytest.mark.parametrize(
    "text",
    [
        *("x", "0", "0 ", "0 9", "0 9=", "0 9=,5", "0 9=5,", "0 9=-5", "0 9=5 10=4", "0 09=5", "0 9=05", "0 9=5|"),
        *("1 9=5|0 9=5", "0 168=1", "0 -1=1", "0 9=5 9=5", "0  9=5", "0 9=5\n", "٠ 9=5", 5, b"0 9=5", None),
    ],
)
def test_what_keyctl_did_not_write_is_refused(text: object):
    with pytest.raises(RowDamaged):
        packed.unpack(text, HOURS)


def test_a_row_of_nothing_is_empty():
    assert packed.unpack("", HOURS) == {}
    assert packed.pack({0: {}}) == ""
