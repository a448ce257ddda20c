"""How commands that change keys report the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keyctl.cli.context import CommandContext
from keyctl.cli.json_objects import key_object
from keyctl.cli.output import Output
from keyctl.store.setting_names import SettingName
from keyctl.times import format_time, utc_now

if TYPE_CHECKING:
    from keyctl.admin.keys import Change

_MOST_NOTES = 20


def report(
    context: CommandContext, changes: Sequence[Change], done: str, *, already: str, dry_run: bool, jsonl: bool
) -> None:
    """Print what was done to each key, in one form whatever their number; keys that needed no change get notes."""
    output, profile, now = context.output, context.store.profile, utc_now()
    if not changes:
        output.note("no keys match: nothing was changed")
    same = [change.record.key.prefix for change in changes if not change.changed]
    for prefix in same[:_MOST_NOTES]:
        output.note(f"{prefix} {already}" if dry_run else f"{prefix} {already}: nothing was changed")
    if len(same) > _MOST_NOTES:
        output.note(f"{len(same) - _MOST_NOTES:,} more keys: {already.replace('is ', 'are ', 1)}")
    if dry_run:
        _note_changes([change.record.key.prefix for change in changes if change.changed], done, output)
        return
    if done in {"revoked", "locked"} and len(same) < len(changes):
        note_bundles(context, done)
    if jsonl:
        for change in changes:
            output.answer_json(key_object(change.record, profile, now=now))
    elif output.json:
        output.answer_json({"keys": [key_object(change.record, profile, now=now) for change in changes]})
    elif changes:
        words = [done if change.changed else "unchanged" for change in changes]
        lines = (f"{word} {one.record.key.prefix}" for word, one in zip(words, changes, strict=True))
        output.answer("\n".join(lines))


def _note_changes(prefixes: Sequence[str], done: str, output: Output) -> None:
    for prefix in prefixes[:_MOST_NOTES]:
        output.note(f"{prefix}: would be {done}")
    if len(prefixes) > _MOST_NOTES:
        output.note(f"{len(prefixes) - _MOST_NOTES:,} more keys would be {done}")


def note_bundles(context: CommandContext, done: str) -> None:
    """Note how long bundles that were exported earlier may still accept the keys."""
    context.store.reload()  # another process may have exported one during the confirmation
    until = context.store.settings.get(SettingName.BUNDLE_VALID_UNTIL)
    if until is not None and until > format_time(utc_now()):
        context.output.note(f"bundles that were exported earlier may accept {done} keys until {until}")
