"""Foreign formats: the shapes of keys that another program made, and that were imported."""

from __future__ import annotations

from typing import NamedTuple

from keyctl import key_layouts
from keyctl.keyformat import FormatError, KeyFormat
from keyctl.profiles.key_formats import NAME, read_field
from keyctl.profiles.reader import Table

HASHED_PARTS = ("whole", "secret")
_MOST = 20  # each is tried on every key


class Foreign(NamedTuple):
    """A foreign format. `hash_of` is what its program hashed: `whole` keys, or the `secret` alone."""

    key_format: KeyFormat
    hash_of: str


def read_foreign(root: Table, own: KeyFormat) -> tuple[Foreign, ...]:
    """Read the foreign formats of a profile, and report those whose keys could be of another format too."""
    formats: list[tuple[Table, Foreign]] = []
    for table in root.array("foreign"):
        name = table.text("name")
        if isinstance(table.raw("name"), str) and not NAME.fullmatch(name):
            table.fault("name", f'"{name[:40]}" may hold only letters, digits and . _ -')
        fields = table.table("fields")
        key_format = KeyFormat(
            template=table.text("template"),
            prefix=read_field(fields, "prefix"),
            secret=read_field(fields, "secret", foreign=True),
            foreign=name,
        )
        fields.finish()
        formats.append((table, Foreign(key_format, table.text("hash_of", "whole", choices=HASHED_PARTS))))
        table.finish()
        if table.faultless:
            try:
                key_format.check()
            except FormatError as error:
                table.fault("template", str(error))
    if len(formats) > _MOST:
        root.fault("foreign", f"has {len(formats):,} formats: at most {_MOST}")
    elif root.faultless:
        _check_alone(formats, own)
    return tuple(foreign for _, foreign in formats)


def _check_alone(formats: list[tuple[Table, Foreign]], own: KeyFormat) -> None:
    others = {"": own}
    for table, foreign in formats:
        key_format, name = foreign.key_format, str(foreign.key_format.foreign)
        if name in others:
            table.fault("name", f'"{name}" is the name of another one')
        for other_name, other in others.items():
            if key_layouts.overlap(key_format.layouts(), other.layouts()):
                what = f'the foreign format "{other_name}"' if other_name else "key.template"
                table.fault("template", f"cannot be distinguished from {what}: a text can match both")
        others[name] = key_format
