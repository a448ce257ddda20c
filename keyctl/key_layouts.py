"""Whether two shapes of keys can match the same text. Pure.

A layout is one shape: the possible characters at each position.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product

Layout = list[str]
Places = tuple[bool, ...]  # whether there is a field at each position


def ambiguous(layouts: Iterable[Layout]) -> bool:
    """Return whether a text can match two of these layouts."""
    groups = _by_places(layouts)
    repeated = any(len(set(map(tuple, group))) < len(group) for group in groups.values())
    return repeated or any(_overlap(one, other) for one, other in combinations(groups.values(), 2))


def overlap(some: Iterable[Layout], others: Iterable[Layout]) -> bool:
    """Return whether a text can match a layout of each."""
    return any(_overlap(*pair) for pair in product(_by_places(some).values(), _by_places(others).values()))


def _by_places(layouts: Iterable[Layout]) -> dict[Places, list[Layout]]:
    # There may be thousands of layouts: they are grouped by the places of their fields, and looked up by the
    # characters that are fixed in both, not compared one by one.
    groups: dict[Places, list[Layout]] = {}
    for layout in layouts:
        groups.setdefault(tuple(len(one) > 1 for one in layout), []).append(layout)
    return groups


def _overlap(one: list[Layout], other: list[Layout]) -> bool:
    """Return whether a text can match a layout of each group; within a group the fields have the same places."""
    if len(one[0]) != len(other[0]):
        return False

    def fixed(layouts: list[Layout], opposite: Layout) -> set[tuple[str, ...]]:
        # What is fixed here must be possible where the other group has a field.
        return {
            tuple(layout[i] for i in positions)
            for layout in layouts
            if all(layout[i] in opposite[i] for i in range(len(layout)) if len(layout[i]) == 1 < len(opposite[i]))
        }

    positions = [i for i, (a, b) in enumerate(zip(one[0], other[0], strict=True)) if len(a) == len(b) == 1]
    if any(len(a) > 1 and len(b) > 1 and not set(a) & set(b) for a, b in zip(one[0], other[0], strict=True)):
        return False
    return bool(fixed(one, other[0]) & fixed(other, one[0]))
