"""`keyctl help`: what it lists, and how it shows a topic in a pipe, on a terminal and through a pager."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyctl.cli.commands import HELP_LINES, SECTIONS, below
from keyctl.cli.markdown import render
from keyctl.cli.topics import FOLDER, topic_names, with_typed_links
from tests.cli.helpers import closed_pipe, full_disk, refused
from tests.documents.pages import broken_in, topic
from tests.runner import Cli

LONG = "profiles"  # a topic of more than one screen
# Names of a command and a topic.
BOTH = ["admin-token", "apply", "audit", "completion", "doctor", "import", "limits", "report", "run", "scan", "usage"]


def text_of(topic: str) -> str:
    return (FOLDER / f"{topic}.md").read_text()


@pytest.fixture
def pager(cli: Cli) -> Path:
    """A pager that keeps what it reads, and what LESS is."""
    file = cli.cwd / "paged"
    cli.env["PAGER"] = f"cat > {file}; echo less=$LESS >> {file}"
    return file


def test_help_lists_commands_by_section_and_topics(cli: Cli):
    result = cli("help", check=0)

    lines = result.out.splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and line[0] != " "] == [*SECTIONS, "Topics"]
    for name, text in below("").items():
        assert any(line.split(maxsplit=1) == [name, text] for line in lines)
    topics = lines[lines.index("Topics:") :]
    assert [line.split()[0] for line in topics if line.startswith("  ") and line[2] != " "] == topic_names()
    assert topic_names()[0] == "tour"
    assert max(map(len, lines)) <= 80
    assert result.err == ""


def test_help_lists_in_json(cli: Cli):
    listed = cli("help", "--json", check=0).json

    assert {one["name"]: one["help"] for one in listed["commands"]} == HELP_LINES
    assert {one["section"] for one in listed["commands"]} == set(SECTIONS)
    assert [one["name"] for one in listed["topics"]] == topic_names()
    for one in listed["topics"]:
        assert text_of(one["name"]).split("\n")[0] == f"# {one['title']}"
        assert text_of(one["name"]).split("\n")[2] == one["summary"]


@pytest.mark.parametrize("topic", [name for name in topic_names() if name not in BOTH])
def test_in_a_pipe_a_topic_is_its_text(cli: Cli, topic: str):
    result = cli("help", topic, check=0)

    assert (result.out, result.err) == (text_of(topic).rstrip("\n") + "\n", "")


@pytest.mark.parametrize("command", [name for name in HELP_LINES if name not in BOTH])
def test_help_of_a_command_is_what_the_command_prints(cli: Cli, command: str):
    assert cli("help", *command.split(), check=0).out == cli(*command.split(), "--help").out


def test_a_name_of_both_shows_the_command_and_then_the_topic(cli: Cli):
    assert set(topic_names()) & set(HELP_LINES) == set(BOTH)
    for name in BOTH:
        assert cli("help", name, check=0).out == cli(name, "--help").out + "\n" + text_of(name).rstrip("\n") + "\n"


def test_help_in_json_holds_the_texts(cli: Cli):
    both = cli("help", "audit", "--json", check=0).json

    assert both["command"] == {"command": "audit", "text": cli("audit", "--help").out.rstrip("\n")}
    assert both["topic"]["text"] == text_of("audit")
    assert cli("help", "tour", "--json", check=0).json["command"] is None
    assert cli("help", "owner", "add", "--json", check=0).json["topic"] is None


def test_on_a_terminal_a_topic_is_rendered(cli: Cli):
    cli.env["PAGER"] = "cat"

    shown = cli.tty("help", "tour", check=0).out

    assert "\x1b[" in shown
    assert "```" not in shown
    assert "# Tour" not in shown
    assert "Tour" in shown


def test_without_colours_a_topic_has_none(cli: Cli):
    for args, env in ((["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
        shown = cli.tty("help", "tour", *args, env={"PAGER": "cat", **env}, check=0).out
        assert "--out" in shown
        assert not re.findall(r"\x1b\[(?:\d+;)*[34][0-9]", shown)
    assert re.findall(r"\x1b\[(?:\d+;)*[34][0-9]", cli.tty("help", "tour", env={"PAGER": "cat"}, check=0).out)


def test_links_between_topics_say_what_to_type():
    text = "[the admin token](admin-token.md), [rules](profiles.md#rules), [below](#below), [a site](https://a.example/x.md)"

    assert with_typed_links(text) == (
        "the admin token (`keyctl help admin-token`), rules (`keyctl help profiles`), below, "
        "[a site](https://a.example/x.md)"
    )


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("name", topic_names())
def test_no_word_of_a_table_is_broken(name: str, width: int):
    shown = render(with_typed_links(text_of(name)), width=width, color=False)

    assert broken_in(shown, topic(name), longest=width - 2) == []


def test_a_table_that_does_not_fit_is_a_list():
    text = "| code | name | |\n| --: | --- | --- |\n| 7 | `NOT_AUTHORISED` | the admin token is wrong |\n| 8 | | |\n"

    assert render(text, width=60, color=False).splitlines()[1:] == [
        "code  name",
        f"{'─' * 46}",
        "   7  NOT_AUTHORISED  the admin token is wrong",
        "   8",
    ]
    assert render(text, width=40, color=False).splitlines()[1:] == [
        "7",
        "  name: NOT_AUTHORISED",
        "  the admin token is wrong",
        "8",
    ]


def test_what_does_not_fit_goes_through_the_pager(cli: Cli, pager: Path):
    shown = cli.tty("help", LONG, check=0).out

    assert shown == ""
    *lines, less = pager.read_text().splitlines()
    assert len(lines) > 24
    assert less == "less=FRX"


def test_what_fits_needs_no_pager(cli: Cli, pager: Path):
    shown = cli.tty("help", LONG, rows=2000, check=0).out

    assert "Profiles" in shown
    assert not pager.exists()


def test_in_a_pipe_there_is_no_pager(cli: Cli, pager: Path):
    cli("help", LONG, check=0)

    assert not pager.exists()


def test_less_keeps_the_options_of_its_user(cli: Cli, pager: Path):
    cli.tty("help", LONG, env={"LESS": "-X"}, check=0)

    assert pager.read_text().endswith("less=-X\n")


@pytest.mark.parametrize("pager", ["", "cat", "false", "/nowhere/less", "exit 3"])
def test_without_a_pager_that_works_the_topic_is_printed(cli: Cli, pager: str):
    shown = cli.tty("help", LONG, env={"PAGER": pager}, check=0).out

    assert shown.count("[key]") == text_of(LONG).count("[key]")
    assert "Traceback" not in shown


def test_a_pager_that_stops_reading_is_no_failure(cli: Cli):
    shown = cli.tty("help", LONG, env={"PAGER": "head -n 3"}, check=0).out

    assert len(shown.splitlines()) == 3


def test_without_less_a_topic_is_printed(cli: Cli):
    shown = cli.tty("help", LONG, env={"PATH": "/nowhere"}, check=0).out

    assert "Profiles" in shown
    assert "not found" not in shown


def test_ctrl_c_in_the_pager_is_the_pagers(cli: Cli):
    pager = "trap 'echo still here; exit' INT; cat > /dev/null; echo reading; while :; do sleep 0.05; done"

    shown = cli.tty("help", LONG, env={"PAGER": pager}, talk=[("reading", "\x03")], check=130).out

    assert "still here" in shown
    assert "Profiles" not in shown


@pytest.mark.parametrize("columns", [1, 20, 40, 80, 300])
@pytest.mark.parametrize("args", [["help"], ["help", LONG], ["help", "owner", "add"]], ids=" ".join)
def test_help_fits_the_terminal(cli: Cli, args: list[str], columns: int):
    shown = cli.tty(*args, columns=columns, env={"PAGER": "cat", "COLUMNS": None, "TERM": "dumb"}, check=0).out

    assert shown
    if columns >= 40:
        text = [line for line in shown.splitlines() if not line.startswith("    ")]  # examples and code may be longer
        assert max(map(len, text)) <= min(columns, 100)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["tuor"], 'did you mean "tour"?'),
        (["exit-code"], 'did you mean "exit-codes"?'),
        (["mnit"], 'did you mean "mint"?'),
        (["owner", "ad"], 'did you mean "owner add"?'),
        (["ls"], "use: keyctl list --help"),
        (["tutorial"], "use: keyctl help tour"),
        (["topics"], "use: keyctl help"),
        (["environment"], "use: keyctl help configuration"),
        (["owner", "rm"], "use: keyctl owner disable --help"),
        (["xyzzy"], "see: keyctl help"),
        (["owner", "xyzzy"], "see: keyctl help"),
        (["tour", "de", "france"], "see: keyctl help --help"),
        (["tour", "mint"], "see: keyctl help tour"),
        (["mint", "owner"], "see: keyctl help mint"),
        ([""], "see: keyctl help"),
        (["../README"], "see: keyctl help"),
        (["x" * 10_000], "see: keyctl help"),
        (["\x1b[31mred"], "see: keyctl help"),
    ],
)
def test_what_has_no_help_is_an_error_with_a_hint(cli: Cli, words: list[str], hint: str):
    result = refused(cli, "help", *words, code=2)

    assert result.err.endswith(f"keyctl: hint: {hint}\n")
    assert len(result.err) < 500


@pytest.mark.parametrize("args", [["help"], ["help", "tour"], ["help", "mint"], ["version"], ["completion", "bash"]])
def test_an_answer_that_cannot_be_written_is_a_failure(cli: Cli, args: list[str]):
    for output, code in ((full_disk, 21), (closed_pipe, 141)):
        with output() as descriptor:
            assert "Traceback" not in cli(*args, stdout=descriptor, check=code).err
    assert "standard output is closed" in cli.shell(f"keyctl {' '.join(args)} >&-", check=21).err


def test_help_after_the_option_is_the_help_of_the_command(cli: Cli):
    for option in ("--help", "-h"):
        assert cli(option, "list", check=0).out == cli("list", "--help").out
        assert cli(option, "owner", "add", check=0).out == cli("owner", "add", "--help").out
        assert cli(option, "list", "--limit", "3", check=0).out == cli("list", "--help").out
        assert cli(option, "--json", check=0).out == cli("--help").out
    refused(cli, "--help", "mnit", code=2, says='did you mean "mint"?')


def test_help_needs_no_store_and_writes_nothing(cli: Cli):
    cli("help", "tour", env={"KEYCTL_STORE": "postgresql://nowhere.invalid/x", "KEYCTL_CONFIG": "/nowhere"}, check=0)

    assert not any(cli.home.iterdir())
