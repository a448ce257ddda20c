"""Command groups that import a command only when it is called: their help needs only the table of commands."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer

from keyctl.cli.commands import DEFAULTS, SECTIONS, below, module_of
from keyctl.cli.global_options import global_options
from keyctl.cli.help_layout import Group, see_help, write_sections
from keyctl.cli.typer_internals import ClickCommand
from keyctl.errors import UsageError
from keyctl.text import brief

_ELSEWHERE = "Global options, such as --store and --json, work here too: keyctl --help"


class LazyCommands(MutableMapping[str, ClickCommand]):
    """The commands of a group by name, each imported when it is asked for; "" is the top level."""

    def __init__(self, group: str = "") -> None:
        self._group = group
        self._lines = below(group)
        self._loaded: dict[str, ClickCommand] = {}

    def __getitem__(self, name: str) -> ClickCommand:
        if name not in self._lines:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _load(f"{self._group} {name}".strip())
        return self._loaded[name]

    def __setitem__(self, name: str, command: ClickCommand) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("the table of commands is fixed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


class LazyGroup(Group):
    """A group whose help needs only the table of commands. `path` is what is typed; "" is the top level."""

    def __init__(self, path: str = "", **attributes: Any) -> None:
        super().__init__(**attributes)
        self.path = path
        self.commands = LazyCommands(path)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        default = DEFAULTS.get(self.path)
        if default and not (args and args[0] in {*self.commands, *ctx.help_option_names}):
            args = [default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, ClickCommand | None, list[str]]:
        word = args[0]
        if word not in self.commands and not word.startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f'no such command "{brief(word)}"', hint=self._hint(word) or see_help(ctx))
        found: tuple[str | None, ClickCommand | None, list[str]] = super().resolve_command(ctx, args)
        return found

    def _hint(self, word: str) -> str | None:
        from keyctl.cli.synonyms import command_lines, did_you_mean, near_miss
        from keyctl.cli.topics import topic_names

        lines = command_lines(self.path, word) or ([f"help {word}"] if not self.path and word in topic_names() else [])
        if lines:
            return f"use: {' or '.join(f'keyctl {line}' for line in lines)}"
        near = near_miss(word, self.commands)
        return did_you_mean(near) if near else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the base class's signature
        here = below(self.path)
        sections = SECTIONS if not self.path else {"Commands": here}
        write_sections(
            formatter,
            {title: [(name, here[name]) for name in lines if name in here] for title, lines in sections.items()},
        )


def _load(path: str) -> ClickCommand:
    """Import a command or a group of commands."""
    module = import_module(module_of(path))
    command: ClickCommand
    if below(path):
        command = LazyGroup(path, help=module.__doc__, no_args_is_help=path not in DEFAULTS, rich_markup_mode=None)
    else:
        command = typer.main.get_command(module.app)
    command.name = path.rpartition(" ")[2]
    command.params = [*command.params, *global_options(hidden=True)]
    command.epilog = _ELSEWHERE
    return command
