"""`keyctl db backup`."""

from pathlib import Path
from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.progress import counting

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write (mode 0600).")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a verified backup of the store into one file.

    \b
    Examples:
      keyctl db backup keys-monday.db
      keyctl db backup /backup/keys.db --force --store postgresql:///keys

    The file is a SQLite store, whatever the database, as it is at one moment; others can use the store meanwhile. It
    contains hashes and never a secret. A store that differs from its audit log is refused (exit 9).
    """
    from keyctl.store.backup import back_up

    context = context_of(ctx)
    output = context.output
    output.warn_of_leftovers(file)
    with counting(output, "rows") as advance:
        made = back_up(context.store, file, replace=force, on_rows=advance)
    counts = {"events": made.verified.events, "keys": made.verified.keys, "owners": made.verified.owners}
    if output.json:
        output.answer_json({"file": str(file), "store_id": made.store_id, "seq": made.seq, "hash": made.hash, **counts})
    else:
        output.answer(str(file))
        output.aside([("last event", str(made.seq)), *((name, f"{count:,}") for name, count in counts.items())])
