"""Every command line that a page mentions can be typed as it is written there, once its placeholders are filled in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from keyctl.cli.app import app
from keyctl.cli.commands import HELP_LINES
from keyctl.cli.typer_internals import ClickException
from keyctl.errors import UsageError
from tests.documents.pages import PAGES, ROOT, code_spans, lines_of_shell, name_of

END = re.compile(r"[|&;()]+")  # of a command, in a line of shell
REDIRECTION = re.compile(r"[<>]+")
FILLED_IN = {"N": "3", "SEQ": "3", "COMMAND": "mint"}  # a placeholder that is not just any text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_mentioned_can_be_typed(page: Path):
    for line in lines_of_shell(page):
        for arguments in invocations(line):
            if " ".join(arguments) not in HELP_LINES:  # not just its name
                assert_parses(arguments, line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_that_is_mentioned_exists(page: Path):
    known = set(options())

    mentioned = {found[0] for span in code_spans(page) if (found := re.match(r"--[a-z][a-z0-9-]*", span))}

    assert mentioned <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_make_is_asked_for_exists(page: Path):
    makefile = (ROOT / "Makefile").read_text()
    [variables] = re.findall(r"^KEY_VARIABLES := (.*)$", makefile, flags=re.MULTILINE)
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))

    words = [word for line in lines_of_shell(page) for arguments in invocations(line, "make") for word in arguments]

    assert {word for word in words if re.match(r"[a-z]", word)} <= targets
    assert {word.partition("=")[0] for word in words if "=" in word} <= {*variables.split(), "ADMIN_TOKEN", "QUICK"}


def test_what_is_mentioned_is_found_wherever_it_is_written():
    assert list(invocations("A=1 keyctl show PREFIX | cut -f 1; B=$(keyctl mint --count N) && keyctl list")) == [
        ["show", "PREFIX"],
        ["mint", "--count", "3"],
        ["list"],
    ]
    assert list(invocations("python -m keyctl verify --env 'a b' < FILE 2>/dev/null")) == [["verify", "--env", "a b"]]
    assert list(invocations("man keyctl")) == []
    assert list(invocations("make -s provision-token NAME=a", "make")) == [["-s", "provision-token", "NAME=a"]]


@pytest.mark.parametrize("arguments", ["show", "show A B", "mint --count many", "lock --fro 1h A", "owner ad x", "mnt"])
def test_a_command_that_cannot_be_typed_is_found(arguments: str):
    with pytest.raises(AssertionError, match="keyctl"):
        assert_parses(arguments.split(), f"keyctl {arguments}")


def invocations(line: str, program: str = "keyctl") -> Iterator[list[str]]:
    """Yield the arguments of each `program` in a line of shell. One without arguments is only a name."""
    if program not in line:
        return
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    arguments: list[str] | None = None
    redirected = False
    for word in [*words, ";"]:
        if END.fullmatch(word):
            if arguments:
                yield arguments
            arguments = None
        elif REDIRECTION.fullmatch(word):
            redirected = True
            if arguments and arguments[-1] == "2":
                arguments.pop()
        elif redirected:
            redirected = False
        elif arguments is not None:
            arguments.append(FILLED_IN.get(word, word))
        elif word.rpartition("/")[2] == program:
            arguments = []


def assert_parses(arguments: list[str], line: str) -> None:
    """Parse the arguments as the command line does, and run nothing."""
    command: Any = typer.main.get_command(app)
    try:
        context = command.make_context("keyctl", list(arguments))
        while hasattr(command, "commands"):
            name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            context = command.make_context(name, rest, parent=context)
    except typer.Exit:  # --help
        pass
    except (ClickException, UsageError) as error:
        raise AssertionError(f"keyctl cannot parse {line}: {error}") from None


def options() -> Iterator[str]:
    """Yield every option of every command."""
    top: Any = typer.main.get_command(app)
    for path in ["", *HELP_LINES]:
        command = top
        for word in path.split():
            command = command.commands[word]
        yield from ("--help", *(name for option in command.params for name in option.opts))
