"""Which arguments are keyctl's own: those of `keyctl run` end at `--`, after which another program's begin."""

from __future__ import annotations

from collections.abc import Sequence

RUN = "run"
# The global options that take a value: before the name of the command, that value is not the name.
TAKE_VALUES = ("--store", "--config", "--admin-token-file", "--pepper-file", "--wait")


def command_at(arguments: Sequence[str]) -> int | None:
    """Return the position of the command's name, as far as it is known before the arguments are parsed."""
    value = False
    for i, argument in enumerate(arguments):
        if value:
            value = False
        elif argument in TAKE_VALUES:
            value = True
        elif not argument.startswith("-"):
            return i
    return None


def runs_another(arguments: Sequence[str]) -> bool:
    """Return whether the command is the one that runs another program."""
    at = command_at(arguments)
    return at is not None and arguments[at] == RUN


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without those of another program."""
    own = list(arguments)
    at = command_at(arguments)
    if at is not None and own[at] == RUN and "--" in own[at:]:
        return own[: own.index("--", at)]
    return own
