"""How a profile describes the keys that are minted, and the fields of any key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from keyctl.keyformat import ALPHABETS, Field, FormatError, KeyFormat
from keyctl.profiles.reader import Table

if TYPE_CHECKING:
    from keyctl.profiles.model import ScopeRules

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def read_environments(key: Table) -> dict[str, str]:
    """Read the environments, by their tags."""
    table = key.table("environments")
    tags = {tag: table.text(tag) for tag in table.names()}
    if not tags:
        key.fault("environments", 'is missing: at least one is required, such as {live = "live"}')
    for tag, name in tags.items():
        if not NAME.fullmatch(name) and isinstance(table.raw(tag), str):
            table.fault(tag, f'"{name[:40]}" may hold only letters, digits and . _ -')
    if len(set(tags.values())) < len(tags):
        key.fault("environments", "gives two tags to one environment")
    return tags


def read_key_format(key: Table, environments: Mapping[str, str], scopes: ScopeRules) -> KeyFormat:
    """Read the format of the keys that are minted."""
    fields = key.table("fields")
    key_format = KeyFormat(
        template=key.text("template"),
        brand=key.text("brand", ""),
        prefix=read_field(fields, "prefix"),
        secret=read_field(fields, "secret"),
        checksum=read_field(fields, "checksum") if "checksum" in fields else None,
        envs=tuple(environments),
        scopes=tuple(scope.tag for scope in scopes.catalogue.values() if scope.tag),
    )
    fields.finish()
    if key.faultless:
        try:
            key_format.check()
        except FormatError as error:
            key.fault("template", str(error))
    return key_format


def read_field(fields: Table, name: str, *, foreign: bool = False) -> Field:
    """Read one field of a template. The secret of a foreign one may differ in length."""
    table = fields.table(name)
    alphabet = table.text("alphabet", "base62")
    characters = ALPHABETS.get(alphabet, alphabet)
    if alphabet not in ALPHABETS and not re.fullmatch(r"[!-~]{8,}", characters):
        table.fault("alphabet", f'"{alphabet[:40]}" is neither one of {", ".join(ALPHABETS)} nor 8 or more characters')
    elif len(set(characters)) < len(characters):
        table.fault("alphabet", "has a character twice")
    length = table.integer("length", minimum=1, maximum=256)
    shortest = table.integer("shortest", length, minimum=1, maximum=length) if foreign else length
    if name == "checksum":
        table.text("algorithm", "crc32", choices=("crc32",))
    table.finish()
    return Field(alphabet, length, None if shortest == length else shortest)
