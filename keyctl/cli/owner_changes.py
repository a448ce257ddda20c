"""How commands that change owners ask for confirmation, and report what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli.confirmation import confirm_change
from keyctl.cli.context import CommandContext
from keyctl.cli.json_objects import owner_object
from keyctl.text import counted

if TYPE_CHECKING:
    from keyctl.admin.owners import OwnerChange


def confirm_disabling(context: CommandContext, change: OwnerChange) -> None:
    """Report what would stop, and ask for confirmation. Raises Aborted and Refused."""
    if change.changed:
        confirm_change(context, f"disable {change.owner.handle}: {_reach(change, 'stop')}")


def report(
    context: CommandContext, change: OwnerChange, done: str, *, already: str, effect: str = "", dry_run: bool = False
) -> None:
    """Print what was done to an owner. `effect` is what its keys do then: "stop"."""
    owner, output = change.owner, context.output
    reach = f": {_reach(change, effect)}" if effect and change.changed else ""
    if dry_run:
        output.note(f"{owner.handle}: would be {done}{reach}" if change.changed else f"{owner.handle} {already}")
        return
    if not change.changed:
        output.note(f"{owner.handle} {already}: nothing was changed")
    elif reach:
        output.note(f"{owner.handle}{reach}")
    counts = {"affected": {"owners": change.reach.owners, "keys": change.reach.keys}} if effect else {}
    output.result(f"{done if change.changed else 'unchanged'} {owner.handle}", owner_object(owner) | counts)


def _reach(change: OwnerChange, effect: str) -> str:
    owners, keys = change.reach.owners, change.reach.keys
    if not owners:
        return f"no keys {effect}, since an owner above it is disabled"
    if owners == keys == 1:
        verb, _, rest = effect.partition(" ")
        return f"1 key {verb}s {rest}".rstrip()
    what = counted(keys, "key") if keys else "no keys"
    return f"{owners:,} owners and {what} {effect}" if owners > 1 else f"{what} {effect}"
