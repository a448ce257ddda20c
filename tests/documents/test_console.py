"""Every page can be followed from its own beginning, by a reader who has no store yet.

What differs from run to run is an example in the page, and any other value of the same kind is taken for it. A key, a
prefix or an id stays what it is through the whole page: an example is always the same real value.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from keyctl.codes import Code
from tests.documents.pages import PAGES, README, files_of, name_of, steps, topic
from tests.documents.terminal import Shell
from tests.runner import Cli

REDIS = "redis://127.0.0.1:6379"  # where a server is, for the pages
HOME = "/home/jo"  # what the pages call the reader's home
VARIABLE = re.compile(
    r"""
    (?P<key>(?:kc|ak|shop)_(?:live|test)_[0-9A-Za-z]{12}[_.][0-9A-Za-z]{32,})
    | (?P<prefix>(?:kc|ak|shop)_(?:live|test)_[0-9A-Za-z]{12})
    | (?P<id>(?:key|own|store)_[0-9A-HJKMNP-TV-Z]{26})
    | (?P<signer>(?<![\w-])[\w-]{43}(?![\w-]))
    | (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z)
    | (?P<ago>\bnow\b|\b(?:\d+m\ )?\d+s\ ago\b|\b\d+m\ ago\b)
    | (?P<actor>[\w.-]+@[\w.-]+)
    """,
    re.VERBOSE | re.ASCII,
)
LASTING = ("key", "prefix", "id", "signer")


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)], ids=name_of)
def test_a_page_shows_what_its_commands_print(page: Path, cli: Cli, request: pytest.FixtureRequest):
    for name, text in files_of(page).items():
        (cli.cwd / name).write_text(text)
    real: dict[str, str] = {}
    commands = steps(page)
    if any(REDIS in command for command, _ in commands):
        url = request.getfixturevalue("redis_server").url
        commands = [(command.replace(REDIS, url), shown) for command, shown in commands]

    # The doctor looks for the installed command.
    with contextlib.closing(Shell(cli, quick=page.stem != "doctor")) as shell:
        for i, (command, shown) in enumerate(commands):
            out, code = shell.run(VARIABLE.sub(lambda found: real.get(found[0], found[0]), command))
            out = out.replace(str(cli.home), HOME)
            assert pattern_of(out) == pattern_of(shown), f"$ {command}\n{out}"
            learn(real, shown, out)
            if not (i + 1 < len(commands) and commands[i + 1][0] == "echo $?"):
                assert code == expected_code(command, out), f"$ {command}\n{out}"


@pytest.mark.parametrize("page", [README, topic("tour")], ids=name_of)
def test_a_tour_covers_the_life_of_a_key(page: Path):
    used = [words[1] for command, _ in steps(page) if (words := command.split())[0] == "keyctl"]

    firsts = [used.index(command) for command in ("mint", "verify", "rotate", "revoke")]
    assert firsts == sorted(firsts)


def expected_code(command: str, out: str) -> int:
    """Return the exit code that the answer of a verification names; 0 for any other, and after a pipe."""
    first = out.partition(" ")[0]
    return Code[first].exit_code if first in Code.__members__ and " | " not in command else 0


def pattern_of(text: str) -> str:
    """Return `text` with the kinds of what varies; columns may be wider where such a value is longer."""
    kinds = VARIABLE.sub(lambda found: f"<{found.lastgroup}>", text)
    return "\n".join(re.sub(r" {2,}|\t", "  ", line).strip() for line in kinds.splitlines())


def learn(real: dict[str, str], shown: str, out: str) -> None:
    """Keep the real value of each example. Raises AssertionError if an example has two."""
    for example, found in zip(VARIABLE.finditer(shown), VARIABLE.finditer(out), strict=True):
        if example.lastgroup not in LASTING:
            continue
        for a, b in {example[0]: found[0], prefix_of(example[0]): prefix_of(found[0])}.items():
            assert real.setdefault(a, b) == b, f"the page calls two things {a}"
    assert len(set(real.values())) == len(real), "the page has two names for one thing"


def prefix_of(value: str) -> str:
    match = re.match(r"(?:kc|ak|shop)_[a-z]+_[0-9A-Za-z]{12}", value)
    return match[0] if match else value
