"""Rules for betterleaks, as a configuration file. It cannot check a checksum.

https://github.com/betterleaks/betterleaks/blob/main/docs/config.md
"""

from __future__ import annotations

from collections.abc import Sequence

from keyctl.scanning.rules.subjects import Subject


def write(subjects: Sequence[Subject]) -> str:
    # Without a filter: those that most rules have drop what looks like text, which a random key may.
    rules = (
        "[[rules]]\n"
        f'id = "{one.id}"\n'
        f'description = "{one.name}"\n'
        f"regex = '''{one.ended}'''\n"
        f'keywords = ["{one.keyword.lower()}"]\n'
        for one in subjects
    )
    return "\n".join(["[extend]\nuseDefault = true\n", *rules]).rstrip("\n")
