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
        option("--store", metavar="URL|NAME", text="The store: a URL, a file, or a name from the configuration."),
        option("--config", metavar="FILE", text="The configuration file."),
        option("--json", flag=True, text="Print JSON, errors too."),
        option("--quiet", "-q", flag=True, text="Leave out notes."),
        option("--no-color", flag=True, text="Print without colours; so does NO_COLOR=1."),
        option("--admin-token-file", metavar="FILE", text="The admin token, where the store needs one."),
        option("--wait", metavar="TIME", text="How long to wait for another writer. [default: 5s]"),
    ]


def _set(ctx: typer.Context, param: Any, value: Any) -> Any:
    """Keep a global option. The side nearer to the command wins."""
    found = ctx.find_root().obj
    if value == "":
        raise typer.BadParameter("it is empty")
    if value and isinstance(found, CommandContext):
        setattr(found.settings, param.name, value)
    return value
