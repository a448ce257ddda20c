"""`keyctl usage import`."""

from pathlib import Path
from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption
from keyctl.text import counted
from keyctl.times import utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("import", cls=Command)
def import_files(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of recorders; - is standard input.")],
    dry_run: DryRunOption = False,
) -> None:
    """Count the use that recorders wrote to files.

    \b
    Examples:
      keyctl usage import usage.jsonl
      keyctl usage import /srv/edge-*/usage.jsonl*

    Each report is counted once, however often its file is imported. All files are counted, or none: one that is cut
    off, of another store, or from the future is refused. Import rotated files too.
    """
    from keyctl.admin.usage import import_reports

    context = context_of(ctx)
    done = import_reports(context.store, files, now=utc_now(), dry_run=dry_run)
    if done.unknown:
        context.output.note(
            f"{done.unknown:,} ids are those of no key in this store: what was counted of them is ignored"
        )
    would = "would count" if dry_run else "counted"
    text = f"{would} {counted(done.counted, 'report')}; {counted(done.repeated, 'report')} had been counted before"
    context.output.result(
        text, {"counted": done.counted, "repeated": done.repeated, "unknown_keys": done.unknown, "dry_run": dry_run}
    )
