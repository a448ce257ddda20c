"""How commands select the keys that they change, and confirm that selection."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from keyctl.cli.confirmation import confirm_change
from keyctl.cli.filter_options import FilterOptions
from keyctl.cli.progress import counting
from keyctl.errors import NotFound, UsageError
from keyctl.models import Status
from keyctl.regular_files import open_regular
from keyctl.text import brief
from keyctl.times import describe_relative, utc_now

if TYPE_CHECKING:
    from keyctl.admin.keys import KeyAdmin
    from keyctl.cli.context import CommandContext
    from keyctl.models import KeyRecord
    from keyctl.selector_text import NamedKeys
    from keyctl.store.selection import Selection

_EXAMPLES = 5
# What a filter selects if it does not say which status: a command can change no other keys.
CHANGEABLE = tuple(status for status in Status if status is not Status.REVOKED)
UNEXPIRED = tuple(status for status in CHANGEABLE if status is not Status.EXPIRED)


@dataclass(frozen=True)
class SelectionOptions(FilterOptions):
    """Which keys a command is about: those that are named, in arguments or a text, and that match all filters."""

    selectors: Annotated[
        list[str] | None, typer.Argument(metavar="[SELECTOR]...", help="Key ids or prefixes; or use filters.")
    ] = None
    from_file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            rich_help_panel="Selection",
            help="Keys that a text names by id, prefix or as a whole; - is standard input.",
        ),
    ] = None
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", rich_help_panel="Selection", help="Continue without unknown keys.")
    ] = False

    @property
    def only_named(self) -> bool:
        """Whether nothing but selectors in the arguments selects keys."""
        return self.from_file is None and not self.given()

    @property
    def one(self) -> str | None:
        """The only selector, if nothing else selects keys."""
        alone = self.only_named and len(set(self.selectors or ())) == 1
        return self.selectors[0] if self.selectors and alone else None

    @property
    def named(self) -> bool:
        """Whether keys are named, in arguments or a text."""
        return bool(self.selectors) or self.from_file is not None

    def choose(self, context: CommandContext, default: tuple[Status, ...] = ()) -> Selection:
        """Return the selection. Without names and --status, it holds only keys with a status of `default`.

        Raises UsageError if nothing is selected, and NotFound, naming all unknown keys.
        """
        if not (self.named or self.given()):
            raise UsageError(
                "no key is selected", hint="give SELECTOR..., --from FILE, or a filter such as --owner HANDLE"
            )
        from keyctl.store.selection import Selection

        filters = self.read(context)
        if not self.named:
            return Selection(None, filters if self.status else replace(filters, statuses=default))
        names = tuple(self.selectors or ())
        if self.from_file is None and not self.ignore_unknown:
            return Selection(tuple(dict.fromkeys(names)), filters)  # unknown ones are found when they are read
        found = _read_text(context, self.from_file) if self.from_file is not None else None
        return Selection(self._known(context, names, found), filters)

    def _known(self, context: CommandContext, names: Sequence[str], found: NamedKeys | None) -> tuple[str, ...]:
        from keyctl.store import keys

        every = tuple(dict.fromkeys((*names, *(found.selectors if found else ()))))
        with context.store.read() as connection:
            known = keys.known(connection, every)
        unknown = [brief(one) for one in every if one not in known]
        unknown += [f"line {number} of {self.from_file}" for number in (found.unreadable_lines if found else ())]
        if unknown and not self.ignore_unknown:
            raise NotFound(
                keys.unknown_named(unknown),
                hint="correct them, or add --ignore-unknown to continue without them",
            )
        if unknown:
            listed = ", ".join(unknown[:_EXAMPLES]) + (", …" if len(unknown) > _EXAMPLES else "")
            are = "unknown key is" if len(unknown) == 1 else "unknown keys are"
            context.output.note(f"{len(unknown):,} {are} ignored: {listed}")
        return tuple(one for one in every if one in known)


def _read_text(context: CommandContext, name: str) -> NamedKeys:
    from keyctl.selector_text import find_named_keys

    profile = context.store.profile
    with _opened(name) as text:
        return find_named_keys(text, context.store.formats, serial_ids=profile.key_ids == "serial")


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name != "-":
        try:
            with open_regular(Path(name)) as file:
                yield file
        except OSError as error:
            raise UsageError(f"cannot read {name}: {error.strerror}", hint="give a file to --from, or -") from None
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("--from - needs a text on standard input", hint="for example: keyctl list --owner acme | …")
    yield sys.stdin.buffer


@contextmanager
def counted_admin(context: CommandContext) -> Iterator[KeyAdmin]:
    """Yield what changes keys, with its progress on a terminal."""
    with counting(context.output, "keys") as advance:
        yield context.key_admin(advance)


def confirm_selection(
    context: CommandContext, options: SelectionOptions, selection: Selection, verb: str, *, yes: bool, dry_run: bool
) -> Selection:
    """Show what is selected and ask for confirmation, unless one key is named; return what was shown.

    Raises NotFound, Aborted, and Refused without a terminal.
    """
    if yes or options.one is not None:
        return selection
    return confirm_shown(context, selection, verb, dry_run=dry_run, one_is_no_question=options.only_named)


def confirm_shown(
    context: CommandContext,
    selection: Selection,
    verb: str,
    *,
    dry_run: bool = False,
    one_is_no_question: bool = False,
) -> Selection:
    """Show what is selected and ask for confirmation; return the keys that were shown. Raises Aborted and Refused."""
    from keyctl.store import keys
    from keyctl.store.selection import Selection as Chosen

    now = utc_now()
    with context.store.read() as connection:
        shown = Chosen(tuple(keys.ids(connection, selection, now=now)), selection.filters)
        found = keys.summary(connection, shown, now=now, examples=_EXAMPLES)
    if not found.keys or (found.keys == 1 and one_is_no_question):
        return shown
    what = f"{found.keys:,} keys" if found.keys != 1 else found.examples[0].key.prefix
    owner = found.examples[0].owner
    if found.owners > 1:
        what += f" of {found.owners:,} owners"
    elif owner and found.keys != 1:
        what += f" of {owner.handle}"
    context.output.note(f"{what}:")
    for record in found.examples:
        context.output.note(f"  {_line(record)}")
    if found.keys > len(found.examples):
        context.output.note(f"  … and {found.keys - len(found.examples):,} more")
    if not dry_run:
        confirm_change(context, f"{verb} {what}")
    return shown


def _line(record: KeyRecord) -> str:
    key, now = record.key, utc_now()
    used = f"last used {describe_relative(key.last_used_at, now=now)}" if key.last_used_at else "no use recorded"
    facts = [key.prefix, key.name or "", record.owner.handle if record.owner else "", f"{record.status(now)}, {used}"]
    return "  ".join(fact for fact in facts if fact)
