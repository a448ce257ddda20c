"""`keyctl audit verify`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import CheckpointOption, CheckpointTrustOption, ResumeOption
from keyctl.cli.store_check import check_store, failure

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def verify(
    ctx: typer.Context,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    trust: CheckpointTrustOption = None,
) -> None:
    """Verify the store against the audit log.

    \b
    Examples:
      keyctl audit verify
      keyctl audit verify --checkpoint checkpoints
      keyctl audit verify --checkpoint checkpoints --resume

    Recomputes the hash chain, and compares every key, owner and setting with the logged changes. Reports what does not
    match, and whatever was added to the tables, such as a trigger or a view: a line for each fault. Exits 9.

    With --checkpoint, the log must also contain the events that the checkpoints name. With --resume, events before the
    newest one are not read again, unless anything differs: an edit of those alone is not found. Keys, owners and
    settings are all compared.
    """
    context = context_of(ctx)
    result = check_store(context, checkpoint, trust, resume=resume)
    counts = {"events": result.events, "keys": result.keys, "owners": result.owners}
    if context.output.json:
        faults = {"fault": result.fault, "faults": list(result.faults), "fault_count": result.fault_count}
        since = result.start.position.seq if result.start else 1
        context.output.answer_json({"intact": result.fault is None, **faults, "since": since, **counts})
    elif result.fault is None:
        checked = [f"{number:,} {name if number != 1 else name[:-1]}" for name, number in counts.items()]
        if result.start:
            checked[0] += f" since {result.start}"
        context.output.answer(f"intact: {', '.join(checked)}")
    if result.fault is not None:
        raise failure(result)
