"""`keyctl config list`."""

import typer

from keyctl.cli.configuration import DEFAULT_STORE, default_store, name_in_use
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.output import Column
from keyctl.store.location import StoreLocation

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("list", cls=Command)
def list_stores(ctx: typer.Context) -> None:
    """List the stores that have names, and which one is in use.

    \b
    Examples:
      keyctl config list
    """
    context = context_of(ctx)
    output, config = context.output, context.config
    used = name_in_use(context.settings.store, config)
    stores = {name: StoreLocation.parse(url) for name, url in config.stores.items()}
    if output.json:
        listed = [{"name": name, "store": str(one), "in_use": name == used} for name, one in stores.items()]
        output.answer_json({"stores": listed})
        return
    rows = [[name, str(one), "in use" if name == used else ""] for name, one in stores.items()]
    by_default = context.store_origin == DEFAULT_STORE
    rows.insert(0, [f"({DEFAULT_STORE})", str(default_store()), "in use" if by_default else ""])
    output.table([Column("NAME"), Column("STORE", elastic=True), Column("STATUS")], rows, rows)
    if used is None and not by_default:
        output.note(f"in use: {context.location} ({context.store_origin})")
