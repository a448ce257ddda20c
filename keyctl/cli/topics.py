"""The topics of `keyctl help`: each is a file keyctl/help/NAME.md.

Its first line is `# ` and the title, and its third is the summary: one sentence of at most 72 characters, without
markup, which is a paragraph of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent.parent / "help"
_LINK = re.compile(r"\[([^\]]+)\]\((?:([a-z-]+)\.md)?(?:#[^)]*)?\)")


class Topic(NamedTuple):
    """A topic. `text` is its Markdown, title and summary included."""

    name: str
    title: str
    summary: str
    text: str


def topic_names() -> list[str]:
    """Return the names of all topics: the tour first, then the others in alphabetical order."""
    return sorted((file.stem for file in FOLDER.glob("*.md")), key=lambda name: (name != "tour", name))


def read_topic(name: str) -> Topic:
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    title, _, summary = text.split("\n", 3)[:3]
    return Topic(name, title.removeprefix("# "), summary, text)


def with_typed_links(text: str) -> str:
    """Return Markdown whose links to other topics say what to type: a terminal cannot follow them.

    A link within the topic becomes its text.
    """
    return _LINK.sub(lambda link: link[1] + (f" (`keyctl help {link[2]}`)" if link[2] else ""), text)
