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

    Recomputes the hash chain, and compares every key, owner and setting with the logged changes. Reports what does not
    match, and whatever was added to the tables, such as a trigger or a view: a line for each fault. Exits 9.
    """
    from keyctl.store.integrity import check

    context = context_of(ctx)
    result = check(context.database)
    counts = {"events": result.events, "keys": result.keys, "owners": result.owners}
    if context.output.json:
        faults = {"fault": result.fault, "faults": list(result.faults), "fault_count": result.fault_count}
        context.output.answer_json({"intact": result.fault is None, **faults, **counts})
    elif result.fault is None:
        checked = ", ".join(f"{number:,} {name if number != 1 else name[:-1]}" for name, number in counts.items())
        context.output.answer(f"intact: {checked}")
    if result.fault is not None:
        more = result.fault_count - len(result.faults)
        lines = [*result.faults, f"and {more:,} more faults"] if more else result.faults
        raise CheckFailed("\n".join(lines), hint="the database was changed outside keyctl; see: keyctl audit list")
