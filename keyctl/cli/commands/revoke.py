"""`keyctl revoke`."""

from datetime import timedelta
from typing import Annotated

import typer

from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import ask, report, selected
from keyctl.cli.options import DryRunOption, HttpOption, JsonLinesOption, ReasonOption, SelectorsArgument, YesOption
from keyctl.cli.platform_answers import administration_answer, require_answer
from keyctl.errors import UsageError
from keyctl.times import parse_duration, utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_RECENTLY = timedelta(hours=24)


@app.command(cls=Command)
def revoke(
    ctx: typer.Context,
    selectors: SelectorsArgument,
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

    A revoked key cannot be restored. Several keys, or a key used in the last 24 hours, require confirmation; without a
    terminal, add --yes.

    --if-unused-for trusts the recorders of the store, and names them. It refuses if none reports, if one is silent, or
    if one began less than TIME ago. A verifier without a recorder is not seen: keyctl help usage
    """
    context = context_of(ctx)
    if http and (len(selectors) > 1 or dry_run):
        raise UsageError("--http requires one key, and no --dry-run", hint="give one SELECTOR, omit --dry-run")
    if http:
        require_answer(context, "revoked")
    if not (yes or dry_run):
        _confirm(context, selectors)
    changes = context.admin.revoke(
        selectors,
        if_unused_for=parse_duration(if_unused_for) if if_unused_for is not None else None,
        reason=reason,
        dry_run=dry_run,
    )
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


def _confirm(context: CommandContext, selectors: list[str]) -> None:
    now = utc_now()
    live = [record for record in selected(context, selectors) if record.key.revoked_at is None]
    recent = [one for one in live if one.key.last_used_at is not None and one.key.last_used_at > now - _RECENTLY]
    if recent or len(live) > 1:
        ask(context, live, "revoke")
