"""Every command that the text or a table of a page mentions is run, with real things in place of its placeholders.

Those of blocks are run by test_console and test_shell_blocks, and those of the platforms by tests/platforms.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keyctl.cli.commands import HELP_LINES
from tests.cli.helpers import CHEAP, mint, with_profile
from tests.documents.pages import PAGES, code_spans, files, name_of
from tests.documents.test_commands import invocations
from tests.runner import Cli

RULES = """
[scopes.list]
read = { description = "read" }
[lifetime]
rotate_every = "90d"
"""
REQUEST = "GET /v1/health HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {key}\r\n\r\n"
URL = "postgresql://ops@db.example/keys?sslmode=verify-full"
# What is run in another test, since it needs more than a store.
NOT_RUN = {
    "init --store /var/lib/keyctl/keys.db --reader-group www-data": "test_reader_group.py, with a group of the machine",
    "limits PREFIX --limiter URL": "test_limits.py, with a server",
    "usage recorders --forget NAME": "test_usage.py, with a recorder",
}
# What answers with anything but 0: the live key on standard input is found, and no recorder reports to these stores.
ANSWERS = {"scan -": 9, "revoke PREFIX --if-unused-for 24h": 4, "report --fail-on expiring,stale": 5}


def commands(page: Path) -> list[list[str]]:
    """Return every command of the text of a page once, in its order; not the mere names of commands."""
    found = {tuple(one): one for span in code_spans(page) for one in invocations(span)}
    return [one for line, one in found.items() if " ".join(line) not in HELP_LINES and " ".join(line) not in NOT_RUN]


class Reader:
    """Someone with a store, who knows what to put in place of a placeholder."""

    def __init__(self, cli: Cli, page: Path) -> None:
        self._cli = cli
        for name, text in files().items():  # with the key of a profile that `list --due` is about
            (cli.cwd / name).write_text(text.replace("[lifetime]\n", '[lifetime]\nrotate_every = "90d"\n'))
        if page.stem == "profiles":
            cli("init", "--profile", "./acme.toml", *CHEAP, check=0)
        else:
            with_profile(cli, RULES)
        subprocess.run(["git", "init", "-q", cli.cwd / "empty"], check=True)
        cli("owner", "add", "acme", check=0)
        self.key = mint(cli, "--owner", "acme", "--name", "ci")["key"]
        self._pepper = "none"
        if page.stem == "pepper":
            self._pepper = cli("db", "pepper", "peppers", "--json", check=0).json["pepper"]
            cli.env["KEYCTL_PEPPER_FILE"] = str(cli.cwd / "peppers")
        cli("bundle", "key", "--create", check=0)
        for file in ("staging.db", "team.db"):
            cli("init", "--store", f"./{file}", *CHEAP, check=0)
        cli("config", "add", "team", "./team.db", check=0)
        cli("db", "backup", "keys-monday.db", check=0)

    def fill_in(self, word: str, command: list[str]) -> str:
        makers: dict[str, Callable[[], str]] = {
            "PREFIX": lambda: mint(self._cli, "--owner", "acme")["prefix"],
            "HANDLE": lambda: "acme",
            "TOPIC": lambda: "tour",
            "TOOL": lambda: "gitleaks",
            "NAME": lambda: "standard",
            "ID": lambda: self._pepper,
            "OLD": lambda: "none",
            "FILE": lambda: self._file(command),
            "PATH": lambda: "./empty",
            "PATH...": lambda: "./empty",
            "$KEYCTL_STORE": lambda: "./copy.db",
            "keys-monday.db": lambda: "./keys-monday.db",
        }
        return makers[word]() if word in makers else word

    def _file(self, command: list[str]) -> str:
        """Return a file of the kind that the command reads, or one that is not there, for it to write."""
        name = "./" + "-".join(word.strip("-") for word in command if word != "FILE")
        read = {
            "verify --request": lambda: REQUEST.format(key=self.key),
            "revoke --from": lambda: f"GET /?key={mint(self._cli, '--owner', 'acme')['key']}\n",
            "usage import": lambda: "",
            "import FILE": lambda: '{"owner": {"handle": "globex"}}\n',
            "profile apply": (self._cli.home / "acme.toml").read_text,
        }
        kind = " ".join(command[:2])
        if kind == "db restore":
            return "./keys-monday.db"
        if kind == "bundle show":
            self._cli("bundle", "export", name, check=0)
        elif kind in read:
            (self._cli.cwd / name).write_text(read[kind]())
        return name


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "platforms" and commands(page)], ids=name_of)
def test_every_command_that_is_mentioned_can_be_run(page: Path, cli: Cli):
    reader = Reader(cli, page)

    for command in commands(page):
        words = [reader.fill_in(word, command) for word in command]
        if command[:2] == ["config", "add"]:
            cli("config", "remove", command[2], check=0)
        if command[:3] == ["owner", "add", "acme"]:
            words[2] = "acme-2"
        given = URL if command[:2] == ["config", "add"] else reader.key
        result = cli(*words, stdin=given)
        if result.code == 4 and "add --yes" in result.err:  # what a terminal would ask
            result = cli(*words, "--yes", stdin=given)
        assert result.code == ANSWERS.get(shlex.join(command), 0), result
