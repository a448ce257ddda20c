"""The documents: the README and the topics of `keyctl help`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
TOPICS = sorted((ROOT / "keyctl/help").glob("*.md"))
PAGES = [README, *TOPICS]


def name_of(page: Path) -> str:
    return page.stem


def fenced(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def files_of(page: Path) -> dict[str, str]:
    """Return the files that a page shows, by the names in their first lines."""
    return {block.splitlines()[0].removeprefix("# "): block for block in fenced(page, "toml")}


def steps(page: Path) -> list[tuple[str, str]]:
    """Return every command of the page's console blocks, with what is shown below it."""
    found = []
    for block in fenced(page, "console"):
        begin, *commands = re.split(r"^\$ ", block, flags=re.MULTILINE)
        assert begin == "", f"a console block begins with a command:\n{block}"
        for command in commands:
            line, _, shown = command.partition("\n")
            found.append((line, shown))
    return found


def code_spans(page: Path) -> list[str]:
    """Return what is set as code inside a line, in tables too."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [span.replace(r"\|", "|") for span in re.findall(r"`([^`\n]+)`", text)]


def lines_of_shell(page: Path) -> list[str]:
    """Return every command line that a page holds, run or only mentioned."""
    scripts = [line for block in fenced(page, "sh") for line in block.replace("\\\n", "").splitlines() if line]
    return scripts + [line for line, _ in steps(page)] + code_spans(page)
