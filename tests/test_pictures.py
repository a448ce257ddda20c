"""The README's pictures show what the commands print today, and load nothing from anywhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests import pictures
from tests.documents.pages import README

TEXT = "{http://www.w3.org/2000/svg}text"


def test_the_pictures_show_what_the_commands_print():
    drawn = pictures.draw_all()

    kept = {path.stem: path.read_text() for path in pictures.FOLDER.glob("*.svg")}
    assert kept == drawn, "they no longer match: make pictures, then look at them"


@pytest.mark.parametrize("name", pictures.TITLES)
def test_the_readme_shows_the_picture(name: str):
    assert len(re.findall(rf"^!\[[^\]]+\]\(\.github/{name}\.svg\)$", README.read_text(), re.MULTILINE)) == 1


@pytest.mark.parametrize("name", pictures.TITLES)
def test_a_picture_loads_nothing(name: str):
    svg = (pictures.FOLDER / f"{name}.svg").read_text()

    addresses = re.findall(r"\w+://[^\s\"')]*", svg)
    assert addresses == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|@font-face|url\(|<script|<image|href", svg)


@pytest.mark.parametrize("name", pictures.TITLES)
def test_a_picture_holds_lines_that_fit_the_terminal(name: str):
    drawing = ElementTree.parse(pictures.FOLDER / f"{name}.svg").getroot()

    right = float(drawing.attrib["width"])
    ends = [
        float(piece.attrib["x"]) + float(piece.attrib["textLength"]) for line in drawing.iter(TEXT) for piece in line
    ]
    assert ends
    assert max(ends) < right


def test_escape_sequences_become_colours():
    svg = pictures.draw("\x1b[1mNAME\x1b[0m  \x1b[31m<gone>\x1b[0m", title="a & b")

    assert '<tspan x="18" textLength="33.6" lengthAdjust="spacingAndGlyphs" class="bold">NAME</tspan>' in svg
    assert 'class="red">&lt;gone&gt;</tspan>' in svg
    assert "<title>a &amp; b</title>" in svg
