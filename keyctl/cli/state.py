"""`keyctl revoke`, `lock`, `unlock` and `expire`."""

from datetime import timedelta
from typing import Annotated

import typer

from keyctl.cli.administration import administration_answer, require_answer
from keyctl.cli.changes import ask, confirm_several, report, selected
from keyctl.cli.command import Command
from keyctl.cli.context import (
    CommandContext,
    DryRunOption,
    HttpOption,
    JsonLinesOption,
    ReasonOption,
    SelectorsArgument,
    YesOption,
    context_of,
)
from keyctl.errors import UsageError
from keyctl.times import parse_duration, utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_RECENTLY = timedelta(hours=24)


@app.command(cls=Command)
def revoke(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    if_unused_for: Annotated[
        str | None, typer.Option(metavar="TIME", help="Refuse if a key was used in this time, or nobody knows.")
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
    http: HttpOption = False,
) -> None:
    """End keys for good.

    \b
    Examples:
      keyctl revoke kc_live_3fa9c2d1e8b7 --reason "leaked in a log"
      keyctl revoke kc_live_3fa9c2d1e8b7 --if-unused-for 24h

    A revoked key cannot be restored. A key used in the last 24 hours, and several keys, are asked about first; where
    there is no terminal to ask at, --yes is needed.
    """
    context = context_of(ctx)
    if http and (len(selectors) > 1 or dry_run):
        raise UsageError("--http is the answer to revoking one key", hint="give one SELECTOR, without --dry-run")
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
    if http:
        context.output.answer_exactly(administration_answer(context, "revoked", changes[0].record))
        return
    report(context, changes, "revoked", already="is revoked already", dry_run=dry_run, jsonl=jsonl)


@app.command(cls=Command)
def lock(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    duration: Annotated[str | None, typer.Option("--for", metavar="TIME", help="How long. [until unlocked]")] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Suspend keys, for a time or until unlocked.

    \b
    Examples:
      keyctl lock kc_live_3fa9c2d1e8b7 --for 1h --reason "unusual traffic"
      keyctl lock kc_live_3fa9c2d1e8b7
    """
    context = context_of(ctx)
    confirm_several(context, selectors, "lock", yes=yes, dry_run=dry_run)
    changes = context.admin.lock(
        selectors,
        duration=parse_duration(duration) if duration is not None else None,
        reason=reason,
        dry_run=dry_run,
    )
    report(context, changes, "locked", already="is locked already", dry_run=dry_run, jsonl=jsonl)


@app.command(cls=Command)
def unlock(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Lift a lock.

    \b
    Examples:
      keyctl unlock kc_live_3fa9c2d1e8b7
    """
    context = context_of(ctx)
    confirm_several(context, selectors, "unlock", yes=yes, dry_run=dry_run)
    changes = context.admin.unlock(selectors, reason=reason, dry_run=dry_run)
    report(context, changes, "unlocked", already="is not locked", dry_run=dry_run, jsonl=jsonl)


@app.command(cls=Command)
def expire(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    to: Annotated[str, typer.Option(metavar="TIME", help="30d, 2027-01-31T00:00:00Z, or never.")],
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Set or clear when keys end.

    \b
    Examples:
      keyctl expire kc_live_3fa9c2d1e8b7 --to 30d
      keyctl expire kc_live_3fa9c2d1e8b7 --to never
    """
    context = context_of(ctx)
    confirm_several(context, selectors, "set the expiry of", yes=yes, dry_run=dry_run)
    changes = context.admin.expire(selectors, to, reason=reason, dry_run=dry_run)
    report(context, changes, "changed", already="ends then already", dry_run=dry_run, jsonl=jsonl)


def _confirm(context: CommandContext, selectors: list[str]) -> None:
    now = utc_now()
    live = [record for record in selected(context, selectors) if record.key.revoked_at is None]
    recent = [one for one in live if one.key.last_used_at is not None and one.key.last_used_at > now - _RECENTLY]
    if recent or len(live) > 1:
        ask(context, live, "revoke")
