"""`keyctl revoke`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import report
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, HttpOption, JsonLinesOption, ReasonOption, YesOption
from keyctl.cli.platform_answers import administration_answer, require_answer
from keyctl.cli.selection import CHANGEABLE, SelectionOptions, confirm_selection, confirm_shown, counted_admin
from keyctl.errors import UsageError
from keyctl.times import parse_duration, utc_now

if TYPE_CHECKING:
    from keyctl.store.selection import Selection

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_RECENTLY = timedelta(hours=24)


@app.command(cls=Command)
@expand_options
def revoke(
    ctx: typer.Context,
    which: SelectionOptions,
    if_unused_for: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Refuse if used within TIME, or if recorders did not report all of it."),
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
    http: HttpOption = False,
) -> None:
    """Revoke keys permanently.

    \b
    Examples:
      keyctl revoke kc_live_3fa9c2d1e8b7 --reason "leaked in a log"
      keyctl revoke kc_live_3fa9c2d1e8b7 --if-unused-for 24h
      keyctl revoke --from leaked.txt --reason "found in a paste" --yes

    A revoked key cannot be restored. Several keys, or a key used in the last 24 hours, require confirmation; without a
    terminal, add --yes.

    --if-unused-for trusts the recorders of the store, and names them. It refuses if none reports, if one is silent, or
    if one began less than TIME ago. A verifier without a recorder is not seen: keyctl help usage
    """
    context = context_of(ctx)
    if http and (which.one is None or dry_run):
        raise UsageError("--http requires one key, and no --dry-run", hint="give one SELECTOR, omit --dry-run")
    if http:
        require_answer(context, "revoked")
    unused_for = parse_duration(if_unused_for) if if_unused_for is not None else None
    selection = which.choose(context, CHANGEABLE)
    if which.one is None or dry_run or yes:
        selection = confirm_selection(context, which, selection, "revoke", yes=yes, dry_run=dry_run)
    elif _is_in_use(context, selection):
        confirm_shown(context, selection, "revoke")
    with counted_admin(context) as admin:
        changes = admin.revoke(selection, if_unused_for=unused_for, reason=reason, dry_run=dry_run)
    if if_unused_for is not None and any(change.changed for change in changes):
        _note_recorders(context, if_unused_for)
    if http:
        context.output.answer_exactly(administration_answer(context, "revoked", changes[0].record))
        return
    report(context, changes, "revoked", already="is already revoked", dry_run=dry_run, jsonl=jsonl)


def _note_recorders(context: CommandContext, length: str) -> None:
    """Note who has recorded that the keys were not used."""
    from keyctl.store import usage
    from keyctl.usage.recorders import describe

    with context.store.read() as connection:
        known = describe(usage.instances(connection), utc_now())
    context.output.note(f"unused for {length}, as recorded: {known}")


def _is_in_use(context: CommandContext, selection: "Selection") -> bool:
    """Return whether a key that is not revoked yet was used recently."""
    from keyctl.store import keys

    now = utc_now()
    with context.store.read() as connection:
        found = [record.key for record in keys.selected(connection, selection, now=now)]
    return any(key.revoked_at is None and key.last_used_at and key.last_used_at > now - _RECENTLY for key in found)
