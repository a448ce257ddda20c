from __future__ import annotations

import pytest

from keyctl.key_layouts import ambiguous, overlap

HEX, LETTERS = "0123456789abcdef", "ghijklmnop"


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (["a", HEX], ["a", HEX], True),
        (["a", HEX], ["b", HEX], False),
        (["a", HEX], [HEX, "b"], True),
        (["a", HEX], [LETTERS, "b"], False),
        (["a", HEX], ["a", LETTERS], False),
        (["a", HEX], ["a", HEX, HEX], False),
        (["a", "b"], ["a", "b"], True),
    ],
)
def test_two_shapes_overlap_if_a_text_can_match_both(one: list[str], other: list[str], both: bool):
    # The generators are read once: a format yields its layouts.
    assert overlap(iter([["x"] * 9, one]), iter([["y"] * 7, other])) is both
    assert overlap([other], [one]) is both
    assert ambiguous([one, other]) is both
