"""The documents: the README and the topics of `keyctl help`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
TOPICS = sorted((ROOT / "keyctl/help").glob("*.md"))
PAGES = [README, *TOPICS]


def topic(name: str) -> Path:
    return next(page for page in TOPICS if page.stem == name)


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


def broken_in(shown: str, page: Path, longest: int = 80) -> list[str]:
    """Return the words of code in tables that are not whole where the page is shown. Longer ones may be broken."""
    rows = [row.replace(r"\|", "|") for row in page.read_text().splitlines() if row.startswith("| ")]
    words = {word for row in rows for span in re.findall(r"`([^`]+)`", row) for word in span.split()}
    return [word for word in words if len(word) <= longest and not re.search(rf"{re.escape(word)}(?!\w)", shown)]


def lines_of_shell(page: Path) -> list[str]:
    """Return every command line that a page holds, run or only mentioned."""
    scripts = [line for block in fenced(page, "sh") for line in block.replace("\\\n", "").splitlines() if line]
    return scripts + [line for line, _ in steps(page)] + code_spans(page)


def files() -> dict[str, str]:
    """Return the files that all pages show."""
    return {name: text for page in PAGES for name, text in files_of(page).items()}


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading of any page, or below the table's own caption in bold."""
    everything = "\n".join(page.read_text() for page in PAGES)
    [at] = re.findall(
        rf"^(?:#+ {re.escape(heading)}|\*\*{re.escape(heading)}\*\*)\n(.*)", everything, flags=re.MULTILINE | re.DOTALL
    )
    first = re.search(r"^\|.*?(?=\n\n|\Z)", at, flags=re.MULTILINE | re.DOTALL)
    assert first, f"no table below {heading}"
    rows = first[0].splitlines()[2:]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def plain(cell: str) -> str:
    return cell.replace("`", "")
