"""Rules for Kingfisher, which checks a checksum itself where it knows how to write its alphabet.

https://github.com/mongodb/kingfisher/blob/main/docs/RULES.md
"""

from __future__ import annotations

from collections.abc import Sequence

from keyctl.key_expressions import character_class
from keyctl.keyformat import ALPHABETS, Field
from keyctl.scanning.rules.subjects import Subject

_FILTERS = {"base36": "crc32 | base36: {0}", "base62": "crc32 | base62: {0}", "hex": "crc32_hex: {0}"}


def write(subjects: Sequence[Subject]) -> str:
    return "rules:\n" + "\n".join(map(_rule, subjects))


def _rule(one: Subject) -> str:
    checksum = one.key_format.checksum
    filters = _filters(checksum) if checksum else None
    pattern, lines = f"(?P<TOKEN>{one.expression})" + (r"\b" if one.key_format.secret.characters.isalnum() else ""), []
    if checksum and filters:
        last = f"{character_class(checksum.characters)}{{{checksum.length}}}"
        # The checksum decides, whatever follows.
        pattern = f"(?P<TOKEN>(?P<BODY>{one.expression.removesuffix(last)})(?P<CHECKSUM>{last}))"
        lines = [
            "    pattern_requirements:",
            "      checksum:",
            "        actual:",
            '          template: "{{ CHECKSUM }}"',
            "          requires_capture: CHECKSUM",
            f'        expected: "{{{{ BODY | {filters} }}}}"',
            "        skip_if_missing: true",
        ]
    quoted = pattern.replace("'", "''")
    head = [f"  - name: {one.name}", f"    id: {one.id}", f"    pattern: '{quoted}'"]
    return "\n".join([*head, *lines, "    min_entropy: 1.0", "    confidence: medium"])


def _filters(checksum: Field) -> str | None:
    """Return what writes a CRC-32 as keyctl does; None if nothing does."""
    names = [name for name in _FILTERS if ALPHABETS[name] == checksum.characters]
    return _FILTERS[names[0]].format(checksum.length) if names else None
