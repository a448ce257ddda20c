"""The options that every command takes, on either side of its name."""

from __future__ import annotations

from typing import Any

import typer
from typer import core

from keyctl.cli.context import CommandContext


def global_options(*, hidden: bool = False) -> list[Any]:
    def option(*names: str, flag: bool = False, metavar: str | None = None, text: str) -> core.TyperOption:
        return core.TyperOption(
            param_decls=list(names),
            type=None if flag else str,
            is_flag=flag or None,
            metavar=metavar,
            help=text,
            callback=_set,
            expose_value=False,
            hidden=hidden,
        )

    return [
        option("--store", metavar="URL|NAME", text="Store: a URL, a file, or a name from the configuration."),
        option("--config", metavar="FILE", text="Configuration file."),
        option("--json", flag=True, text="Print JSON, errors included."),
        option("--quiet", "-q", flag=True, text="Suppress informational messages."),
        option("--no-color", flag=True, text="Disable color; NO_COLOR=1 does the same."),
        option("--no-pager", flag=True, text="Print what does not fit on the screen without a pager."),
        option("--admin-token-file", metavar="FILE", text="File with the admin token, if the store requires one."),
        option("--pepper-file", metavar="FILE", text="File with the peppers, if keys are hashed with one."),
        option("--wait", metavar="TIME", text="Maximum wait for another writer. [default: 5s]"),
    ]


def _set(ctx: typer.Context, param: Any, value: Any) -> Any:
    """Store a global option in the context. The last one given takes precedence."""
    found = ctx.find_root().obj
    if value == "":
        raise typer.BadParameter("must not be empty")
    if value and isinstance(found, CommandContext):
        setattr(found.settings, param.name, value)
    return value
