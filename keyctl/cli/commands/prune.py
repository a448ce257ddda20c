"""`keyctl prune`."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.confirmation import confirm_change
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.filter_options import FilterOptions
from keyctl.cli.help_layout import Command
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, YesOption
from keyctl.cli.progress import counting
from keyctl.errors import UsageError
from keyctl.text import counted
from keyctl.times import format_duration, format_time, parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.admin.pruning import Pruner, RemovedKey
    from keyctl.store.pruning import Counted

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EXAMPLES = 5


@dataclass(frozen=True)
class PruneOptions(FilterOptions):
    """The filters, of which --older-than means how long ago a key ended."""

    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", rich_help_panel="Filters", help="Only revoked or only expired keys."),
    ] = None
    older_than: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME", rich_help_panel="Filters", help="Keys that ended more than TIME ago; required."),
    ] = None

    def age(self) -> timedelta:
        """Return how long ago a key must have ended. Raises UsageError."""
        if not self.older_than:
            raise UsageError("--older-than is required", hint="for example: --older-than 365d")
        return min(map(parse_duration, self.older_than))


@app.command(cls=Command)
@expand_options
def prune(
    ctx: typer.Context,
    which: PruneOptions,
    no_vacuum: Annotated[
        bool, typer.Option("--no-vacuum", help="Leave a SQLite file as large as it is, and its readers undisturbed.")
    ] = False,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Remove keys that ended long ago, and keep their history.

    \b
    Examples:
      keyctl prune --older-than 365d --dry-run
      keyctl prune --status expired,revoked --older-than 365d --yes

    Only revoked and expired keys are removed, with the use that was recorded of them: all that match, or none. A
    removed key is then unknown: it verifies as INVALID_API_KEY. Its events stay: keyctl audit list --key PREFIX

    A SQLite file becomes smaller; that needs as much free space, and its readers wait meanwhile. The server of a
    PostgreSQL store uses the space again by itself. Requires confirmation; without a terminal, add --yes.
    """
    from keyctl.admin.pruning import Pruner

    context = context_of(ctx)
    age = which.age()
    filters = replace(which.read(context), older_than=None)
    context.authorise()
    pruner = Pruner(context.store, context.actor)
    found = pruner.preview(filters, age, examples=_EXAMPLES)
    if found.total:
        _describe(context, found, dry_run=dry_run)
        if not (yes or dry_run):
            confirm_change(context, f"remove {counted(found.total, 'key')}")
        with counting(context.output, "keys") as advance:
            removed = pruner.remove(
                filters, age, before=found.before, reason=reason, dry_run=dry_run, on_removed=advance
            )
    else:
        removed = []
        context.output.note(f"no key ended more than {format_duration(age)} ago: nothing was changed")
    if dry_run:
        return
    _print(context, removed, jsonl=jsonl)
    if removed and not no_vacuum:
        _shrink(context, pruner)


def _describe(context: CommandContext, found: "Counted", *, dry_run: bool) -> None:
    """Note what is going to be removed."""
    by_status = ", ".join(f"{count:,} {status}" for status, count in sorted(found.by_status.items()))
    begin = "would remove" if dry_run else "removes"
    context.output.note(f"{begin} {counted(found.total, 'key')} ({by_status}), of {counted(found.owners, 'owner')}")
    more = f" and {found.total - len(found.first):,} more" if found.total > len(found.first) else ""
    context.output.note(f"{', '.join(found.first)}{more}")


def _print(context: CommandContext, removed: "Sequence[RemovedKey]", *, jsonl: bool) -> None:
    output = context.output
    objects = (_object(one) for one in removed)
    if jsonl:
        for one in objects:
            output.answer_json(one)
    elif output.json:
        output.answer_json({"keys": list(objects)})
    elif removed:
        output.answer("\n".join(f"removed {one.prefix}" for one in removed))


def _object(one: "RemovedKey") -> dict[str, Any]:
    return {
        "id": one.id,
        "prefix": one.prefix,
        "owner": one.owner,
        "status": str(one.status),
        "ended_at": format_time(one.ended_at),
    }


def _shrink(context: CommandContext, pruner: "Pruner") -> None:
    """Make a SQLite file smaller. That it cannot be is no failure: the keys are removed."""
    file = context.store.location.file
    if file is None:
        context.output.note("the server uses the space again: autovacuum frees it for new rows")
        return
    before = file.stat().st_size
    problem = pruner.shrink(wait=context.wait)
    if problem is not None:
        context.output.warn(f"the keys are removed, but {file} could not be made smaller: {problem.message}")
        return
    context.output.note(f"{file} has {_size(file.stat().st_size)}, and had {_size(before)}")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.0f} kB"
