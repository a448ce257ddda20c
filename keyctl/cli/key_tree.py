"""Owners with their keys, as a tree: drawn for people, and nested objects for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keyctl.cli.columns import Column
from keyctl.cli.context import CommandContext
from keyctl.cli.json_objects import owner_object
from keyctl.cli.output import to_json
from keyctl.cli.records import Format, View, note_dropped, show_lines
from keyctl.cli.screen import Style, fitted, size, width_of
from keyctl.cli.tables import draw_row, fit
from keyctl.models import KeyRecord, Owner
from keyctl.rows import RowDamaged
from keyctl.text import visible

_DEFAULT = {"prefix", "name", "scopes", "status", "expires"}  # columns, unless others are asked for
_NO_OWNER = "no owner"


@dataclass(frozen=True)
class Branch:
    """An owner, its keys, and the owners below it."""

    owner: Owner
    keys: list[KeyRecord] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)


@dataclass(frozen=True)
class Tree:
    """The owners without a parent, and the keys without an owner."""

    branches: list[Branch]
    keys: list[KeyRecord]


def grow(records: Iterable[KeyRecord], owners: Iterable[Owner]) -> Tree:
    """Return the tree of these owners, and those of the keys with the owners above them. The keys keep their order.

    Raises RowDamaged for owners that were made their own ancestors outside keyctl.
    """
    records = list(records)
    every = {owner.id: owner for record in records for owner in record.owners} | {owner.id: owner for owner in owners}
    found = {owner.id: Branch(owner) for owner in sorted(every.values(), key=lambda owner: owner.handle)}
    tree = Tree([], [])
    for branch in found.values():
        parent_id = branch.owner.parent_id
        (found[parent_id].branches if parent_id is not None else tree.branches).append(branch)
    for record in records:
        (found[record.owner.id].keys if record.owner else tree.keys).append(record)
    reached = {branch.owner.id for branch in _every_branch(tree)}
    if lost := found.keys() - reached:
        raise RowDamaged(f"owner {min(found[one].owner.handle for one in lost)} is its own ancestor")
    return tree


def _every_branch(tree: Tree) -> Iterator[Branch]:
    waiting = list(tree.branches)
    while waiting:
        branch = waiting.pop()
        yield branch
        waiting += branch.branches


# ── for programs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def tree_json(tree: Tree, object_of: Callable[[KeyRecord], Mapping[str, Any]]) -> str:
    """Return `{"owners": […], "keys": […]}`: each owner has its own `keys`, and in `owners` those below it."""
    # Written in pieces: owners may be nested deeper than Python's own encoder goes.
    written: list[str] = []
    waiting: list[Branch | str] = [f'],"keys":{to_json([object_of(key) for key in tree.keys])}}}']
    _push(waiting, tree.branches)
    waiting.append('{"owners":[')
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            written.append(item)
            continue
        own = {**owner_object(item.owner), "keys": [object_of(key) for key in item.keys]}
        waiting.append("]}")
        _push(waiting, item.branches)
        waiting.append(f'{to_json(own)[:-1]},"owners":[')
    return "".join(written)


def _push(waiting: list[Branch | str], branches: Sequence[Branch]) -> None:
    for i, branch in enumerate(reversed(branches)):
        if i:
            waiting.append(",")
        waiting.append(branch)


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────


def show_tree(
    context: CommandContext,
    view: View[KeyRecord],
    tree: Tree,
    *,
    object_of: Callable[[KeyRecord], Mapping[str, Any]],
    chosen: bool,
    nothing: str,
) -> None:
    """Print a tree. `chosen` is whether columns were asked for; that of the owner, who is above a key, is omitted."""
    output = context.output
    if view.format is Format.JSON:
        output.answer(tree_json(tree, object_of))
        return
    columns = [one for one in view.columns if one.name != "owner" and (chosen or one.name in _DEFAULT)]
    columns.sort(key=lambda column: column.name != "prefix")
    lines, dropped = tree_lines(tree, columns, width=size()[0], style=output.style)
    if lines:
        show_lines(context, lines)
    else:
        output.note(nothing)
    if chosen:
        note_dropped(context, dropped)


def tree_lines(
    tree: Tree, columns: Sequence[Column[KeyRecord]], *, width: int, style: Style
) -> tuple[list[str], list[str]]:
    """Return the lines of a tree, and the names of the columns that there was no room for.

    The first column is the one that names a key: it is indented, and never truncated.
    """
    entries = list(_entries(tree))
    rows = {
        i: [visible(column.for_people(item)) for column in columns]
        for i, (_, item) in enumerate(entries)
        if isinstance(item, KeyRecord)
    }
    for i, row in rows.items():
        row[0] = entries[i][0] + row[0]
    natural = [max((width_of(row[i]) for row in rows.values()), default=0) for i in range(len(columns))]
    kept, widths = fit(columns, natural, width)
    shown = [columns[i] for i in kept]
    lines = []
    for i, (guide, item) in enumerate(entries):
        if i in rows:
            lines.append(draw_row(shown, [rows[i][j] for j in kept], widths, style))
        elif isinstance(item, Owner):
            lines.append(guide + _owner_line(item, width - len(guide), style))
        else:
            lines.append(style(_NO_OWNER, "dim"))
    return lines, [column.name for i, column in enumerate(columns) if i not in kept]


def _owner_line(owner: Owner, room: int, style: Style) -> str:
    """Return a handle, whether the owner is disabled, and its name as far as there is room."""
    handle, mark = visible(owner.handle), "" if owner.active else "  disabled"
    line = style(handle, "bold") + style(mark, "red")
    room -= width_of(handle) + len(mark) + 2
    if owner.name is None or room < 8:  # a shorter name is not worth reading
        return line
    name = visible(owner.name)
    return f"{line}  {style(fitted(name, min(room, width_of(name))), 'dim')}"


def _entries(tree: Tree) -> Iterator[tuple[str, Owner | KeyRecord | None]]:
    """Yield every owner and key in order, after what is drawn before it; None is the heading of keys without owner."""
    for root in tree.branches:
        yield "", root.owner
        yield from _below(root)
    if tree.keys:
        yield "", None
        for i, key in enumerate(tree.keys):
            yield ("└─ " if i == len(tree.keys) - 1 else "├─ "), key


def _below(root: Branch) -> Iterator[tuple[str, Owner | KeyRecord]]:
    waiting: list[tuple[str, Branch | KeyRecord, bool]] = []

    def push(branch: Branch, indent: str) -> None:
        items: list[Branch | KeyRecord] = [*branch.keys, *branch.branches]
        waiting.extend((indent, item, i == 0) for i, item in enumerate(reversed(items)))

    push(root, "")
    while waiting:
        indent, item, last = waiting.pop()
        guide = indent + ("└─ " if last else "├─ ")
        if isinstance(item, Branch):
            yield guide, item.owner
            push(item, indent + ("   " if last else "│  "))
        else:
            yield guide, item
