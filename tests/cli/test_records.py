"""The forms of every list: --format, --json, --jsonl, --columns, and what a program may rely on in each."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from markdown_it import MarkdownIt

from tests.cli.helpers import CHEAP, Filled, execute, mint, mint_many, set_key
from tests.runner import Cli

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ODD = r"""=a|b *c* _d_ `e` [f](g) <b>h</b> \| ~~i~~ &amp; "j", 'k'; $(l) [red]m[/red]"""
LISTS = [["list"], ["owner", "list"], ["audit", "list"], ["profile", "list"], ["usage", "show", "--all"]]


@pytest.fixture
def odd(store: Cli, filled: Filled) -> Cli:
    """A key and an owner with a name that every form could misread, and a plain key."""
    filled(an_odd_key)
    return store


def an_odd_key(store: Cli) -> None:
    store("owner", "add", "acme", "--name", ODD, check=0)
    mint(store, "--name", "plain", "--scope", "read,write", "--expires", "30d")
    mint(store, "--name", ODD, "--owner", "acme")


@pytest.mark.sqlite
def test_csv_is_rfc_4180_with_a_heading(odd: Cli):
    text = odd("list", "--format", "csv", check=0).out_bytes.decode()

    lines = text.split("\r\n")
    assert (len(lines), lines[-1], text.count("\n")) == (4, "", 3)
    odd_row, plain = csv.DictReader(io.StringIO(text, newline=""))
    assert list(plain) == ["prefix", "name", "owner", "env", "scopes", "status", "expires", "used"]
    assert (odd_row["name"], odd_row["owner"], odd_row["expires"]) == (ODD, "acme", "never")
    assert (plain["scopes"], plain["status"]) == ("read,write", "active")
    [key] = odd("list", "--name", "plain", "--json", check=0).json["keys"]
    assert plain["expires"] == key["expires_at"]


@pytest.mark.sqlite
def test_markdown_is_a_table_in_which_names_are_literal(odd: Cli):
    text = odd("list", "--format", "markdown", check=0).out

    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    cells = re.findall(r"<td>(.*?)</td>", html)
    assert len(cells) == 16
    shown = cells[1].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert shown == ODD
    assert re.fullmatch(r"<code>kc_live_\w{12}</code>", cells[0])
    assert text.splitlines()[1] == "| --- | --- | --- | --- | --- | --- | --- | --- |"


@pytest.mark.sqlite
def test_what_was_written_into_the_database_by_hand_neither_moves_the_cursor_nor_breaks_a_line(store: Cli):
    key = mint(store, "--owner", "acme", "--create-owner")
    set_key(store, key["prefix"], name="a\n\x1b[2J\t\u202eb")
    execute(store, "update owners set name = :name", name="a\r\x1b[2Jb")

    lines = {"table": 2, "tsv": 1, "csv": 2, "markdown": 3, "jsonl": 1}
    for form, count in lines.items():
        out = store("list", "--format", form, env={"COLUMNS": "200"}, check=0).out.replace("\r\n", "\n")
        assert (out.count("\n"), set("\x1b\r") & set(out)) == (count, set()), form
        assert form == "jsonl" or "\u202e" not in out
    for width, args in (("80", ["--tree"]), ("50", ["--format", "table"])):
        out = store("list", *args, env={"COLUMNS": width}, check=0).out
        assert not set("\x1b\r\u202e") & set(out)
        assert r"\n\x1b[2J\t" in out


@pytest.mark.sqlite
@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_the_forms_of_a_list_have_the_same_records(odd: Cli, command: list[str]):
    whole = odd(*command, "--json", check=0).json
    [objects] = [value for value in whole.values() if isinstance(value, list)]

    lines = odd(*command, "--jsonl", check=0).out.splitlines()
    assert [json.loads(line) for line in lines] == objects
    rows = odd(*command, check=0).out.splitlines()
    heading, *records = csv.reader(io.StringIO(odd(*command, "--format", "csv", check=0).out, newline=""))
    assert ["\t".join(record) for record in records] == rows
    assert len(rows) == len(objects) > 0
    assert len(odd(*command, "--format", "markdown", check=0).out.splitlines()) == 2 + len(rows)
    table = odd(*command, "--format", "table", env={"COLUMNS": "300"}, check=0).out.splitlines()
    assert len(table) == 1 + len(rows)
    named = odd(*command, "--format", "csv", "--columns", ",".join(reversed(heading)), check=0).out
    assert [list(reversed(row)) for row in csv.reader(io.StringIO(named, newline=""))] == [heading, *records]


@pytest.mark.sqlite
def test_the_short_options_and_the_default_are_forms_too(odd: Cli):
    for form, short in (("json", ["--json"]), ("jsonl", ["--jsonl"]), ("tsv", [])):
        assert odd("list", "--format", form, check=0).out == odd("list", *short, check=0).out


@pytest.mark.sqlite
def test_a_table_is_the_same_in_a_pipe_as_on_a_terminal_and_has_the_width_of_the_screen(odd: Cli):
    on_terminal = odd.tty("list", "--quiet", columns=70, check=0).out
    for how in ({"env": {"COLUMNS": "70"}}, {"env": {"COLUMNS": "70", "TERM": "dumb"}}):
        assert odd("list", "--format", "table", check=0, **how).out == ESCAPE.sub("", on_terminal)
    # As in `keyctl list --format table | less -R`: standard input and error are still the terminal.
    piped = odd.tty("list", "--format", "table", columns=70, pipe_stdout=True, check=0)
    assert (piped.out, piped.err) == (ESCAPE.sub("", on_terminal), "")
    assert max(map(len, odd("list", "--format", "table", env={"COLUMNS": None}, check=0).out.splitlines())) <= 80


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("variables", "args", "colored"),
    [
        ({}, [], False),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"CLICOLOR_FORCE": "1"}, [], True),
        ({"FORCE_COLOR": "0"}, [], False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
        ({"FORCE_COLOR": "1"}, ["--no-color"], False),
        ({"FORCE_COLOR": "1", "COLUMNS": "40"}, [], True),
    ],
    ids=str,
)
def test_colours_off_a_terminal_are_asked_for_and_only_tables_have_them(
    odd: Cli, variables: dict[str, str], args: list[str], colored: bool
):
    assert ("\x1b[32mactive" in odd("list", "--format", "table", *args, env=variables, check=0).out) is colored
    form = "tsv" if args else "csv" if "COLUMNS" in variables else "markdown" if "NO_COLOR" in variables else "jsonl"
    assert "\x1b" not in odd("list", "--format", form, env={**variables, "NO_COLOR": None}, check=0).out


@pytest.mark.sqlite
def test_on_a_terminal_every_form_can_be_asked_for(odd: Cli):
    for form in ("tsv", "csv", "markdown", "json", "jsonl"):
        piped = odd("list", "--format", form, check=0).out.replace("\r", "")
        assert odd.tty("list", "--format", form, columns=500, check=0).out.replace("\r", "") == piped


@pytest.mark.sqlite
def test_columns_are_chosen_and_ordered_by_name_in_any_case(odd: Cli):
    shown = odd("list", "--columns", "STATUS, prefix", "--columns", "metadata,id", check=0).out.splitlines()
    keys = odd("list", "--json", check=0).json["keys"]

    assert [line.split("\t") for line in shown] == [["active", key["prefix"], "", key["id"]] for key in keys]
    table = odd.tty("list", "--columns", "status,prefix", check=0).out
    assert ESCAPE.sub("", table).splitlines()[0].split() == ["STATUS", "PREFIX"]


@pytest.mark.sqlite
def test_what_there_is_no_room_for_is_named_on_a_terminal_and_only_there(odd: Cli):
    shown = odd.tty("list", columns=64, pipe_stdout=False, check=0).out
    piped = odd.tty("list", "--format", "table", columns=64, pipe_stdout=True, check=0)

    assert "no room for env" in shown
    assert "choose with --columns" in shown
    assert "no room" not in odd.tty("list", "--quiet", columns=64, check=0).out
    assert piped.err == ""


@pytest.mark.sqlite
def test_an_empty_list_has_the_heading_of_csv_and_markdown_and_a_note(store: Cli):
    for form, lines in (("csv", 1), ("markdown", 2), ("tsv", 0), ("table", 0), ("jsonl", 0)):
        result = store("list", "--format", form, check=0)
        assert (len(result.out.splitlines()), "there are no keys yet" in result.err) == (lines, True)
    assert store("list", "--format", "json", check=0).json == {"keys": [], "next": None}


CONTRADICTIONS = [
    (["--format", "xml"], ['unknown format "xml"', "known: table, tsv, csv, markdown, json, jsonl"]),
    (["--format", "jsno"], 'did you mean "json"?'),
    (["--format", ""], "unknown format"),
    (["--json", "--format", "csv"], "--json cannot be used with --format csv"),
    (["--jsonl", "--format", "json"], "--jsonl cannot be used with --format json"),
    (["--json", "--jsonl"], "--json cannot be used with --jsonl"),
    (["--columns", "prefix,colour"], ['unknown column "colour"', "known: prefix, name, owner"]),
    (["--columns", "prefix,stats"], 'did you mean "status"?'),
    (["--columns", "prefix,prefix"], 'the column "prefix" is named twice'),
    (["--columns", ""], "an empty value"),
    (["--columns", "prefix,,name"], "an empty value"),
    (["--columns", "prefix", "--wide"], "--columns cannot be used with --wide"),
    (["--columns", "prefix", "--json"], "--columns cannot be used with --json"),
    (["--columns", "prefix", "--format", "jsonl"], "--columns cannot be used with --jsonl"),
    (["--all", "--limit", "5"], "--all cannot be used with --limit"),
]


@pytest.mark.sqlite
def test_what_is_unknown_or_contradictory_is_a_usage_error_even_without_a_store(empty: Cli):
    """Before the store is opened: the mistake is in the command line."""
    for options, says in CONTRADICTIONS:
        result = empty("list", *options, check=2)
        assert result.out == ""
        for words in [says] if isinstance(says, str) else says:
            assert words in result.err.replace('\\"', '"'), (options, result)


@pytest.mark.sqlite
def test_whoever_asks_for_json_in_any_way_gets_errors_as_json(store: Cli):
    for args in (["--json"], ["--jsonl"], ["--format", "json"], ["--format", "jsonl"]):
        error = json.loads(store("list", *args, "--owner", "none", check=3).err)["error"]
        assert error["code"] == "NOT_FOUND"


# ── all, or a page that says so ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_json_lines_and_csv_are_never_silently_a_part(store: Cli):
    prefixes = {key["prefix"] for key in mint_many(store, 130)}

    for args in (["--jsonl"], ["--jsonl", "--quiet"], ["--format", "jsonl"]):
        lines = [json.loads(line) for line in store("list", *args, check=0).out.splitlines()]
        assert {line["prefix"] for line in lines} == prefixes
    assert len(store("list", "--format", "csv", check=0).out.splitlines()) == 131
    assert len(store("audit", "list", "--jsonl", check=0).out.splitlines()) == 3


@pytest.mark.sqlite
def test_a_page_of_json_lines_ends_with_its_cursor(store: Cli):
    mint_many(store, 5)

    *keys, end = map(json.loads, store("list", "--jsonl", "--limit", "3", "--quiet", check=0).out.splitlines())
    *rest, last = map(
        json.loads, store("list", "--jsonl", "--limit", "3", "--after", end["next"], check=0).out.splitlines()
    )

    assert (len(keys), len(rest), last) == (3, 2, {"next": None})
    assert end.keys() == {"next"}
    [one, two] = map(json.loads, store("list", "--jsonl", "--after", end["next"], check=0).out.splitlines())
    assert [one, two] == rest


@pytest.mark.sqlite
def test_json_has_one_shape_whatever_the_number_of_results(empty: Cli):
    empty("init", *CHEAP, check=0)
    for number in (0, 1):
        assert list(empty("list", "--json", check=0).json) == ["keys", "next"]
        assert list(empty("owner", "list", "--json", check=0).json) == ["owners"]
        mint(empty, "--owner", f"owner-{number}", "--create-owner")
