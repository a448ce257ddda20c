"""`keyctl config list`."""

from typing import NamedTuple

import typer

from keyctl.cli.columns import Column
from keyctl.cli.configuration import DEFAULT_STORE, default_store, name_in_use
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.records import ColumnsOption, Format, FormatOption, choose_view, show_records
from keyctl.store.location import StoreLocation

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class _Named(NamedTuple):
    """A store, and whether it is in use."""

    name: str
    store: str
    in_use: bool


_COLUMNS: list[Column[_Named]] = [
    Column("name", lambda one: one.name, kept=True),
    Column("store", lambda one: one.store, least=20),
    Column("status", lambda one: "in use" if one.in_use else "", rank=0),
]


@app.command("list", cls=Command)
def list_stores(
    ctx: typer.Context,
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List the stores that have names, and which one is in use.

    \b
    Examples:
      keyctl config list
    """
    context = context_of(ctx)
    view = choose_view(context, _COLUMNS, given=output_format, jsonl=jsonl, names=columns)
    used = name_in_use(context.settings.store, context.config)
    listed = [_Named(name, str(StoreLocation.parse(url)), name == used) for name, url in context.config.stores.items()]
    by_default = context.store_origin == DEFAULT_STORE
    in_json = view.format in {Format.JSON, Format.JSONL}
    if not in_json:  # the default has no name
        listed.insert(0, _Named(f"({DEFAULT_STORE})", str(default_store()), by_default))
    show_records(context, view, listed, named="stores", object_of=_Named._asdict)
    if used is None and not by_default and not in_json:
        context.output.note(f"in use: {context.location} ({context.store_origin})")
