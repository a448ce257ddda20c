"""How commands that change owners report what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli.context import CommandContext
from keyctl.cli.json_objects import owner_object

if TYPE_CHECKING:
    from keyctl.admin.owners import OwnerChange
    from keyctl.models import Owner


def report(context: CommandContext, change: OwnerChange, done: str, *, already: str, dry_run: bool) -> None:
    owner: Owner = change.owner
    output = context.output
    if dry_run:
        output.note(f"{owner.handle}: would be {done}" if change.changed else f"{owner.handle} {already}")
        return
    if not change.changed:
        output.note(f"{owner.handle} {already}: nothing was changed")
    if output.json:
        output.answer_json(owner_object(owner))
    else:
        output.answer(f"{done if change.changed else 'unchanged'} {owner.handle}")
