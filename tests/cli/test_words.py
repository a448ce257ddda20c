"""The words of help and messages. The glossary of CONTRIBUTING.md has one word for each thing, and what it replaces."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import keyctl
from keyctl.cli.command_groups import LazyCommands
from keyctl.cli.commands import HELP_LINES
from keyctl.cli.global_options import global_options

ROOT = Path(__file__).parents[2]
PACKAGE = Path(keyctl.__file__).parent
LONGEST = 72
# synonyms.py has the words of other tools, which keyctl answers and never prints.
MODULES = [file for file in sorted(PACKAGE.rglob("*.py")) if file.name != "synonyms.py"]
OTHER_FILES = [
    *(ROOT / name for name in ("Makefile", "CHANGELOG.md", "pyproject.toml", ".ci/run", ".github/SECURITY.md")),
    *sorted(PACKAGE.rglob("*.toml")),
]

# A help line begins with one of these. A new verb is added here, once it is clear that none of them will do.
VERBS = (
    "Add Change Check Copy Count Create Decode Disable Enable Export Find Import List Print Remove Replace Require "
    "Restore Revoke Run Set Show Suspend Unlock Upgrade Verify Write"
)


def replaced() -> dict[str, str]:
    """Return the glossary: the word to use, by each one that it replaces."""
    words = (ROOT / ".github/CONTRIBUTING.md").read_text().partition("## Words\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", words, re.MULTILINE)
    return {old: word for word, olds in rows for old in re.findall(r"`([^`]+)`", olds)}


REPLACED = replaced()
_OLD = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(REPLACED, reverse=True)))})(?![\w-])", re.IGNORECASE)


def outdated(text: str) -> list[str]:
    """Return what the glossary replaces in a text, and by what."""
    found = [match.lower() for match in _OLD.findall(" ".join(text.split()))]
    return [f"{old} (use: {REPLACED[old]})" for old in found]


def test_the_glossary_is_found_in_whole_words_and_any_case():
    assert len(REPLACED) > 50
    assert outdated("Tells\n  whoever asks; foretells nothing, so-many") == [
        "tells (use: disclose, report, print)",
        "whoever (use: user, operator, caller, application)",
    ]


@pytest.mark.parametrize("name", HELP_LINES)
def test_a_help_line_is_one_short_sentence_in_the_imperative(name: str):
    line = HELP_LINES[name]

    assert line.split()[0].strip(",.") in VERBS.split()
    assert line.endswith(".")
    assert len(line) <= LONGEST


@pytest.mark.parametrize("name", HELP_LINES)
def test_the_help_of_options_and_arguments_is_one_short_sentence(name: str):
    for param in command(name).params:
        text = re.sub(r" \[default: [^]]+\]$", "", param.help or "")
        assert re.fullmatch(r"[A-Z].*[^.]\.", text), f"{param.name}: {text}"
        assert len(param.help) <= LONGEST, f"{param.name}: {param.help}"


@pytest.mark.parametrize("name", HELP_LINES)
def test_help_has_no_word_that_the_glossary_replaces(name: str):
    shown = command(name)

    for text in [HELP_LINES[name], shown.help, shown.epilog, *(param.help for param in shown.params)]:
        assert outdated(text) == [], text


def test_the_global_options_have_no_word_that_the_glossary_replaces():
    for option in global_options():
        assert outdated(option.help) == [], option.help


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_messages_docstrings_and_comments_have_no_word_that_the_glossary_replaces(file: Path):
    written = [*messages(file), *comments(file)]
    found = {f"{file}:{line}: {text}": words for line, text in written if (words := outdated(text))}

    assert found == {}


@pytest.mark.parametrize("file", OTHER_FILES, ids=lambda file: file.name)
def test_other_files_have_no_word_that_the_glossary_replaces(file: Path):
    lines = file.read_text().splitlines()

    assert {line: words for line in lines if (words := outdated(line))} == {}


def command(name: str) -> Any:
    """Return the command or group that is typed so."""
    found: Any = LazyCommands()
    for word in name.split():
        found = getattr(found, "commands", found)[word]
    return found


def messages(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a module with their lines, docstrings included; an f-string's values are `…`."""
    passed: set[ast.AST] = set()
    for node in ast.walk(ast.parse(file.read_text())):  # an f-string comes before its parts
        if isinstance(node, ast.JoinedStr):
            passed.update(node.values)
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in passed:
            yield node.lineno, node.value


def comments(file: Path) -> Iterator[tuple[int, str]]:
    with file.open("rb") as opened:
        for token in tokenize.tokenize(opened.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
