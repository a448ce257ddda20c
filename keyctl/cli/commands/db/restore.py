"""`keyctl db restore`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, ReasonOption, YesOption
from keyctl.cli.progress import counting
from keyctl.errors import NotAuthorised
from keyctl.times import utc_now

if TYPE_CHECKING:
    from keyctl.admin.restore import OpenBackup, Restored
    from keyctl.cli.output import Output

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_SHOWN = 10  # names in a note


@app.command(cls=Command)
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Backup to restore.")],
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Restore a store from a backup; what was revoked stays revoked.

    \b
    Examples:
      keyctl db restore keys-monday.db
      keyctl db restore keys-monday.db --dry-run

    Creates the store if there is none. Over the same store, names, scopes, networks, metadata and owners become what
    they were; keys stay revoked, locked or expired, newer keys stay, and the audit log continues. Rows that were
    altered outside keyctl are repaired. Requires confirmation; without a terminal, add --yes.
    """
    from keyctl.admin.restore import open_backup
    from keyctl.admin.restore import restore as restore_backup

    context = context_of(ctx)
    output = context.output
    with open_backup(file) as backup:
        exists = _authorise(context, backup)

        def run(*, dry_run: bool) -> "Restored":
            with counting(output, "rows") as advance:
                return restore_backup(
                    backup,
                    context.location,
                    context.actor,
                    now=utc_now(),
                    wait=context.wait,
                    patient=context.patient,
                    reason=reason,
                    dry_run=dry_run,
                    on_rows=advance,
                )

        planned = run(dry_run=True) if exists and not yes and not dry_run else None
        if planned is not None and planned.changes_store:
            _describe(output, planned)
            output.confirm(f"restore {file} over {context.location}")
        done = planned if planned is not None and not planned.changes_store else run(dry_run=dry_run)
    if not done.created and not done.changes_store:
        output.note("the store has everything that the backup has: nothing was changed")
    elif yes or dry_run:
        _describe(output, done)
    if dry_run:
        output.note("nothing was changed")
    if output.json:
        facts = {"store": str(context.location), "from": str(file), "store_id": backup.store_id}
        output.answer_json({**facts, "seq": backup.seq, "hash": backup.hash, **vars(done)})
    else:
        output.answer(str(context.location))


def _authorise(context: CommandContext, backup: "OpenBackup") -> bool:
    """Require the admin token of the store or, if there is no store, of the backup. Return whether there is one."""
    from keyctl.admin.restore import holds_store

    context.warn_of_exposure(context.location, context.store_origin)
    if holds_store(context.location, wait=context.wait, patient=context.patient):
        context.authorise()
        return True
    context.prepare_folder()
    if not backup.accepts_token(None) and not backup.accepts_token(context.presented_admin_token()):
        raise NotAuthorised(
            f"the admin token of the backup {backup.path} is required, and nothing was changed",
            hint="set KEYCTL_ADMIN_TOKEN, or give --admin-token-file FILE, or type it at the prompt",
        )
    return False


def _describe(output: "Output", restored: "Restored") -> None:
    if restored.log_continued:
        output.note("the backup is newer than the store: the log and the settings are those of the backup")
    for names, what in (
        (restored.missing, "missing from the store, and restored"),
        (restored.changed, "restored as in the backup"),
        (restored.ended, "revoked, locked or expiring earlier since the backup, and left so"),
        (restored.newer, "not in the backup, and left as they are"),
        (restored.removed, "removed by keyctl prune, and not restored"),
        (restored.owners, "owners, restored as in the backup"),
        (restored.repaired, "altered outside keyctl, and repaired"),
    ):
        if names:
            more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            output.note(f"{what}: {', '.join(names[:_SHOWN])}{more}")
