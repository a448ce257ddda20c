from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.text import BIDIRECTIONAL, brief, visible

anything = st.text(st.characters(), max_size=200)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("", ""),
        ("a\nb", r"a\nb"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m", r"\x9b31m"),
        ("\x07\x00\x7f", r"\x07\x00\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u200f\u2066", r"\u200f\u2066"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\ufeff", r"\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\udc80", r"\udc80"),
        ("no\u00a0break", r"no\xa0break"),
        ("[bold]x[/x]", "[bold]x[/x]"),
        ("Zoë, 名前, שלום", "Zoë, 名前, שלום"),
        ("👩\u200d💻 ✓", "👩\u200d💻 ✓"),
    ],
)
def test_what_a_terminal_could_act_on_is_written_as_an_escape(text: str, shown: str):
    assert visible(text) == shown


@given(anything)
def test_what_is_shown_holds_nothing_that_acts(text: str):
    shown = visible(text)

    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}]
    assert not set(shown) & BIDIRECTIONAL
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
    shown.encode()


def test_all_marks_that_change_the_direction_are_known():
    marks = {
        chr(i)
        for i in range(0x110000)
        if unicodedata.bidirectional(chr(i)) in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    }

    assert marks <= BIDIRECTIONAL
    assert {"\u200e", "\u200f", "\u061c"} <= BIDIRECTIONAL


def test_a_long_text_is_cut_and_says_so():
    assert brief("x" * 80) == "x" * 80
    assert brief("x" * 81) == "x" * 80 + "…"
    assert brief("x" * 10_000, longest=5) == "xxxxx…"


@given(anything)
def test_a_brief_text_is_visible_too(text: str):
    assert brief(text, longest=20) == visible(brief(text, longest=20))
