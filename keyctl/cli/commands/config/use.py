"""`keyctl config use`."""

import os
from typing import Annotated

import typer

from keyctl.cli.configuration import DEFAULT_STORE, default_store, resolve_store
from keyctl.cli.configuration_edit import editing, known_store
from keyctl.cli.configuration_text import with_store_in_use, without_store_in_use
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def use(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[STORE]", help="The name of a store.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Use the default store again.")] = False,
) -> None:
    """Set the store that commands use from now on.

    \b
    Examples:
      keyctl config use staging
      keyctl config use --default

    --store and KEYCTL_STORE take precedence.
    """
    context = context_of(ctx)
    if (name is None) != default:
        raise UsageError("give the name of a store, or --default", hint="names: keyctl config list")
    with editing(context.settings.config, wait=context.wait) as file:
        config = file.config
        changed = config.store != (None if name is None else known_store(config, name))
        if changed and name is None:
            file.change(without_store_in_use, 'remove the line with "store ="')
        elif changed and name is not None:
            file.change(lambda text: with_store_in_use(text, name), f'store = "{name}"')
    shown, location = name or DEFAULT_STORE, resolve_store(name, config) if name else default_store()
    if not changed:
        context.output.note(f"{shown} is in use already: nothing was changed")
    if os.environ.get("KEYCTL_STORE"):
        context.output.warn("KEYCTL_STORE is set, and takes precedence: unset KEYCTL_STORE")
    answer = {"name": name, "store": str(location), "config": str(config.path)}
    context.output.result(f"using {shown}: {location}" if changed else f"unchanged {shown}", answer)
