"""How the help of a command is laid out: what it is for and examples first, then the rest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from typer import core

from keyctl.cli.typer_internals import ClickException
from keyctl.errors import UsageError

_WIDEST, _NARROWEST = 80, 30  # columns
_FEW = 10  # arguments and options that need no headings


class ExamplesFirst:
    def get_help(self, ctx: Any) -> str:
        set_width(ctx)
        text: str = super().get_help(ctx)  # type: ignore[misc]
        return text

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the arguments as manuals write them: Typer puts those that are needed in braces."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece[1:-1] if piece.startswith("{") else piece for piece in pieces]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        command: Any = self
        command.format_help_text(ctx, formatter)
        formatter.write_paragraph()
        command.format_usage(ctx, formatter)
        command.format_options(ctx, formatter)
        command.format_epilog(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; an error knows its command, so that its hint can name the command's own help."""
        try:
            rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except ClickException as error:
            if getattr(error, "ctx", None) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options. In a long help the options have headings: the `rich_help_panel` of each."""
        command: Any = self
        records = [(param, record) for param in command.get_params(ctx) if (record := param.get_help_record(ctx))]
        few = len(records) <= _FEW
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for param, (names, text) in records:
            argument = isinstance(param, core.TyperArgument)
            title = "Arguments" if argument else "" if few else getattr(param, "rich_help_panel", None) or ""
            brief = text.replace("  [", " [").replace("; x>=1]", "]")  # Typer's own notes: two spaces, a formula
            sections.setdefault(title, []).append((names, brief))
        sections["Options"] = sections.pop("")  # --help at least; at the end
        write_sections(formatter, {title: rows for title, rows in sections.items() if rows})


class Command(ExamplesFirst, core.TyperCommand):
    """A single command."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            error.hint = error.hint or see_help(ctx)
            raise


class Group(ExamplesFirst, core.TyperGroup):
    """A command with commands of its own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def set_width(ctx: Any) -> None:
    """Let help fit a narrow terminal too: Click's own least is 50 columns."""
    ctx.terminal_width = max(min(shutil.get_terminal_size().columns, _WIDEST) - 2, _NARROWEST)


def see_help(ctx: Any) -> str:
    """Return the hint that names the help of the command."""
    return f"see: {ctx.command_path} --help"


def write_sections(formatter: Any, sections: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Write lists of names and texts below titles, the texts in one column. Where it is narrow, they go below."""
    widest = max(len(name) for rows in sections.values() for name, _ in rows)
    wide = widest + 2 <= formatter.width // 2
    for title, rows in sections.items():
        with formatter.section(title):
            formatter.write_dl(
                [(f"{name:<{widest}}" if wide else name, text) for name, text in rows], col_max=widest if wide else 4
            )
