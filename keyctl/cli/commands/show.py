"""`keyctl show`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.details import key_facts
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import key_object
from keyctl.times import utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_SHORTEST_BEGINNING = 8


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    selector: Annotated[
        str, typer.Argument(metavar="SELECTOR", help="Key id, prefix, or at least 8 characters of a prefix, if unique.")
    ],
) -> None:
    """Show one key.

    \b
    Examples:
      keyctl show kc_live_3fa9c2d1e8b7
      keyctl show kc_live_3f --json
    """
    from keyctl.store import keys

    context = context_of(ctx)
    store, now = context.store, utc_now()
    with store.read() as connection:
        record = keys.get(connection, selector, beginning=_SHORTEST_BEGINNING)
    if context.output.json:
        context.output.answer_json(key_object(record, store.profile, now=now))
    else:
        context.output.details(key_facts(record, store.profile, now=now))
