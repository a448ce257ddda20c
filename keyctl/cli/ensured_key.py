"""`keyctl mint --ensure`: the key of a name is in a file, however often the command runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from keyctl.cli.delivery_options import Destination, warn_of_readers
from keyctl.cli.json_objects import key_object
from keyctl.cli.output import delivered, to_json
from keyctl.errors import NotDelivered, UsageError
from keyctl.times import utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from keyctl.admin.delivery import Delivery, Minted
    from keyctl.admin.ensuring import Ensured
    from keyctl.admin.minting import NewKey
    from keyctl.cli.context import CommandContext


def require_file(to: Destination, new: NewKey, *, http: bool, jsonl: bool) -> None:
    """Raise UsageError for what `--ensure` needs, or cannot be used with."""
    if new.name is None:
        raise UsageError("--ensure requires --name", hint="add --name TEXT")
    if to.out is None:
        raise UsageError("--ensure requires a file", hint="add --out FILE")
    if to.layout.name == "github-env":
        raise UsageError(
            "--ensure cannot be used with --format github-env: each job has a new file", hint="omit --ensure"
        )
    for option, given in {"--count": to.many, "--http": http, "--jsonl": jsonl}.items():
        if given:
            raise UsageError(f"--ensure cannot be used with {option}", hint=f"omit {option}")


def ensure_key(
    context: CommandContext, new: NewKey, to: Destination, *, rotate: bool, reason: str | None, dry_run: bool
) -> None:
    """Ensure the key, and report what was done."""
    from keyctl.admin.ensuring import KeyEnsurer, Place

    if to.out is None:
        raise TypeError("require_file was not called")
    file, output = to.out, context.output

    def fields(one: Minted) -> dict[str, Any]:
        return key_object(one.record, context.store.profile, now=utc_now())

    def deliver(may_replace: bool) -> Delivery[Minted]:
        return replace(to, force=to.force or may_replace).delivery(output, None, fields, wait=context.wait)

    context.authorise()
    ensurer = KeyEnsurer(context.store, context.actor, peppers=context.peppers, wait=context.wait)
    place = Place(str(file), lambda: _text_in(file, to), deliver)
    ensured = ensurer.ensure(new, place, rotate=rotate, reason=reason, dry_run=dry_run)
    if ensured.differences:
        output.warn(f"{ensured.record.key.prefix} is not as requested: {'; '.join(ensured.differences)}")
    if output.json and not dry_run:
        done = {**to.json_fields(), "outcome": str(ensured.outcome)}
        with delivered(to.place):
            output.answer(to_json({**key_object(ensured.record, context.store.profile, now=utc_now()), **done}))
    else:
        output.note(_said(ensured, to, dry_run=dry_run))
    if not dry_run:
        warn_of_readers(output, to)


def _text_in(file: Path, to: Destination) -> str | None:
    """Return the text in the file that may be a key. Raises Refused for what is no regular file, and NotDelivered."""
    from keyctl.admin.delivery import check_replaceable
    from keyctl.admin.merged_file import read_small

    check_replaceable(file)
    try:
        content = read_small(file)
    except OSError as error:
        raise NotDelivered(
            f"cannot read {file}: {error.strerror}", hint="no key was minted; choose another file"
        ) from None
    if content is None:
        return None
    if to.encrypt:
        from keyctl.admin.systemd_creds import decrypt

        content = decrypt(content, to.credential)
    return to.layout.read(content, to.name)


def _said(ensured: Ensured, to: Destination, *, dry_run: bool) -> str:
    prefix = ensured.record.key.prefix
    if ensured.outcome == "unchanged":
        return f"{prefix} is active, and {to.out} holds it: nothing was changed"
    instead = f" in place of {ensured.old.key.prefix}" if ensured.old else ""
    if dry_run:
        return f"would mint a key{instead}: nothing was changed"
    return f"minted {prefix}{instead}, {to.place}"
