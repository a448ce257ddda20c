"""Custom patterns for GitHub's secret scanning, as its form asks for them. It cannot check a checksum.

https://docs.github.com/en/code-security/reference/secret-security/custom-patterns
"""

from __future__ import annotations

from collections.abc import Sequence

from keyctl.scanning.rules.subjects import Subject

# GitHub's default, and after an escaped line break or tab, as in JSON.
_BEFORE = r"\A|[^0-9A-Za-z]|\\[nrt]"
_ANYTHING = r"\z|[\s\S]"


def write(subjects: Sequence[Subject]) -> str:
    return "\n\n".join(
        "\n".join(
            [
                f"Pattern name:  {one.name}",
                f"Secret format: {one.expression}",
                f"Before secret: {_BEFORE}",
                f"After secret:  {one.end or _ANYTHING}",
            ]
        )
        for one in subjects
    )
