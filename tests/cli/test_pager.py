"""Lists through a pager: when, which one, and how it is left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.helpers import Filled, mint_many
from tests.runner import Cli

pytestmark = pytest.mark.sqlite
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def many(store: Cli, filled: Filled) -> Cli:
    """Thirty keys: more than 24 lines."""
    filled(thirty_keys)
    return store


def thirty_keys(store: Cli) -> None:
    mint_many(store, 30)


@pytest.fixture
def pager(many: Cli) -> Path:
    """A pager that keeps what it reads."""
    kept = many.home / "paged"
    many.env["PAGER"] = f"cat > {kept}"
    return kept


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (["list"], 31),
        (["list", "--format", "tsv"], 30),
        (["list", "--format", "markdown"], 32),
        (["list", "--tree"], 31),
        (["list", "--columns", "prefix"], 31),
    ],
    ids=str,
)
def test_a_list_that_does_not_fit_goes_through_the_pager(many: Cli, pager: Path, args: list[str], lines: int):
    shown = many.tty(*args, "--quiet", check=0).out

    assert shown == ""
    assert len(pager.read_text().splitlines()) == lines


def test_cards_are_counted_as_what_they_take(many: Cli, pager: Path):
    many.tty("list", "--limit", "7", "--quiet", columns=40, rows=24, check=0)

    assert pager.read_text().count("kc_live_") == 7


@pytest.mark.parametrize(
    ("args", "how"),
    [
        (["list", "--limit", "20"], {}),
        (["list"], {"rows": 40}),
        (["list"], {"env": {"LINES": "40"}}),
        (["list"], {"env": {"PAGER": ""}}),
        (["list"], {"env": {"PAGER": "cat"}}),
        (["list"], {"env": {"KEYCTL_PAGER": "cat"}}),
        (["list", "--no-pager"], {}),
        (["--no-pager", "list"], {}),
        (["list", "--json"], {"columns": 500}),
        (["list", "--jsonl"], {}),
        (["list"], {"pipe_stdout": True}),
    ],
    ids=str,
)
def test_what_fits_or_asks_for_none_or_is_for_programs_has_no_pager(
    many: Cli, pager: Path, args: list[str], how: dict[str, object]
):
    shown = many.tty(*args, check=0, **how).out

    assert shown.count("kc_live_") >= 20
    assert not pager.exists()


def test_keyctls_own_variable_comes_before_the_general_one(many: Cli, pager: Path):
    other = many.home / "other"

    many.tty("list", env={"KEYCTL_PAGER": f"cat > {other}"}, check=0)

    assert other.read_text().count("kc_live_") == 30
    assert not pager.exists()


def test_colours_reach_the_pager(many: Cli, pager: Path):
    many.tty("list", check=0)
    colored = pager.read_text()
    many.tty("list", "--no-color", check=0)

    assert "\x1b[32mactive" in colored
    assert "\x1b[32m" not in pager.read_text()


def test_less_shows_a_screen_and_q_leaves_it(many: Cli):
    result = many.tty("list", "--quiet", talk=[("\x1b[K", "q")], check=0)

    assert 20 < ESCAPE.sub("", result.out).count("kc_live_") < 30
    assert "Traceback" not in result.out


def test_a_pager_that_is_left_early_ends_keyctl_as_it_ends_git(many: Cli):
    """After all was written, with 0; before, as by the signal SIGPIPE. Never with a message."""
    few = many.tty("list", "--quiet", env={"PAGER": "sed 2q"}, check=0).out
    long = many.tty("list", "--quiet", "--format", "tsv", env={"PAGER": "exec <&-; sleep 0.2"}, check=None)

    assert len(few.splitlines()) == 2
    assert (long.out, long.code in {0, 141}) == ("", True)


def test_more_than_a_pipe_holds_and_a_pager_that_is_left_is_141(store: Cli):
    mint_many(store, 1500)

    result = store.tty("list", "--all", env={"PAGER": "sed 1q"}, check=141)

    assert len(result.out.splitlines()) == 1


def test_ctrl_c_in_the_pager_leaves_it_open_and_the_exit_code_is_that_of_ctrl_c(many: Cli):
    pager = "trap 'echo still here; exit' INT; cat > /dev/null; echo reading; while :; do sleep 0.05; done"

    shown = many.tty("list", env={"PAGER": pager}, talk=[("reading", "\x03")], check=130).out

    assert "still here" in shown
    assert "Traceback" not in shown
    assert "kc_live_" not in shown


@pytest.mark.parametrize("pager", ["false", "/nowhere/less", "exit 3"])
def test_a_pager_that_does_not_work_is_done_without(many: Cli, pager: str):
    assert many.tty("list", env={"PAGER": pager}, check=0).out.count("kc_live_") == 30
