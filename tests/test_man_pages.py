"""The manual pages, made from the help and the topics."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from keyctl.cli.commands import HELP_LINES
from keyctl.cli.man_pages import pages
from keyctl.cli.topics import read_topic, topic_names
from tests.documents.pages import broken_in, topic
from tests.runner import Cli

PAGES = pages()


def shown(tmp_path: Path, name: str, width: int = 200) -> str:
    """Return a page as `man` shows it, without emphasis."""
    file = tmp_path / name
    file.write_text(PAGES[name], encoding="utf-8")
    args = ["mandoc", "-T", "utf8", "-O", f"width={width}", file]
    done = subprocess.run(args, capture_output=True, check=True)
    plain = subprocess.run(["col", "-bx"], input=done.stdout, capture_output=True, check=True)
    return plain.stdout.decode()


def test_every_command_and_every_topic_has_a_page():
    commands = {f"apikeyctl-{name.replace(' ', '-')}.1" for name in HELP_LINES}

    assert PAGES.keys() == {"apikeyctl.1", *commands, *(f"keyctl-{name}.7" for name in topic_names())}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault(tmp_path: Path, name: str):
    file = tmp_path / name
    file.write_text(PAGES[name], encoding="utf-8")

    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", file], capture_output=True, text=True, check=False)

    # A page that is made with each build has no date of its own.
    faults = [line for line in done.stdout.splitlines() if 'missing date, using ""' not in line]
    assert faults == []
    assert done.stderr == ""


@pytest.mark.parametrize("name", PAGES)
def test_groff_breaks_no_word(tmp_path: Path, name: str):
    (tmp_path / name).write_text(PAGES[name], encoding="utf-8")

    args = ["groff", "-K", "utf8", "-T", "utf8", "-t", "-man", "-r", "LL=78n", "-w", "w", name]
    done = subprocess.run(args, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert "\u2010" not in done.stdout  # the hyphen at the end of a line


@pytest.mark.parametrize("name", topic_names())
def test_tables_can_be_read_on_80_columns(tmp_path: Path, name: str):
    page = shown(tmp_path, f"keyctl-{name}.7", width=80)

    assert broken_in(page, topic(name)) == []


@pytest.mark.parametrize("name", HELP_LINES)
def test_the_page_of_a_command_says_what_its_help_says(cli: Cli, tmp_path: Path, name: str):
    help_text = cli(*name.split(), "--help", check=0).out
    page = shown(tmp_path, f"apikeyctl-{name.replace(' ', '-')}.1")

    said = " ".join(page.split())
    options = [line.split("  ")[1].strip() for line in help_text.splitlines() if line.startswith("  -")]
    assert options
    assert all(option in said for option in options)
    examples = [line.strip() for line in help_text.splitlines() if line.startswith("    keyctl ")]
    assert all(example in page for example in examples)


@pytest.mark.parametrize("name", topic_names())
def test_the_page_of_a_topic_shows_its_commands_literally(tmp_path: Path, name: str):
    one = read_topic(name)
    page = shown(tmp_path, f"keyctl-{name}.7")

    commands = [line for line in one.text.splitlines() if line.startswith("$ ")]
    assert all(command in page for command in commands)
    assert one.summary[1:].rstrip(".") in " ".join(page.split())
