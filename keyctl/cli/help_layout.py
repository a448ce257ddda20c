"""How the help of a command is laid out: what it is for and examples first, then the rest."""

from __future__ import annotations

from typing import Any

from typer import core


class ExamplesFirst:
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


class Command(ExamplesFirst, core.TyperCommand):
    """A single command."""


class Group(ExamplesFirst, core.TyperGroup):
    """A command with commands of its own."""
