"""How a table fits the terminal, and what takes its place where there is no room."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.cli.columns import Column
from keyctl.cli.screen import Style, width_of
from keyctl.cli.tables import draw
from tests.fuzzing import examples

PLAIN = Style(escapes=False, color=False)
COLORS = Style(escapes=True, color=True)
PREFIX = "kc_live_0123456789ab"


def column(name: str, **how: object) -> Column[object]:
    return Column(name, str, **how)  # type: ignore[arg-type]


COLUMNS = [
    column("prefix", kept=True),
    column("name", least=5, rank=2),
    column("owner", least=5, rank=3),
    column("env", rank=5),
    column("status", rank=1, status=True),
    column("used", rank=4),
]
ROW = [PREFIX, "a rather long name", "acme-europe", "live", "active", "3d 4h ago"]


def drawn(width: int, *rows: list[str], style: Style = PLAIN) -> list[str]:
    return draw(COLUMNS, rows or [ROW], width=width, style=style).lines


def test_what_fits_is_shown_whole():
    assert drawn(80) == [
        "PREFIX                NAME                OWNER        ENV   STATUS  USED",
        "kc_live_0123456789ab  a rather long name  acme-europe  live  active  3d 4h ago",
    ]


def test_elastic_columns_shrink_first_and_the_longest_first():
    assert drawn(66) == [
        "PREFIX                NAME      OWNER      ENV   STATUS  USED",
        "kc_live_0123456789ab  a rathe…  acme-eur…  live  active  3d 4h ago",
    ]


def test_then_columns_go_the_least_important_first_and_the_others_get_their_room():
    row = [PREFIX, "nightly", "acme-europe", "staging-europe", "retiring", "3d 4h ago"]

    table = draw(COLUMNS, [row], width=60, style=PLAIN)

    assert table.lines == [
        "PREFIX                NAME     OWNER     STATUS    USED",
        "kc_live_0123456789ab  nightly  acme-eu…  retiring  3d 4h ago",
    ]
    assert table.dropped == ["env"]


def test_below_60_columns_what_does_not_fit_is_a_card():
    assert drawn(50, ROW, [PREFIX, "", "acme", "live", "revoked", ""]) == [
        "kc_live_0123456789ab  active",
        "  name   a rather long name",
        "  owner  acme-europe       env    live",
        "  used   3d 4h ago",
        "",
        "kc_live_0123456789ab  revoked",
        "  owner  acme              env    live",
    ]


def test_below_60_columns_what_fits_is_a_table():
    few = [COLUMNS[0], COLUMNS[4]]

    assert draw(few, [[PREFIX, "active"]], width=40, style=PLAIN).lines == [
        "PREFIX                STATUS",
        "kc_live_0123456789ab  active",
    ]


def test_a_card_breaks_long_values_and_omits_nothing():
    name = "漢字" * 20

    lines = drawn(30, [PREFIX, name, "acme", "live", "active", ""])

    assert "".join(re.findall("[漢字]+", "".join(lines))) == name
    assert all(width_of(line) <= 30 for line in lines)


def test_only_the_status_is_coloured_whatever_other_values_are():
    row = [PREFIX, "revoked", "active", "expired", "locked", "now"]

    for width in (100, 40):
        text = "\n".join(drawn(width, row, style=COLORS))
        assert re.findall(r"\x1b\[(3\d|9\d)m([^\x1b]*)", text) == [("33", "locked")]
    assert "\x1b" not in "\n".join(drawn(100, row))


texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=12)


@examples(100, 5_000)
@given(rows=st.lists(st.lists(texts, min_size=5, max_size=5), min_size=1, max_size=4), width=st.integers(1, 120))
def test_a_prefix_is_never_cut_and_what_can_shrink_stays_within_the_width(rows: list[list[str]], width: int):
    table = draw(COLUMNS, [[PREFIX, *row] for row in rows], width=width, style=PLAIN)

    assert sum(line.startswith(PREFIX) for line in table.lines) == len(rows)
    fixed = max(width_of(row[3]) for row in [*rows, ["", "", "", "STATUS"]])
    if width >= max(60, len(PREFIX) + 2 + fixed):
        assert all(width_of(line) <= width for line in table.lines)


@pytest.mark.parametrize("count", [0, 1])
def test_a_table_without_rows_is_its_heading(count: int):
    assert draw(COLUMNS[:2], [[PREFIX, "x"]] * count, width=80, style=PLAIN).lines[0].split() == ["PREFIX", "NAME"]
