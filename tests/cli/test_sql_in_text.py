"""SQL in every text that a command takes: it is text, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer

from keyctl.cli.app import app
from keyctl.cli.commands import HELP_LINES
from tests.cli.helpers import dump, mint, show
from tests.runner import Cli

# All at once, for the short run; quotes, comments, wildcards and placeholders one by one for the long one.
TOGETHER = "x' or '1'='1'; drop table keys; --%_*\\\" :id %s ?"
ONE_BY_ONE = [
    *("' or '1'='1", "'; drop table keys; --", "') union select phc from keys --", '" or ""="', "%' or 1=1 --"),
    *(
        "\\'; delete from events; --",
        "1; select pg_sleep(100)",
        "*",
        "%",
        "_" * 20,
        ":id",
        "%(id)s",
        "$1",
        "?1",
        "x'41'",
    ),
]
# What a command needs besides, so that the text is what decides.
NEEDED = {"expire": ["--to", "30d"], "mint": ["--create-owner"], "scope": ["--add", "read"], "rotate": ["--dry-run"]}
FILTERS = {"HANDLE", "ENV", "SCOPE", "STATUS", "CURSOR", "SELECTOR", "ACTION", "KIND"}


def fields() -> list[tuple[str, Any, Any]]:
    """Return every option and argument that takes text, with its command and the command's name."""
    group: Any = typer.main.get_command(app)
    found = []
    for name in HELP_LINES:
        command = group
        for word in name.split():
            command = command.get_command(None, word)
        if not hasattr(command, "list_commands"):
            shown = [one for one in command.params if not getattr(one, "hidden", False)]
            found += [(name, command, one) for one in shown if one.type.name == "str"]
    return found


def line(name: str, command: Any, field: Any, text: str, prefix: str) -> list[str]:
    """Return a command line with the text in this field, and something suitable in every other that is required."""
    words = [*name.split(), *NEEDED.get(name, [])]
    if field.param_type_name == "option":
        words.append(f"{field.opts[0]}={'k=' if field.metavar == 'K=V' else ''}{text}")
    words.append("--")
    for one in command.params:
        if one.param_type_name == "argument" and (one is field or one.required):
            suitable = {"HANDLE": "acme", "FILE": "./file", "NAME|FILE": "standard"}.get(one.metavar, prefix)
            words.append(text if one is field else suitable)
    return words


@pytest.mark.torture
def test_sql_in_a_text_is_text(store: Cli, rounds: Callable[..., Any]):
    of_each_kind = list({field.metavar: (name, command, field) for name, command, field in fields()}.values())
    assert {field.metavar for _, _, field in of_each_kind} > FILTERS

    try_all(store, TOGETHER, rounds(of_each_kind, fields()))


@pytest.mark.torture(only=True)
@pytest.mark.parametrize("text", ONE_BY_ONE)
def test_no_text_of_any_command_is_sql(store: Cli, text: str):
    try_all(store, text, fields())


def try_all(store: Cli, text: str, these: list[tuple[str, Any, Any]]) -> None:
    """Claim that the text does no harm in these fields, to what no command names."""
    witness = mint(store, "--name", "witness", "--owner", "bystander", "--create-owner", "--scope", "read")
    target = mint(store, "--owner", "acme", "--create-owner")
    before = of_witness(store, witness["prefix"])

    for name, command, field in these:
        result = store(*line(name, command, field, text, target["prefix"]), stdin=target["key"])

        assert result.code != 1, result
        assert "Traceback" not in result.err, result
        # No filter may select what does not match; "*" is a glob for all names.
        if name in ("list", "show", "audit list") and (field.metavar, text) != ("*"):
            assert witness["prefix"] not in result.out, result

    assert of_witness(store, witness["prefix"]) == before
    assert store("audit", "verify", check=0).out.startswith("intact")


def test_accepted_text_is_kept_literally(store: Cli):
    minted = mint(store, "--name", TOGETHER, "--meta", f"k={TOGETHER}", "--reason", TOGETHER)

    key = show(store, minted["prefix"])
    assert (key["name"], key["metadata"]) == (TOGETHER, {"k": TOGETHER})
    event = next(one for one in store("audit", "list", "--json").json["events"] if one["action"] == "key.minted")
    assert event["reason"] == TOGETHER
    found = store("list", "--name", TOGETHER.replace("*", "?"), "--json", check=0).json["keys"]
    assert [one["prefix"] for one in found] == [minted["prefix"]]


def of_witness(store: Cli, prefix: str) -> list[Any]:
    """Return the rows of the key and the owner that no command names."""
    rows = dump(store)
    assert rows is not None
    return [row for row in rows["keys"] + rows["owners"] if prefix in row or "bystander" in row]
