"""What the rules for every scanner need to know of a format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keyctl.key_expressions import character_class, key_expression
from keyctl.keyformat import KeyFormat


class Subject(NamedTuple):
    """A format to write a rule for. `id` has only letters, digits, `.`, `_` and `-`; `name` is for people."""

    id: str
    name: str
    key_format: KeyFormat

    @property
    def expression(self) -> str:
        return key_expression(self.key_format)

    @property
    def keyword(self) -> str:
        """The fixed characters that every key begins with."""
        return self.key_format.parts[0][1]

    @property
    def end(self) -> str:
        """An expression for what follows a key: the end, or a character that does not continue a random text.

        It matches that character. Nothing is required before a key: in JSON, the letter of `\\n` often precedes one.
        """
        continues = "".join(one for one in self.key_format.secret.characters if one.isalnum())
        return rf"\z|{character_class(continues).replace('[', '[^', 1)}" if continues else ""

    @property
    def ended(self) -> str:
        """The expression of a key as a group that captures, and what follows it."""
        return f"({self.expression})" + (f"(?:{self.end})" if self.end else "")


def subjects(profile_name: str, formats: Sequence[KeyFormat]) -> list[Subject]:
    """Return what rules can be written for: the formats whose keys begin with fixed characters, each once."""
    found = [one for one in dict.fromkeys(formats) if one.recognizable]
    numbers = [""] + [f"-{number}" for number in range(2, len(found) + 1)]
    return [
        Subject(f"{profile_name}-api-key{number}", f"API key of {profile_name}{number.replace('-', ', format ')}", one)
        for number, one in zip(numbers, found, strict=False)
    ]
