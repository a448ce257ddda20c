"""How commands that change owners report what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli.context import CommandContext
from keyctl.cli.json_objects import owner_object

if TYPE_CHECKING:
    from keyctl.admin.owners import OwnerChange


def report(context: CommandContext, change: OwnerChange, done: str, *, already: str, dry_run: bool) -> None:
    owner, output = change.owner, context.output
    if dry_run:
        output.note(f"{owner.handle}: would be {done}" if change.changed else f"{owner.handle} {already}")
        return
    if not change.changed:
        output.note(f"{owner.handle} {already}: nothing was changed")
    output.result(f"{done if change.changed else 'unchanged'} {owner.handle}", owner_object(owner))
