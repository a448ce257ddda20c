"""The README is one sitting, a topic is a page, and every link between them leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents.pages import PAGES, README, ROOT, TOPICS, name_of

LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def test_the_readme_has_at_most_250_lines():
    assert len(README.read_text().splitlines()) <= 250


@pytest.mark.parametrize("topic", TOPICS, ids=name_of)
def test_a_topic_has_at_most_200_lines(topic: Path):
    assert len(topic.read_text().splitlines()) <= 200


@pytest.mark.parametrize("topic", TOPICS, ids=name_of)
def test_a_topic_begins_with_its_title_and_one_sentence(topic: Path):
    title, blank, sentence, after, *_ = topic.read_text().split("\n")

    assert re.fullmatch(r"# [A-Z].*[^.]", title)
    assert (blank, after) == ("", "")
    assert re.fullmatch(r"[A-Z][^`]*[^.`]\.", sentence)
    assert len(sentence) <= 72


@pytest.mark.parametrize("topic", TOPICS, ids=name_of)
def test_the_readme_lists_each_topic_once(topic: Path):
    [table] = re.findall(r"\| to \| topics \|\n((?:\|.*\n)+)", README.read_text())
    assert table.count(f"[{topic.stem}](keyctl/help/{topic.name})") == 1


@pytest.mark.parametrize("topic", TOPICS, ids=name_of)
def test_a_topic_links_only_to_what_an_installed_keyctl_has(topic: Path):
    assert {Path(target).parent for target, _ in LINK.findall(topic.read_text())} <= {Path()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_documents_and_headings(page: Path):
    for target, heading in LINK.findall(page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not heading or heading in headings(linked.read_text()), f"{target}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_uses_the_words_of_the_glossary(page: Path):
    glossary = (ROOT / ".github/CONTRIBUTING.md").read_text().partition("| word | meaning |")[2].partition("\n\n")[0]
    replaced = [word for row in glossary.splitlines() for word in re.findall("`([^`]+)`", row.split("|")[-2])]

    pattern = rf"\b(?:{'|'.join(map(re.escape, replaced))})\b"

    assert len(replaced) > 40
    assert re.findall(pattern, page.read_text(), re.IGNORECASE) == []


def headings(text: str) -> set[str]:
    """Return the anchors that a forge makes of a document's headings."""
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in lines}
