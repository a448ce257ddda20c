"""`keyctl limits`."""

from datetime import timedelta
from typing import Annotated

import typer

from keyctl.cli.columns import Column
from keyctl.cli.context import context_of
from keyctl.cli.decision_object import limit_object
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, LimiterOption, SelectorArgument
from keyctl.cli.records import ColumnsOption, FormatOption, choose_view, show_records
from keyctl.decision import LimitState, limits_in_force
from keyctl.errors import UsageError
from keyctl.times import describe_relative, format_duration, later, utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def limits(
    ctx: typer.Context,
    selector: SelectorArgument,
    limiter: LimiterOption = None,
    reset: Annotated[
        bool, typer.Option("--reset", rich_help_panel="Limits", help="Forget what is used up; count from zero.")
    ] = False,
    dry_run: DryRunOption = False,
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
) -> None:
    """Show what is used up of the rate limits of a key.

    \b
    Examples:
      keyctl limits kc_live_3fa9c2d1e8b7 --limiter redis://127.0.0.1:6379
      keyctl limits kc_live_3fa9c2d1e8b7 --reset

    Counts nothing. The limits are those of the owner's plan. A key shares them with the keys that it replaced, or with
    all keys of its owner, as the profile says.
    """
    from keyctl.store import keys
    from keyctl.verification.rate_limits import subject_of

    context = context_of(ctx)
    view = choose_view(context, _columns(), given=output_format, names=columns)
    output = context.output
    address = context.limiter_address(limiter)
    if address is None:
        raise UsageError("no limiter is given", hint="add --limiter redis://HOST:PORT, or set KEYCTL_LIMITER")
    if address.local:
        raise UsageError("memory:// counts in one process, and no other can show it", hint="give the URL of a server")
    if dry_run and not reset:
        raise UsageError("--dry-run requires --reset", hint="omit --dry-run: without --reset, nothing is changed")
    if reset:
        context.authorise()
    profile = context.store.profile
    with context.store.read() as connection:
        record = keys.get(connection, selector)
    in_force, subject = limits_in_force(profile, record), subject_of(context.store.store_id, profile, record)
    opened = context.open_limiter(address)
    if reset and not dry_run:
        opened.reset(subject, in_force)
    states = opened.look(subject, in_force)
    shared = profile.limits.subject == "owner" and record.owner is not None
    if reset and not output.json:
        whose = f"all keys of {record.owner.handle}" if shared and record.owner else record.key.prefix
        output.note(f"{'would count' if dry_run else 'counting'} the requests of {whose} from zero")
    show_records(
        context,
        view,
        states,
        named="limits",
        object_of=lambda state: limit_object(state) | {"used": _used(state)},
        also={
            "prefix": record.key.prefix,
            "owner": record.owner.handle if record.owner else None,
            "count": "owner" if shared else "key",
            "reset": reset and not dry_run,
        },
        nothing="the key has no rate limits: its owner has no plan with any",
    )


def _columns() -> list[Column[LimitState]]:
    return [
        Column("requests", lambda state: str(state.limit.requests), lambda state: f"{state.limit.requests:,}"),
        Column(
            "per",
            lambda state: str(int(state.limit.per.total_seconds())),
            lambda state: format_duration(state.limit.per),
        ),
        Column("used", lambda state: str(_used(state)), lambda state: f"{_used(state):,}"),
        Column("left", lambda state: str(state.remaining), lambda state: f"{state.remaining:,}"),
        Column("more", lambda state: f"{state.reset_seconds:.3f}", _when_more),
    ]


def _used(state: LimitState) -> int:
    return state.limit.requests - state.remaining


def _when_more(state: LimitState) -> str:
    """Return when more is left, for people."""
    now = utc_now()
    return describe_relative(later(now, timedelta(seconds=state.reset_seconds)), now=now) if _used(state) else ""
