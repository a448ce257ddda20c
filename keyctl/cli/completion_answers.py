"""Answers completion requests: commands, options, and values of the store in use. Reads only, and never prints errors.

A shell's script sets `_KEYCTL_COMPLETE` to `complete_bash` (or zsh, fish), and
`_KEYCTL_LINE`, the command line up to the cursor; `_KEYCTL_REST`, the text after the cursor;
`_KEYCTL_WORD`, for bash only: the word as bash splits it, which is shorter if it contains a `:` or a `=`.
The first line of the answer is `files` if a file name is accepted too; each further line is a value and its help.
`source_bash` and so on print the script itself.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from typer import core

from keyctl.cli.argument_guard import value_of
from keyctl.cli.command_groups import LazyGroup
from keyctl.cli.commands import DEFAULTS, below
from keyctl.cli.context import CommandContext
from keyctl.cli.output import debug_traceback
from keyctl.cli.typer_internals import CompletionItem as Item
from keyctl.cli.typer_internals import ParameterSource, shell_completion
from keyctl.text import visible

if TYPE_CHECKING:
    from keyctl.profiles.model import Profile
    from keyctl.store.suggestions import Suggestions

TIME_LIMIT = 1.0  # seconds for the store to answer
MOST = 100  # values of one kind
_LONGEST_HELP = 100
_CURSOR = "\x1f"  # no line holds it
_ASSIGNMENT = re.compile(r"\w+=", re.ASCII)
# Where a handle is a new one.
_NEW_HANDLE = "keyctl owner add"
# Where columns are those of keys.
_LISTS_KEYS = "keyctl list"


def respond(instruction: str, root: Any, context: CommandContext) -> int:
    """Carry out the request of a shell's script; return the exit code."""
    action, _, shell = instruction.partition("_")
    if action == "source":
        from keyctl.cli.completion_scripts import script

        context.output.answer(script(shell).rstrip("\n"))
        return 0
    if os.environ.get("KEYCTL_DEBUG") != "1":
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libpq writes warnings there
    try:
        answer = _answer(shell, root, context)
    except Exception:  # noqa: BLE001 - completion must not disturb the command line
        debug_traceback()
        return 0
    if sys.stdout is not None:
        with suppress(BrokenPipeError):  # the shell no longer wants it
            context.output.answer_exactly(answer)
    return 0


def _answer(shell: str, root: Any, context: CommandContext) -> str:
    words = _split(os.environ.get("_KEYCTL_LINE", "") + _CURSOR)
    while words and _ASSIGNMENT.match(words[0]):  # KEYCTL_STORE=… keyctl
        del words[0]
    typed = words.pop().removesuffix(_CURSOR)
    after = _split(re.sub(r"^\S+", "", os.environ.get("_KEYCTL_REST", "")))
    files, items = offers(root, context, words[1:], typed, after)
    cut = 0
    if shell == "bash":
        word = os.environ.get("_KEYCTL_WORD", "")
        cut = len(typed) - len(word) if typed.endswith(word) else 0
    lines = [_format(shell, item.value[cut:], _brief(item.help or "")) for item in items]
    return "\n".join(["files" if files else "values", *lines, ""])


def offers(
    root: Any, context: CommandContext, before: Sequence[str], typed: str, after: Sequence[str] = ()
) -> tuple[bool, list[Item]]:
    """Return whether a file name is accepted at the cursor, and the other values that begin with what was typed."""
    arguments = list(before)
    ctx = shell_completion._resolve_context(root, {"obj": context}, "keyctl", arguments)
    settings = context.settings
    for name in ("store", "config"):
        if given := getattr(settings, name) or value_of(f"--{name}", after):
            setattr(settings, name, os.path.expandvars(given))
    target, beginning = shell_completion._resolve_incomplete(ctx, arguments, typed)
    option = typed.removesuffix(beginning)  # `--scope=` of `--scope=re`
    if isinstance(target, core.TyperOption if option else core.TyperOption | core.TyperArgument):
        files, items = _values(ctx, target, beginning)
        items = [*_others(ctx, before, typed), *items]
        return files, [Item(option + item.value, help=item.help) for item in items]
    if option:
        return False, []
    if isinstance(target, LazyGroup) and not typed.startswith("-"):
        return False, [] if ctx._protected_args else list(_commands(target, typed))
    if "--" in arguments:
        return False, []
    return False, list(_options(ctx, typed))


