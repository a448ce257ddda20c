"""How the help of a command is laid out: what it is for and examples first, then the rest."""

from __future__ import annotations

from typing import Any

from typer import core


class Command(core.TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.format_help_text(ctx, formatter)
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        self.format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)
