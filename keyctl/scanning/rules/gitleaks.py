"""Rules for gitleaks, as a configuration file. It cannot check a checksum.

https://github.com/gitleaks/gitleaks#configuration
"""

from __future__ import annotations

from collections.abc import Sequence

from keyctl.scanning.rules.subjects import Subject


def write(subjects: Sequence[Subject]) -> str:
    rules = (
        "[[rules]]\n"
        f'id = "{one.id}"\n'
        f'description = "{one.name}"\n'
        f"regex = '''{one.ended}'''\n"
        "secretGroup = 1\n"
        f'keywords = ["{one.keyword.lower()}"]\n'
        for one in subjects
    )
    return "\n".join(["[extend]\nuseDefault = true\n", *rules]).rstrip("\n")
