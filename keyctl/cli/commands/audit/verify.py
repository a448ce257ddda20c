"""`keyctl audit verify`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.errors import CheckFailed

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def verify(ctx: typer.Context) -> None:
    """Verify the store against the audit log.

    \b
    Examples:
      keyctl audit verify

    Recomputes the chain of hashes, and compares every key and owner with what the history says. Names the first broken
    event or key, and exits 9.
    """
    from keyctl.store.integrity import check

    context = context_of(ctx)
    verdict = check(context.database)
    counts = {"events": verdict.events, "keys": verdict.keys, "owners": verdict.owners}
    if context.output.json:
        context.output.answer_json({"intact": verdict.fault is None, "fault": verdict.fault, **counts})
    elif verdict.fault is None:
        told = ", ".join(f"{number:,} {name if number != 1 else name[:-1]}" for name, number in counts.items())
        context.output.answer(f"intact: {told}")
    if verdict.fault is not None:
        raise CheckFailed(verdict.fault, hint="somebody changed the database outside keyctl: see keyctl audit list")
