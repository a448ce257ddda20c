"""How commands that change keys ask for confirmation and report the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keyctl.cli.context import CommandContext
from keyctl.cli.json_objects import key_object
from keyctl.store.setting_names import SettingName
from keyctl.times import describe_relative, format_time, utc_now

if TYPE_CHECKING:
    from keyctl.admin.keys import Change
    from keyctl.models import KeyRecord


def selected(context: CommandContext, selectors: Sequence[str]) -> list[KeyRecord]:
    """Return the selected keys, each once. Raises NotFound."""
    from keyctl.store import keys

    with context.store.read() as connection:
        records = {record.key.id: record for record in (keys.get(connection, one) for one in selectors)}
    return list(records.values())


def confirm_several(context: CommandContext, selectors: Sequence[str], verb: str, *, yes: bool, dry_run: bool) -> None:
    """Ask for confirmation before several keys are changed. Raises Aborted and Refused."""
    if yes or dry_run or len(set(selectors)) == 1:
        return
    records = selected(context, selectors)
    if len(records) > 1:
        ask(context, records, verb)


def ask(context: CommandContext, records: Sequence[KeyRecord], verb: str) -> None:
    """List the keys, and ask for confirmation. Raises Aborted and Refused."""
    now = utc_now()
    for record in records[:20]:
        key = record.key
        used = f"last used {describe_relative(key.last_used_at, now=now)}" if key.last_used_at else "no use recorded"
        context.output.note(f"{key.prefix}  {key.name or ''}  {key.status(now)}, {used}")
    if len(records) > 20:
        context.output.note(f"… and {len(records) - 20:,} more")
    what = records[0].key.prefix if len(records) == 1 else f"{len(records):,} keys"
    context.output.confirm(f"{verb} {what}")


def report(
    context: CommandContext, changes: Sequence[Change], done: str, *, already: str, dry_run: bool, jsonl: bool
) -> None:
    """Print what was done to each key; a key that needed no change gets a note."""
    output, profile, now = context.output, context.store.profile, utc_now()
    for change in changes:
        prefix = change.record.key.prefix
        if dry_run:
            output.note(f"{prefix}: would be {done}" if change.changed else f"{prefix} {already}")
        elif not change.changed:
            output.note(f"{prefix} {already}: nothing was changed")
    if dry_run:
        return
    if done in {"revoked", "locked"} and any(change.changed for change in changes):
        _note_bundles(context, done)
    objects = [key_object(change.record, profile, now=now) for change in changes]
    if jsonl:
        for one in objects:
            output.answer_json(one)
    elif output.json:
        output.answer_json(objects[0] if len(objects) == 1 else {"keys": objects})
    else:
        words = [done if change.changed else "unchanged" for change in changes]
        output.answer("\n".join(f"{word} {one.record.key.prefix}" for word, one in zip(words, changes, strict=True)))


def _note_bundles(context: CommandContext, done: str) -> None:
    """Note how long bundles that were exported earlier may still accept the keys."""
    context.store.reload()  # another process may have exported one during the confirmation
    until = context.store.settings.get(SettingName.BUNDLE_VALID_UNTIL)
    if until is not None and until > format_time(utc_now()):
        context.output.note(f"bundles that were exported earlier may accept {done} keys until {until}")