def _others(ctx: Any, before: Sequence[str], typed: str) -> Iterator[Item]:
    """Yield the commands of a group, where its default command is only assumed."""
    group = ctx.parent.command if ctx.parent else None
    if isinstance(group, LazyGroup) and group.path in DEFAULTS and list(before[-1:]) == [group.name]:
        yield from _commands(group, typed)


def _commands(group: LazyGroup, typed: str) -> Iterator[Item]:
    """Yield a group's commands, without importing them."""
    for name, text in below(group.path).items():
        if name.startswith(typed):
            yield Item(name, help=text)


def _options(ctx: Any, typed: str) -> Iterator[Item]:
    """Yield the options that may still be given; the hidden ones, which all commands have, once a `-` is typed."""
    for param in ctx.command.get_params(ctx):
        used = ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE and not param.multiple
        if isinstance(param, core.TyperOption) and not used and (typed or not param.hidden):
            names = [*param.opts, *param.secondary_opts]
            for name in [name for name in names if name.startswith("--")] or names:
                if name.startswith(typed):
                    yield Item(name, help=param.help)


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _values(ctx: Any, param: core.TyperOption | core.TyperArgument, typed: str) -> tuple[bool, list[Item]]:
    """Return the values of an option or an argument. Its metavar names the kind of value."""
    kind = (param.metavar or "").strip("[].")
    find = VALUES_OF_COMMANDS.get((ctx.command_path, kind)) or VALUES.get(kind)
    if kind == "HANDLE" and isinstance(param, core.TyperArgument) and ctx.command_path == _NEW_HANDLE:
        find = None
    if kind == "COLUMNS" and ctx.command_path != _LISTS_KEYS:
        find = None
    several = isinstance(param, core.TyperOption) and param.multiple
    earlier, comma, last = typed.rpartition(",") if several else ("", "", typed)
    given = ctx.params.get(param.name) if several or param.nargs == -1 else None
    known = {part for value in [*(given or ()), earlier] for part in (value.split(",") if several else [value])}
    items: list[Item] = []
    try:
        if find:
            items = [item for item in find(ctx.obj, last) if item.value.startswith(last) and item.value not in known]
    except Exception:  # noqa: BLE001 - a broken configuration or store: then offer file names or nothing
        debug_traceback()
    # keyctl writes no value that would need quoting or break the lines of the answer
    items = [item for item in items if visible(item.value) == item.value]
    return kind in FILES, [Item(earlier + comma + item.value, help=item.help) for item in items]


def _keys(context: CommandContext, typed: str) -> Iterable[Item]:
    from keyctl.times import utc_now

    suggestions = _suggestions(context)
    with _limited_time():
        found = suggestions.live_keys(typed, now=utc_now(), most=MOST)
    return [Item(prefix, help=name) for prefix, name in found]


def _owners(context: CommandContext, typed: str) -> Iterable[Item]:
    suggestions = _suggestions(context)
    with _limited_time():
        found = suggestions.owners(typed, most=MOST)
    return [Item(handle, help=name) for handle, name in found]


def _scopes(context: CommandContext, _: str) -> Iterable[Item]:
    return [Item(scope.name, help=scope.description) for scope in _profile(context).scopes.catalogue.values()]


def _environments(context: CommandContext, _: str) -> Iterable[Item]:
    return [Item(name) for name in dict.fromkeys(_profile(context).environments.values())]


def _owner_kinds(context: CommandContext, _: str) -> Iterable[Item]:
    return [Item(kind.name, help=kind.description) for kind in _profile(context).owners.kinds.values()]


def _plans(context: CommandContext, _: str) -> Iterable[Item]:
    return [Item(plan.name, help=plan.description) for plan in _profile(context).plans.values()]


