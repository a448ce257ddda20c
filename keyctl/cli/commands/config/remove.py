"""`keyctl config remove`."""

from typing import Annotated

import typer

from keyctl.cli.configuration_edit import editing, known_store
from keyctl.cli.configuration_text import without_store, without_store_in_use
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.store.location import StoreLocation

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="STORE", help="The name of a store.")],
) -> None:
    """Remove the name of a store; the store itself stays.

    \b
    Examples:
      keyctl config remove staging
    """
    context = context_of(ctx)
    with editing(context.settings.config, wait=context.wait) as file:
        config = file.config
        location = StoreLocation.parse(config.stores[known_store(config, name)])
        in_use = config.store == name
        file.change(
            lambda text: without_store(without_store_in_use(text) if in_use else text, name),
            f"remove {name} from [stores]",
        )
    if in_use:
        context.output.note("the default store is in use from now on")
    answer = {"name": name, "store": str(location), "config": str(config.path)}
    context.output.result(f"removed {name}", answer)
