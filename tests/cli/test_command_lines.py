"""Whole command lines, of every command and option there is, with values that no one would type."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from keyctl.cli.app import app
from keyctl.cli.topics import read_topic
from tests.cli.helpers import mint, refused
from tests.fuzzing import examples
from tests.runner import Cli

DOCUMENTED = {int(code) for code in re.findall(r"^\| (\d+) \|", read_topic("exit-codes").text, re.MULTILINE)} - {1}
# What each parameter expects, one of these words. PREFIX becomes that of a key in the store.
VALID = {
    **dict.fromkeys(["selector", "selectors", "--key"], "PREFIX"),
    **dict.fromkeys(["handle", "--owner", "--parent", "--resource-owner"], "acme"),
    **dict.fromkeys(["--expires", "--to", "--for", "--grace", "--older-than", "--max-age"], "30d 1h 0"),
    **dict.fromkeys(["--expires-within", "--unused-for", "--if-unused-for", "--valid-for"], "30d 1h 0"),
    **dict.fromkeys(["--scope", "--add", "--remove", "--set"], "read write,admin"),
    **dict.fromkeys(["--allow-ip", "--ip", "--trusted-proxy"], "192.0.2.0/24 ::1"),
    **dict.fromkeys(["--limit", "--before", "--count"], "1 2"),
    "--env": "live",
    "--status": "active",
    "--sort": "name",
    "--hash": "sha256",
    "--argon2": "m=8,t=1,p=1",
    "--profile": "standard",
    "--kind": "account",
    "--wait": "1s",
    "--scheme": "https",
    "--meta": "a=b",
}
# Nothing that does lasting harm or takes its time rightly: no absolute path (--force replaces files), no server that is
# not there and no long --wait (it would be waited for), no large --count, and no costly hash.
NASTY = ["-", "--", "---", "-1", "+1", "1e9", "0x10", "٣", "9223372036854775808", "nan", ".", "..", "~"]
NASTY += ["~no-such-user/x", "missing/x", "x/", "*", "%", "%00", "%s", "{}", "$HOME", "'", '"', "`", "a;b", "[bold]"]
NASTY += ["[/x]", "a,,b", ",", "=", "a=", "=b", "é", "😀", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
NASTY += ["2027-02-30T00:00:00Z", "36501d", "999999999999w", "fe80::1%eth0", "1.2.3.4/0", "::ffff:1.2.3.4/96"]
NASTY += ["mysql://x", "sqlite://", "sqlite:///", "://", "W10", "a:b@c"]
NASTY += ["", " ", "\n", "\t", "\x1b[31m", "\x7f", "\u202e", "never ", "9" * 30, "-" + "9" * 30]
NASTY += ["\udcff\udcfe", "\udced\udca0\udc80"]  # bytes that are not UTF-8
PARTS = ["a", "9", ":", "pass", "%25", "QUJD", "kc_live_", "1,", "[", "=", "-", "/", "é", "\udcff"]
LONG = [part * (100_000 // len(part.encode(errors="surrogateescape"))) for part in PARTS]


@st.composite
def values(draw: st.DrawFn, parameter: str) -> str:
    """Draw a value for a parameter: mostly one that it expects."""
    if draw(st.integers(0, 4)):
        return draw(st.sampled_from(VALID.get(parameter, "x ./y").split()))
    return draw(st.sampled_from(NASTY) | st.sampled_from([*NASTY, *LONG]))


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Yield every command, as it is typed, with its parameters."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command.params
    else:
        for name in below:
            yield from commands(below[name], (*path, name))


COMMANDS = list(commands(typer.main.get_command(app)))


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a command with any of its options, in any order and as often as it comes, and as many arguments."""
    path, parameters = draw(st.sampled_from(COMMANDS))
    options = [one for one in parameters if one.param_type_name == "option"]
    line = [draw(values(one.name)) for one in parameters if one.param_type_name == "argument"]
    for option in draw(st.lists(st.sampled_from(options), max_size=4)):
        name = draw(st.sampled_from(option.opts))
        value = draw(values(name))
        at = draw(st.integers(0, len(line)))
        line[at:at] = [name] if option.is_flag else draw(st.sampled_from([[name, value], [f"{name}={value}"]]))
    extra = [] if draw(st.integers(0, 5)) else [draw(values("x"))]
    return [*path, *line, *extra]


variables = st.dictionaries(
    st.sampled_from(["KEYCTL_ACTOR", "KEYCTL_CONFIG", "KEYCTL_WAIT", "COLUMNS", "NO_COLOR", "PAGER", "LC_ALL"]),
    st.sampled_from(["", "0", "-1", "9" * 30, "x", "~no-such-user/x", "\n", "\udcff", "é", "3"]),
    max_size=1,
)


@pytest.fixture
def prefix(store: Cli) -> str:
    """The prefix of a key in the store."""
    return str(mint(store, "--owner", "acme", "--create-owner")["prefix"])


@pytest.fixture
def seen() -> Iterator[Counter[int]]:
    """How often each exit code was seen: not only usage errors."""
    codes: Counter[int] = Counter()
    yield codes
    assert codes[0], codes


@examples(60, 2_000)
@given(line=command_lines(), env=variables)
def test_every_command_line_ends_with_a_documented_code_and_an_answer_or_an_error(
    store: Cli, prefix: str, seen: Counter[int], line: list[str], env: dict[str, str]
):
    for left in store.cwd.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()

    result = store(*(prefix if one == "PREFIX" else one for one in line), env=env, timeout=20)
    seen[result.code] += 1

    assert result.code in DOCUMENTED, result
    assert "Traceback" not in result.err, result
    assert "internal error" not in result.err, result
    if 2 <= result.code <= 8:
        assert result.out == "", result
        if result.err.startswith("{"):
            assert set(json.loads(result.err.splitlines()[-1])) == {"error"}, result
        else:
            assert "keyctl: error: " in result.err, result


@pytest.mark.sqlite
@pytest.mark.parametrize("part", ["a", ":", "pass", "%25", "QUJD", "kc_live_"])
def test_an_argument_of_100_kb_is_dealt_with_at_once(store: Cli, prefix: str, part: str):
    long = part * (100_000 // len(part))

    for line, code in (
        (["show", long], 3),
        (["revoke", long, "--yes"], 3),
        (["list", "--name", long], 2),
        (["list", "--after", long], 2),
        (["list", "--owner", long], 3),
        (["list", "--store", long], 2),
        (["update", prefix, "--set-name", long], 2),
    ):
        refused(store, *line, code=code, timeout=10)
