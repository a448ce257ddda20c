"""The columns of a list: what each one holds, for people and for programs, and which of them are printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from keyctl.errors import UsageError, suggestion
from keyctl.text import brief

Record = TypeVar("Record")


@dataclass(frozen=True)
class Column(Generic[Record]):
    """A column of a list of records.

    `name` is what --columns takes and what CSV has as its heading; in capitals it is the title of the column, unless
    `title` is another one. `plain` is the value for programs, with times in RFC 3339; `shown` is the one for people,
    where it differs.

    On a narrow terminal a column with a `least` width shrinks to that, and the others are never truncated. Then columns
    are dropped, those of the highest `rank` first, but never one that is `kept`. The rank is the position unless given.
    A column that is not named is printed unless it is `optional`; if it is `wide`, with --wide; if it is `only` for
    some readers, to those. If it is `sparse`, a table omits it where it is empty. `status` colors the values; `code`
    says that they are identifiers, which Markdown is to show as code.
    """

    name: str
    plain: Callable[[Record], str]
    shown: Callable[[Record], str] | None = None
    title: str = ""
    least: int | None = None
    rank: int | None = None
    kept: bool = False
    wide: bool = False
    optional: bool = False
    only: Literal["people", "programs"] | None = None
    sparse: bool = False
    status: bool = False
    code: bool = False

    @property
    def heading(self) -> str:
        return self.title or self.name.upper()

    def for_people(self, record: Record) -> str:
        return (self.shown or self.plain)(record)

    def is_default(self, *, wide: bool, people: bool) -> bool:
        """Whether it is printed where no column is named."""
        reader = "people" if people else "programs"
        return not self.optional and (wide or not self.wide) and self.only in {None, reader}


def choose(
    columns: Sequence[Column[Record]], names: Sequence[str] | None, *, wide: bool, people: bool
) -> tuple[Column[Record], ...]:
    """Return the columns with these names, in this order; None is those that are printed by default.

    Raises UsageError for a name that is unknown, or given twice.
    """
    if names is None:
        return tuple(column for column in columns if column.is_default(wide=wide, people=people))
    if wide:
        raise UsageError("--columns cannot be used with --wide", hint="name the columns: --columns prefix,created,id")
    known = {column.name: column for column in columns}
    chosen: dict[str, Column[Record]] = {}
    for name in names:
        found = known.get(name.lower())
        if found is None:
            every = f"known: {', '.join(known)}"
            raise UsageError(f'unknown column "{brief(name)}"', hint=suggestion(name.lower(), known, otherwise=every))
        if found.name in chosen:
            raise UsageError(f'the column "{found.name}" is named twice', hint="name each column once")
        # What is named first matters most.
        chosen[found.name] = replace(found, rank=len(chosen))
    return tuple(chosen.values())
