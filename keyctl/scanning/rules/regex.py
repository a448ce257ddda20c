"""Extended regular expressions (POSIX), one a line, as `grep -rE -f FILE` takes them; most other tools do too."""

from __future__ import annotations

from collections.abc import Sequence

from keyctl.keyformat import KeyFormat
from keyctl.scanning.rules.subjects import Subject


def write(subjects: Sequence[Subject]) -> str:
    return "\n".join("".join(_of_part(one.key_format, *part) for part in one.key_format.parts) for one in subjects)


def _of_part(key_format: KeyFormat, kind: str, value: str) -> str:
    if kind == "text":
        return _escape(value)
    if value in ("env", "scope"):
        tags = [_escape(tag) for tag in key_format.choices(value) if tag]
        optional = "?" if "" in key_format.choices(value) else ""
        return tags[0] if len(tags) == 1 and not optional else f"({'|'.join(tags)}){optional}"
    random = key_format.random_field(value)
    lengths = f"{random.length}" if random.least == random.length else f"{random.least},{random.length}"
    return f"{_class(random.characters)}{{{lengths}}}"


def _class(characters: str) -> str:
    """Return a bracket expression: POSIX knows no escapes in it, only places where a character means itself."""
    ranges = ""
    for one in ("0-9", "A-Z", "a-z"):
        letters = [chr(code) for code in range(ord(one[0]), ord(one[2]) + 1)]
        present = [letter for letter in letters if letter in characters]
        ranges += one if present == letters else _runs(present)
    special = [one for one in characters if not one.isalnum()]
    first = "]" if "]" in special else ""
    last = "".join(one for one in ("^", "[", "-") if one in special)
    others = "".join(one for one in special if one not in "]^[-")
    return f"[{first}{ranges}{others}{last}]"


def _runs(letters: Sequence[str]) -> str:
    runs: list[str] = []
    for one in letters:
        if runs and ord(runs[-1][-1]) + 1 == ord(one):
            runs[-1] += one
        else:
            runs.append(one)
    return "".join(run if len(run) < 3 else f"{run[0]}-{run[-1]}" for run in runs)


def _escape(text: str) -> str:
    return text.replace(".", r"\.")
