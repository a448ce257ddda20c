"""`keyctl scan`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, YesOption
from keyctl.cli.records import ColumnsOption, Format, FormatOption, View, choose_view, show_records
from keyctl.errors import CheckFailed, NotFound, ScanIncomplete, UsageError, suggestion
from keyctl.text import brief, counted
from keyctl.times import utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from keyctl.keyformat import KeyFormat
    from keyctl.leaks import Leak
    from keyctl.models import KeyRecord
    from keyctl.scanning.places import Collected
    from keyctl.scanning.repositories import Repository

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_REASON = "found by scan"
_SHORT = 64 << 20  # bytes of a scan that is over before its progress is read


@app.command(cls=Command)
def scan(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Files and folders; - is standard input.")
    ] = None,
    git: Annotated[
        bool, typer.Option("--git", help="Search the whole history of each PATH, a Git repository.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also list revoked and expired keys, and texts with a wrong secret.")
    ] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", rich_help_panel="Change", help="Revoke the live keys that are found.")
    ] = False,
    lock: Annotated[
        bool, typer.Option("--lock", rich_help_panel="Change", help="Lock the live keys that are found.")
    ] = False,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="TOOL",
            rich_help_panel="Rules",
            help="Print rules for another scanner, such as gitleaks.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", rich_help_panel="Rules", help="Profile of the rules. [default: the store's formats]"
        ),
    ] = None,
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """Find keys of this store in files, Git history and streams.

    \b
    Examples:
      keyctl scan .
      git diff --cached | keyctl scan -
      keyctl scan --git . --revoke --yes
      keyctl scan --rules gitleaks --profile standard > .gitleaks.toml

    Finds keys of every format that the store ever had, also percent-encoded, in base64 and in UTF-16. Lists each by its
    prefix. Exits 9 if one is live, which means neither revoked nor expired, and 5 if something could not be read.
    --revoke and --lock change only keys whose secret was found and is right. See keyctl help scan
    """
    context = context_of(ctx)
    if rules is not None:
        _print_rules(context, rules, profile, paths or [])
        return
    if profile is not None:
        raise UsageError("--profile needs --rules", hint="a scan uses the formats of the store: omit --profile")
    from keyctl.cli.scan_view import COLUMNS, Row, collected_object, leak_object, note_result, warn_of_unread

    view = choose_view(context, COLUMNS, given=output_format, jsonl=jsonl, names=columns)
    _check(paths or [], git=git, changes=(revoke, lock), dry_run=dry_run)
    leaks, collected, unknown = _search(context, paths or [], git=git)
    warn_of_unread(context.output, collected)
    shown = [leak for leak in leaks if leak.live or everything]
    changed: dict[str, KeyRecord] = {}
    if revoke or lock:
        verb = "revoke" if revoke else "lock"
        changed = _change(context, leaks, verb, reason=reason or _REASON, yes=yes, dry_run=dry_run)
    now = utc_now()
    if view.format in {Format.JSON, Format.JSONL}:
        show_records(
            context,
            View(view.format, ()),
            [_after(leak, changed, now) for leak in leaks],
            named="keys",
            object_of=lambda leak: leak_object(leak, context.store.profile, now=now),
            also=collected_object(collected, unknown),
        )
    else:
        rows = [Row(_after(leak, changed, now), place) for leak in shown for place in leak.places]
        show_records(context, view, rows, named="keys", object_of=Row._asdict)
    note_result(context.output, leaks, collected, unknown)
    _conclude([leak for leak in leaks if leak.live and leak.record.key.prefix not in changed], collected)


def _check(paths: Sequence[str], *, git: bool, changes: Sequence[bool], dry_run: bool) -> None:
    """Raise UsageError for options that contradict each other, and NotFound for a path that does not exist."""
    if not paths:
        raise UsageError("there is nothing to scan", hint="for example: keyctl scan . or keyctl scan - < FILE")
    if sum(changes) > 1:
        raise UsageError("--revoke cannot be used with --lock", hint="omit one of them")
    if dry_run and not any(changes):
        raise UsageError("--dry-run needs --revoke or --lock", hint="a scan alone changes nothing: omit --dry-run")
    if paths.count("-") > 1 or (git and "-" in paths):
        raise UsageError("- is standard input, once, and no repository", hint="keyctl scan - < FILE")
    for path in paths:
        if path != "-" and not os.path.lexists(path):
            raise NotFound(
                f"there is no file or folder {brief(path)}", hint="keyctl scan . searches the current folder"
            )


def _search(context: CommandContext, paths: Sequence[str], *, git: bool) -> tuple[list[Leak], Collected, int]:
    """Return all keys of the store that are found, what was searched, and the number of unknown keys."""
    from keyctl.cli.progress import counting
    from keyctl.leaks import Leaks
    from keyctl.scanning.places import Collected
    from keyctl.scanning.search import Searcher

    store = context.store
    leaks = Leaks(store, context.peppers)
    searcher = Searcher(_recognizable(context, store.formats))
    with counting(context.output, "bytes searched") as advance:
        collected = Collected(leaks.add, _after_bytes(_SHORT, advance))
        if git:
            from keyctl.scanning.repositories import Repository

            repositories = [Repository(path) for path in paths]  # before the first is searched
            for repository in repositories:
                _note_missing_history(context, repository)
                repository.scan(searcher, collected)
        else:
            from keyctl.scanning.files import scan_files, scan_stream

            scan_files(searcher, [path for path in paths if path != "-"], collected)
            if "-" in paths:
                if sys.stdin is None:
                    raise UsageError("standard input is closed", hint="keyctl scan - < FILE")
                scan_stream(searcher, sys.stdin.buffer, collected)
        return leaks.settle(utc_now()), collected, leaks.unknown


def _after_bytes(least: int, advance: Callable[[int], None]) -> Callable[[int], None]:
    """Return what advances the progress once there is as much as `least`: a short scan does not show any."""
    total = shown = 0

    def count(size: int) -> None:
        nonlocal total, shown
        total += size
        if total > least:
            advance(total - shown)
            shown = total

    return count


def _recognizable(context: CommandContext, formats: Sequence[KeyFormat]) -> list[KeyFormat]:
    for one in formats:
        if not one.recognizable:
            context.output.warn(
                f"keys of the foreign format {one.foreign} are not searched for: they have no fixed beginning"
            )
    return [one for one in formats if one.recognizable]


def _note_missing_history(context: CommandContext, repository: Repository) -> None:
    if repository.shallow:
        context.output.warn(
            f"{repository.path} is a shallow clone: its older history is not here; git fetch --unshallow"
        )
    if repository.partial:
        context.output.warn(f"{repository.path} is a partial clone: objects that are not here are not searched")


def _change(
    context: CommandContext, leaks: Sequence[Leak], verb: str, *, reason: str, yes: bool, dry_run: bool
) -> dict[str, KeyRecord]:
    """Revoke or lock the live keys whose secrets are right; return them by prefix, as they are afterwards."""
    from keyctl.cli.key_changes import note_bundles
    from keyctl.cli.selection import confirm_shown, counted_admin
    from keyctl.leaks import Secret
    from keyctl.store.selection import Selection

    prefixes = [leak.record.key.prefix for leak in leaks if leak.live and leak.secret is Secret.RIGHT]
    if not prefixes:
        context.output.note(f"no live key was found: nothing to {verb}")
        return {}
    selection = Selection.named(*prefixes)
    if not yes or dry_run:
        selection = confirm_shown(context, selection, verb, dry_run=dry_run)
    with counted_admin(context) as admin:
        changes = (admin.revoke if verb == "revoke" else admin.lock)(selection, reason=reason, dry_run=dry_run)
    if dry_run:
        context.output.note(f"would {verb} {counted(len(changes), 'key')}")
        return {}
    done = f"{verb.removesuffix('e')}ed"
    note_bundles(context, done)
    context.output.note(f"{done} {counted(len(changes), 'key')}")
    return {change.record.key.prefix: change.record for change in changes}


def _after(leak: Leak, changed: Mapping[str, KeyRecord], now: datetime) -> Leak:
    record = changed.get(leak.record.key.prefix)
    return replace(leak, record=record, status=record.status(now)) if record else leak


def _conclude(live: Sequence[Leak], collected: Collected) -> None:
    """Raise CheckFailed if a live key was found, and ScanIncomplete if one may have been missed."""
    from keyctl.leaks import Secret

    prefixes = {leak.record.key.prefix for leak in live}
    proven = {leak.record.key.prefix for leak in live if leak.secret is Secret.RIGHT}
    if prefixes:
        found = f"{counted(len(prefixes), 'live key was', 'live keys were')} found"
        if unchecked := prefixes - proven:
            why = next((leak.problem for leak in live if leak.problem), "")
            found += f"; the secret of {len(unchecked):,} could not be checked: {why}"
        hint = "keyctl rotate PREFIX, or scan again with --revoke"
        raise CheckFailed(found, hint=hint if proven else "give the pepper file, or: keyctl revoke PREFIX")
    if collected.unread_count:
        raise ScanIncomplete(
            f"no live key was found, but {collected.unread_count:,} could not be searched",
            hint="see the warnings for what and why; to read what is not yours, run as another user",
        )


def _print_rules(context: CommandContext, tool: str, profile: str | None, paths: Sequence[str]) -> None:
    from keyctl.profiles.files import load_profile
    from keyctl.scanning.rules import WRITERS
    from keyctl.scanning.rules.subjects import subjects

    if paths:
        raise UsageError("--rules takes no PATH", hint=f"keyctl scan --rules {brief(tool)}")
    if tool not in WRITERS:
        known = f"known: {', '.join(WRITERS)}"
        raise UsageError(f'no rules for "{brief(tool)}"', hint=suggestion(tool, WRITERS, otherwise=known))
    if profile is not None:
        loaded = load_profile(profile)
        name, formats = loaded.name, _recognizable(context, loaded.formats)
    else:
        name, formats = context.store.profile.name, _recognizable(context, context.store.formats)
    text = WRITERS[tool](subjects(name, formats))
    context.output.result(text, {"tool": tool, "profile": name, "rules": text})
