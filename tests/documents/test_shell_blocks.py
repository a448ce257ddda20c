"""Every block of shell commands of every page is run: those of kind `console` in test_console, all others here.

A block runs in the order of its page, in one folder, for a reader who has done what the page says before it. A block
that no test can run is in a table, with the reason.
"""

from __future__ import annotations

import importlib.util
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.helpers import CHEAP, ago, mint, set_key
from tests.documents.pages import PAGES, ROOT, files_of, name_of
from tests.documents.quick_shell import QuickShell
from tests.runner import Cli

EVERY_PAGE = [*PAGES, *sorted((ROOT / ".github").glob("*.md"))]
SHELLS = ("sh", "bash", "zsh")
KINDS = {"console", "python", "toml", "yaml", "makefile", "ini", "sql", "", *SHELLS}
ABSENT = ("createdb", "curl", "docker", "gh", "kubectl", "pipx", "psql", "pytest", "systemctl", "vault", "watch")
# By its first line: a block that is not run here, and why.
NOT_RUN = {
    "make -s provision-token   # print a new key, and nothing else, on standard output": "test_makefile.py runs it",
    "make test        # the first target that is run installs everything into .venv": "it is running",
    "fpath=(~/.local/share/zsh/site-functions $fpath)": "for zsh; test_completion.py has it in a .zshrc",
}
# Pages whose blocks have tests of their own, which check more than that they run.
TESTED_ELSEWHERE = {"recipes": "test_recipes.py"}
SERVER = "postgresql://ops@db.example/keys?sslmode=verify-full"


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return every fenced block of a page, with its kind."""
    return re.findall(r"^ *```([a-z]*)[^\n]*\n(.*?)^ *```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def scripts(page: Path) -> list[str]:
    found = [text for kind, text in blocks(page) if kind in SHELLS]
    return [text for text in found if text.partition("\n")[0] not in NOT_RUN]


# ── what a reader has done before ────────────────────────────────────────────────────────────────────────────────────


def has_keys(cli: Cli) -> None:
    cli("init", *CHEAP, check=0)
    cli(
        "mint",
        "--name",
        "website",
        "--owner",
        "acme",
        "--create-owner",
        "--scope",
        "read",
        "--out",
        "website.key",
        check=0,
    )


def has_a_backup(cli: Cli) -> None:
    has_keys(cli)
    cli("init", "--store", "./keys.db", *CHEAP, check=0)
    prefix = cli("mint", "--store", "./keys.db", "--json", check=0).json["prefix"]
    cli("db", "backup", "keys-monday.db", "--store", "./keys.db", check=0)
    cli("revoke", prefix, "--store", "./keys.db", check=0)


def has_a_signing_key(cli: Cli) -> None:
    has_keys(cli)
    cli("bundle", "key", "--create", check=0)


def has_an_undelivered_key(cli: Cli) -> None:
    has_keys(cli)
    set_key(cli, mint(cli)["prefix"], delivered_at=None, created_at=ago(days=1))


def has_owners_with_limits(cli: Cli) -> None:
    cli("init", "--profile", "voxpria", *CHEAP, check=0)
    cli("owner", "add", "acme", check=0)


def has_records_of_use(cli: Cli) -> None:
    has_keys(cli)
    (cli.cwd / "srv/edge-1").mkdir(parents=True)
    (cli.cwd / "srv/edge-1/usage.jsonl").touch()


def has_a_repository(cli: Cli) -> None:
    has_keys(cli)
    cli.shell("git init -q .")


def has_nothing(cli: Cli) -> None:
    """What such a page does begins with `keyctl init`."""


BEFORE: dict[str, Callable[[Cli], None]] = {
    "backup": has_a_backup,
    "bundles": has_a_signing_key,
    "doctor": has_an_undelivered_key,
    "limits": has_owners_with_limits,
    "performance": has_nothing,
    "scan": has_a_repository,
    "usage": has_records_of_use,
}


@pytest.mark.parametrize("page", [page for page in EVERY_PAGE if scripts(page)], ids=name_of)
def test_the_scripts_of_a_page_run(page: Path, cli: Cli, request: pytest.FixtureRequest):
    if page.stem in TESTED_ELSEWHERE:
        return
    for name, text in files_of(page).items():
        (cli.cwd / name).write_text(text)
    BEFORE.get(page.stem, has_keys)(cli)
    server = request.getfixturevalue("empty_schema") if SERVER in page.read_text() else ""
    script = with_own_folders("\n".join(scripts(page)).replace(SERVER, server), cli.cwd)
    key = cli.cwd / "website.key"
    env = {"KEY": key.read_text().strip() if key.exists() else "", "SHELL": "/bin/bash"}

    QuickShell(cli, ABSENT)(script, env=env)


def with_own_folders(script: str, folder: Path) -> str:
    """Return a script with folders of the reader's machine below `folder`, where they are made."""
    for place in ("/srv/", "/backup/", "/usr/"):
        for path in re.findall(rf"(?<![\w.]){place}[\w/.-]*", script):
            (folder / path.rpartition("/")[0].strip("/")).mkdir(parents=True, exist_ok=True)
        script = re.sub(rf"(?<![\w.]){place}", f"{folder}{place}", script)
    return script


# Where each program that keys are moved from defines its table, and how a column is written there.
TABLES = {
    "rest_framework_api_key_apikey": ("rest_framework_api_key", "models.py", r"^ +(\w+) = models\."),
    "api_keys": ("keyshield", "repositories/sql.py", r"^ +(\w+): Mapped\["),
}


def test_the_queries_for_keys_of_other_programs_fit_their_tables():
    queries = [text for page in EVERY_PAGE for kind, text in blocks(page) if kind == "sql"]
    assert len(queries) == len(TABLES)

    with closing(sqlite3.connect(":memory:")) as database:
        for table, (package, file, column) in TABLES.items():
            [folder] = importlib.util.find_spec(package).submodule_search_locations
            columns = re.findall(column, (Path(folder) / file).read_text(), re.MULTILINE)
            database.execute(f"create table {table} ({', '.join(dict.fromkeys(columns))})")
        for query in queries:
            database.execute(query)


def test_every_block_is_of_a_kind_that_a_test_knows():
    """So that a script cannot be called something else, and be run by nothing."""
    kinds = {kind for page in EVERY_PAGE for kind, _ in blocks(page)}

    assert kinds <= KINDS
    consoles = {page for page in EVERY_PAGE if any(kind == "console" for kind, _ in blocks(page))}
    assert consoles <= set(PAGES)  # test_console runs those


def test_no_reason_for_not_running_a_block_is_out_of_date():
    first = {text.partition("\n")[0] for page in EVERY_PAGE for kind, text in blocks(page) if kind in SHELLS}

    assert NOT_RUN.keys() <= first
    tests = Path(__file__).parent
    for page, file in TESTED_ELSEWHERE.items():
        assert f'topic("{page}")' in (tests / file).read_text()
