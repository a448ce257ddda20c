"""`keyctl db copy`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, ReasonOption
from keyctl.cli.progress import counting
from keyctl.times import utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("copy", cls=Command)
def copy_to(
    ctx: typer.Context,
    to: Annotated[str, typer.Option(metavar="URL|NAME", help="Database to copy to; it must not hold a store.")],
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Copy the store to another database: all of it, or nothing.

    \b
    Examples:
      keyctl db copy --to postgresql:///keys
      keyctl db copy --store postgresql:///keys --to ./keys.db

    Keys, owners, the audit log, the admin token and all ids stay the same, so every key and bundle remains valid. The
    old store is not changed, and can still be used: stop what changes it first, and point KEYCTL_STORE to the new one.
    """
    from keyctl.admin.store_copy import copy_store
    from keyctl.cli.configuration import resolve_store
    from keyctl.store.setting_names import SettingName

    context = context_of(ctx)
    output = context.output
    target = resolve_store(to, context.config)
    context.warn_of_exposure(target, "--to")
    context.authorise()
    with counting(output, "rows") as advance:
        copied = copy_store(
            context.store,
            target,
            context.actor,
            now=utc_now(),
            wait=context.wait,
            patient=context.patient,
            reason=reason,
            dry_run=dry_run,
            on_rows=advance,
        )
    if dry_run:
        output.note(f"would copy {copied.rows['keys']:,} keys to {target}: nothing was changed")
        return
    if output.json:
        facts = {"store": str(target), "from": str(context.location), "seq": copied.seq, "hash": copied.hash}
        counts = {name: copied.rows[name] for name in ("events", "keys", "owners")}
        output.answer_json({**facts, "store_id": context.store.settings[SettingName.STORE_ID], **counts})
    else:
        output.answer(str(target))
    output.note(
        f"{context.location} was not changed and still works: from now on, name {target} in KEYCTL_STORE or the "
        "configuration"
    )
