"""Where keyctl's own arguments end, and those of another program begin."""

from __future__ import annotations

import pytest

from keyctl.cli.global_options import global_options
from keyctl.cli.own_arguments import TAKE_VALUES, own_arguments, runs_another


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("run -- cmd --json", "run"),
        ("run --env test -- cmd -- x", "run --env test"),
        ("--store x run -- cmd", "--store x run"),
        ("--store=x --json run -- cmd", "--store=x --json run"),
        ("--store run list -- x", "--store run list -- x"),  # a store that is called `run`
        ("-- run --name x -- cmd", "-- run --name x"),
        ("run cmd --json", "run cmd --json"),
        ("revoke -- run", "revoke -- run"),
        ("help run -- x", "help run -- x"),
        ("run", "run"),
        ("", ""),
        ("--store", "--store"),
    ],
)
def test_they_end_at_the_dashes_of_the_command_that_runs_another(line: str, own: str):
    assert own_arguments(line.split()) == own.split()


def test_the_command_is_found_after_global_options():
    assert runs_another(["--quiet", "--wait", "5s", "run"])
    assert not runs_another(["--config", "run"])
    assert not runs_another(["list", "run"])


def test_the_global_options_that_take_a_value_are_known():
    found = {name for option in global_options() if not option.is_flag for name in option.opts}

    assert found == set(TAKE_VALUES)