def _profiles(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.profiles.builtin import preset_names
    from keyctl.profiles.files import preset_document

    return [Item(name, help=str(preset_document(name).get("description", ""))) for name in preset_names()]


def _statuses(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.models import Status

    return [Item(str(status)) for status in reversed(Status)]


def _sorts(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.cli.commands.list import SORTS

    return [Item(name) for name in SORTS]


def _actions(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.actions import ACTIONS, groups

    return [
        *(Item(name, help="every action of these") for name in groups()),
        *(Item(name, help=text) for name, text in ACTIONS.items()),
    ]


def _columns(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.cli.key_columns import key_columns
    from keyctl.times import utc_now

    return [Item(column.name) for column in key_columns(utc_now())]


def _delivery_formats(_: CommandContext, __: str) -> Iterable[Item]:
    from keyctl.delivery_formats.table import FORMATS

    return map(Item, FORMATS)


def _list_formats(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.cli.records import Format

    return [Item(str(name)) for name in Format]


def _hash_forms(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.exchange.hash_forms import FORMS

    return [Item(name, help=what) for name, what in FORMS.items()]


def _scanners(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.scanning.rules import WRITERS

    return map(Item, WRITERS)


def _sections(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.report.model import SECTIONS

    return [Item(name, help=text) for name, text in SECTIONS.items()]


def _report_formats(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.cli.commands.report import FORMS

    return [Item(name) for name in FORMS]


def _commands_and_topics(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.cli.topics import read_topic, topic_names

    topics = [name for name in topic_names() if name not in below("")]
    return [
        *(Item(name, help=text) for name, text in below("").items()),
        *(Item(name, help=read_topic(name).summary) for name in topics),
    ]


def _shells(_context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.cli.completion_scripts import SHELLS

    return [Item(shell) for shell in SHELLS]


def _peppers(context: CommandContext, _: str) -> Iterable[Item]:
    return [Item(pepper) for pepper in context.peppers.ids] if context.peppers else []


def _stores(context: CommandContext, _: str) -> Iterable[Item]:
    from keyctl.store.location import StoreLocation

    return [Item(name, help=str(StoreLocation.parse(url))) for name, url in context.config.stores.items()]


# By metavar, as shown in the help. A test fails for one that is neither here nor free text.
VALUES: Mapping[str, Callable[[CommandContext, str], Iterable[Item]]] = {
    "SELECTOR": _keys,
    "HANDLE": _owners,
    "SCOPE": _scopes,
    "ENV": _environments,
    "KIND": _owner_kinds,
    "PLAN": _plans,
    "NAME|FILE": _profiles,
    "STATUS": _statuses,
    "COLUMN": _sorts,
    "ACTION": _actions,
    "SECTION": _sections,
    "COLUMNS": _columns,
    "FORMAT": _list_formats,
    "PEPPER": _peppers,
    "HASH": _hash_forms,
    "jsonl|csv": lambda *_: [Item("jsonl"), Item("csv")],
    "whole|secret": lambda *_: [Item("whole"), Item("secret")],
    "URL|NAME": _stores,
    "STORE": _stores,
    "TOOL": _scanners,
    "COMMAND|TOPIC": _commands_and_topics,
    "SHELL": _shells,
}
# Where a command means something else by a metavar.
VALUES_OF_COMMANDS: Mapping[tuple[str, str], Callable[[CommandContext, str], Iterable[Item]]] = {
    ("keyctl mint", "FORMAT"): _delivery_formats,
    ("keyctl rotate", "FORMAT"): _delivery_formats,
    ("keyctl report", "FORMAT"): _report_formats,
}
FILES = frozenset({"FILE", "NAME|FILE", "URL|NAME", "FOLDER", "PATH", "-- COMMAND"})


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _profile(context: CommandContext) -> Profile:
    import json

    from keyctl.profiles.model import read_profile

    suggestions = _suggestions(context)
    with _limited_time():
        document = suggestions.profile_document()
    return read_profile(json.loads(document), source="the store's profile")


def _suggestions(context: CommandContext) -> Suggestions:
    """Return what reads the store. What it imports is not part of the time that the store has."""
    from keyctl.store.suggestions import Suggestions

    return Suggestions(context.location, wait=TIME_LIMIT)


@contextmanager
def _limited_time() -> Iterator[None]:
    """Exit silently if this takes too long: a DNS lookup cannot be interrupted."""
    import threading

    timer = threading.Timer(TIME_LIMIT, os._exit, [0])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# ── words and lines ──────────────────────────────────────────────────────────────────────────────────────────────────


def _split(line: str) -> list[str]:
    return shell_completion.split_arg_string(line)


def _brief(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LONGEST_HELP else shown[: _LONGEST_HELP - 1] + "…"


def _format(shell: str, value: str, text: str) -> str:
    if shell == "zsh":
        escaped = value.replace("\\", "\\\\").replace(":", "\\:")
        return f"{escaped}:{text}" if text else escaped
    return f"{value}\t{text}" if text else value
