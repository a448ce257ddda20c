"""The help that people meet first."""

from __future__ import annotations

import pkgutil
import re
import shlex

import pytest

from keyctl.cli import commands
from keyctl.cli.commands import DEFAULTS, HELP_LINES, below
from tests.cli.helpers import refused
from tests.runner import Cli

MISUNDERSTOOD = re.compile(r"error: (no such|missing|got unexpected|option|invalid value)")
ALL = [tuple(name.split()) for name in HELP_LINES]


def test_every_command_is_one_module_named_as_it_is_typed():
    modules = {module.name for module in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}.")}

    assert modules == {commands.module_of(name) for name in HELP_LINES}


def test_the_lazy_table_has_the_help_of_the_commands_themselves(cli: Cli):
    for name, line in HELP_LINES.items():
        text = cli(*name.split(), "--help", check=0).out
        assert text.splitlines()[0].strip() == line


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_keyctl_alone_shows_help_with_every_command(cli: Cli, args: list[str]):
    result = cli(*args, check=0)

    assert result.err == ""
    assert all(f"  {name}" in result.out for name in below(""))
    assert result.out.index("Examples:") < result.out.index("Options:")
    assert result.out == cli("--help").out
    assert not any(cli.home.iterdir())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_80_columns_and_leads_with_examples(cli: Cli, path: tuple[str, ...]):
    result = cli(*path, "--help", check=0)

    assert max(map(len, result.out.splitlines())) <= 80, result
    assert result.err == ""
    assert cli(*path, "-h").out == result.out
    is_group = any(other[:-1] == path for other in ALL)
    if is_group:
        assert " ".join(path) in DEFAULTS or cli(*path, check=0).out == result.out
        assert "Commands:" in result.out
    else:
        assert result.out.index("Examples:") < result.out.index("Usage:") < result.out.index("Options:")
        assert f"\n    keyctl {' '.join(path)}" in result.out
    assert "--install-completion" not in result.out


@pytest.mark.parametrize(
    ("command", "headings"),
    [
        ("mint", ["Key", "Output", "Store", "Options"]),
        ("list", ["Arguments", "Filters", "Selection", "Order and paging", "Output", "Options"]),
        ("verify", ["Key", "Conditions", "Request", "Bundle", "Limits", "Options"]),
        ("bundle export", ["Arguments", "Bundle", "Filters", "Options"]),
        ("rotate", ["Arguments", "Filters", "Selection", "Output", "Options"]),
        ("revoke", ["Arguments", "Filters", "Selection", "Output", "Options"]),
        ("show", ["Arguments", "Options"]),
        ("admin-token", ["Options", "Commands"]),
    ],
)
def test_the_options_of_a_long_help_have_headings(cli: Cli, command: str, headings: list[str]):
    text = cli(*command.split(), "--help", check=0).out

    assert re.findall(r"^([A-Z][a-z ]+):$", text.partition("Usage:")[2], flags=re.MULTILINE) == headings
    assert "  -h, --help" in text


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_a_terminal_of_40_columns(cli: Cli, path: tuple[str, ...]):
    lines = cli(*path, "--help", env={"COLUMNS": "40"}, check=0).out.splitlines()

    assert max(len(line) for line in lines if not line.startswith("    ")) <= 40  # an example is never broken


def test_a_default_has_one_form_in_the_help(cli: Cli):
    shown = cli("list", "--help", check=0).out

    assert "Maximum number of results. [default: 100]" in shown
    assert "such as owner or expires. [default: created]" in " ".join(shown.split())


@pytest.mark.sqlite
def test_the_examples_in_the_help_are_understood(store: Cli):
    """What they name is not there, so that most are refused. None may be misunderstood."""
    for path in ALL:
        for line in store(*path, "--help").out.splitlines():
            if line.startswith("    keyctl ") and "/var/" not in line:
                _, *args = shlex.split(re.split(" [<>]", line)[0])
                result = store(*args, stdin="")
                assert result.code != 1, result
                assert not MISUNDERSTOOD.search(result.err), result


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["mnit"], "mint"),
        (["revok", "x"], "revoke"),
        (["owner", "ad"], "add"),
        (["mint", "--nmae", "x"], "--name"),
        (["list", "--expires-withn", "7d"], "--expires-within"),
        (["--stoer", "x", "list"], "--store"),
        (["mint", "--stoer", "x"], "--store"),
        (["xyzzy"], "see: keyctl --help"),
        (["owner", "xyzzy"], "see: keyctl owner --help"),
        (["owner", "add", "x", "--kind"], "see: keyctl owner add --help"),
        (["update", "x", "--any-ip", "--allow-ip", "::/0"], "see: keyctl update --help"),
        (["mint", "--xyzzy"], "see: keyctl mint --help"),
        (["list", "--limit", "many"], "see: keyctl list --help"),
        (["show"], "see: keyctl show --help"),
        (["mint", "--name"], "see: keyctl mint --help"),
    ],
)
def test_what_is_mistyped_suggests_the_nearest(cli: Cli, args: list[str], says: str):
    _, hint = refused(cli, *args, code=2).err.splitlines()

    assert hint.startswith("keyctl: hint: ")
    assert says in hint
    assert ("did you mean" in hint) is (" " not in says)
    assert not any(cli.home.iterdir())


@pytest.mark.parametrize("text", ["\x1b[31mred", "two\nlines", "\u202e", "x" * 10_000])
def test_what_is_mistyped_is_echoed_harmlessly(cli: Cli, text: str):
    for args in ([text], [f"--{text}"], ["mint", text], ["mint", f"--{text}", "x"], ["list", "--limit", text]):
        result = refused(cli, *args, code=2)
        assert set(result.err) - {"\n"} == {c for c in result.err if c.isprintable() and c != "\u202e"}
        assert len(result.err.splitlines()) == 2


def test_a_cold_start_gives_the_same_help(cli: Cli):
    assert cli.cold("--help", check=0).out == cli("--help").out
    assert cli.cold("mint", "--help", check=0).out == cli("mint", "--help").out
