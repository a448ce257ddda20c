"""`keyctl rotate`."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.admin.delivery import StreamDelivery
from keyctl.cli.confirmation import confirm_change
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.delivery_options import DeliveryOptions, Destination, warn_of_readers
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import key_object
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, ReasonOption, YesOption
from keyctl.cli.output import delivered, to_json
from keyctl.cli.selection import SelectionOptions, confirm_selection
from keyctl.models import Status
from keyctl.times import describe_relative, format_time, parse_duration, utc_now

if TYPE_CHECKING:
    from keyctl.admin.delivery import Successor
    from keyctl.admin.rotation import Rotation
    from keyctl.models import Key, KeyRecord
    from keyctl.store.selection import Selection

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
@expand_options
def rotate(
    ctx: typer.Context,
    which: SelectionOptions,
    delivery_options: DeliveryOptions,
    grace: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Grace period of the old key; 0 revokes it. [default: the profile's]"),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Expiry time of the new key. [default: the old key's lifetime]")
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Replace keys with new ones.

    \b
    Examples:
      keyctl rotate kc_live_3fa9c2d1e8b7
      keyctl rotate kc_live_3fa9c2d1e8b7 --grace 0 --out new.key
      keyctl rotate --due --owner acme --yes --json

    A new key has the same owner, environment, scopes, networks and metadata. The old one expires or is revoked only
    after all new ones were delivered. If an earlier rotation may have delivered a key too, revoking that one requires
    confirmation; without a terminal, add --yes.
    """
    context = context_of(ctx)
    output = context.output

    to = delivery_options.destination(many=which.one is None)
    to.print_json_if_asked(output)
    if output.json:
        to.refuse_with("--json")

    def as_object(new: "KeyRecord", old: "KeyRecord", more: Mapping[str, Any]) -> dict[str, Any]:
        now = utc_now()
        replaced = key_object(old, context.store.profile, now=now)
        previous = {name: replaced[name] for name in ("id", "prefix", "expires_at", "status")}
        return {**key_object(new, context.store.profile, now=now), **more, "previous": previous}

    def as_json(objects: list[dict[str, Any]]) -> str:
        return to_json({"keys": objects} if which.one is None else objects[0])

    def render(successors: Sequence["Successor"]) -> str:
        if output.json:
            return as_json([as_object(one.record, one.old, {"key": one.text}) for one in successors])
        return "\n".join(one.text for one in successors)

    if to.out:
        output.warn_of_leftovers(to.out)
    to_stdout = StreamDelivery(output.deliver, render)
    delivery = to.delivery(output, to_stdout, lambda one: as_object(one.record, one.old, {}), wait=context.wait)
    selection = confirm_selection(
        context, which, which.choose(context, (Status.ACTIVE,)), "rotate", yes=yes, dry_run=dry_run
    )
    rotations = context.rotator.rotate(
        selection,
        delivery,
        grace=parse_duration(grace) if grace is not None else None,
        expires=expires,
        revoking=_confirmed(context, selection, yes=yes, dry_run=dry_run),
        reason=reason,
        dry_run=dry_run,
    )
    if not rotations:
        output.note("no keys match: nothing was changed")
    if dry_run:
        for one in rotations:
            old = one.old.key
            output.note(f"would replace {old.prefix}, which then {_end(old, now=utc_now())}: nothing was changed")
        return
    if output.json and (to.elsewhere or not rotations):
        with delivered(to.place):
            output.answer(as_json([as_object(one.new, one.old, to.json_fields()) for one in rotations]))
    if rotations:
        warn_of_readers(output, to)
        _describe(context, rotations, to)


def _describe(context: CommandContext, rotations: "Sequence[Rotation]", to: Destination) -> None:
    """Describe the new keys on stderr: at a terminal in full, elsewhere if stdout does not name them."""
    output = context.output
    new, old = rotations[0].new.key, rotations[0].old.key
    where = to.place if to.elsewhere else "shown only once: store it now"
    if to.elsewhere and not output.json and not output.on_stderr_terminal:
        what = f"{new.prefix} in place of {old.prefix}" if len(rotations) == 1 else f"{len(rotations):,} keys"
        output.note(f"minted {what}, {to.place}")
    if len(rotations) > 1:
        output.aside([("rotated", f"{len(rotations):,} keys"), ("", where)])
        return
    output.aside(
        [
            ("prefix", f"{new.prefix}   (safe to log)"),
            ("replaces", f"{old.prefix}, which {_end(old, now=new.created_at)}"),
            ("expires", describe_relative(new.expires_at, now=new.created_at) if new.expires_at else "never"),
            ("", where),
        ]
    )


def _confirmed(context: CommandContext, selection: "Selection", *, yes: bool, dry_run: bool) -> list[str]:
    """Return the ids of earlier successors that may be revoked, after asking at a terminal. Raises Aborted."""
    earlier = context.rotator.undelivered_successors(selection)
    if not earlier or yes:
        return [one.key.id for one in earlier]
    if dry_run or sys.stdin is None or not sys.stdin.isatty():
        return []  # the rotation is refused, with a hint that names the commands
    prefixes = ", ".join(one.key.prefix for one in earlier)
    confirm_change(context, f"revoke {prefixes}, which an earlier rotation may have delivered")
    return [one.key.id for one in earlier]


def _end(old: "Key", *, now: datetime) -> str:
    if old.revoked_at is not None:
        return "is revoked"
    if old.expires_at is None:
        return "never expires"
    return f"remains valid until {format_time(old.expires_at)} ({describe_relative(old.expires_at, now=now)})"
