"""The screen: its size, the width of texts on it, and the escape sequences that it understands."""

from __future__ import annotations

import os
import re

_SIZE = (80, 24)  # columns and lines, where there is no terminal
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
# Latin letters and what trees are drawn with: each takes one column, and Rich need not be asked.
_ONE_EACH = re.compile("[ -~\u00a1-\u02ff…\u2500-\u257f]*")
_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "gray": 90}


def size() -> tuple[int, int]:
    """Return the columns and lines of the terminal: as COLUMNS and LINES say, or as a standard stream does.

    Standard output comes first. The others say it where a table goes through a pipe to a pager.
    """
    found = _SIZE
    for descriptor in (1, 2, 0):
        try:
            here = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if here.columns > 0 and here.lines > 0:  # some terminals do not know
            found = here.columns, here.lines
            break
    columns, lines = (_from_environment(name) for name in ("COLUMNS", "LINES"))
    return columns or found[0], lines or found[1]


def width_of(text: str) -> int:
    """Return how many columns a text without escape sequences needs."""
    if _ONE_EACH.fullmatch(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fitted(text: str, width: int) -> str:
    """Return a text padded to a width, or truncated with an ellipsis."""
    needed = width_of(text)
    if needed <= width:
        return text + " " * (width - needed)
    if _ONE_EACH.fullmatch(text):
        return f"{text[: width - 1]}…"
    from rich.cells import set_cell_size

    return f"{set_cell_size(text, width - 1)}…"


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text that is broken wherever it reaches the width: nothing is omitted."""
    lines, line, used = [], "", 0
    for character in text:
        needed = width_of(character)
        if used + needed > width and line:
            lines.append(line)
            line, used = "", 0
        line, used = line + character, used + needed
    return [*lines, line]


def lines_needed(text: str, columns: int) -> int:
    """Return how many lines of a terminal a text with escape sequences takes."""
    return sum(max(1, -(-width_of(_ESCAPE.sub("", line)) // columns)) for line in text.split("\n"))


class Style:
    """Adds escape sequences where they are understood. `color` is whether the reader wants colors too."""

    def __init__(self, *, escapes: bool, color: bool) -> None:
        self._understood = {name for name, code in _CODES.items() if escapes and (color or code < 30)}

    def __call__(self, text: str, style: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style in self._understood and text else text


def understands_escapes(on_terminal: bool, color: bool) -> bool:
    """Return whether to write escape sequences: to a terminal, and elsewhere if a variable asks for colors."""
    if color and any(os.environ.get(name) not in {None, "", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return on_terminal and os.environ.get("TERM") not in {None, "", "dumb", "unknown"}


def _from_environment(name: str) -> int:
    given = os.environ.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0
