"""What a command imports decides how long it takes to start, so it is pinned. Each is run from scratch."""

from __future__ import annotations

from functools import cache

import pytest

from keyctl.cli.commands import HELP_LINES, module_of
from tests.imports import imported_by, packages
from tests.runner import Cli

HEAVY = {"sqlalchemy", "alembic", "argon2", "rich", "psycopg", "cryptography", "pygments", "mako"}


@cache
def interpreter() -> frozenset[str]:
    """What the interpreter imports by itself."""
    return frozenset(imported_by("-c", "", env={}))


def imported(cli: Cli, *args: str, stdin: str = "", code: int = 0) -> set[str]:
    return imported_by("-m", "keyctl", *args, env=cli.env, stdin=stdin, code=[code], cwd=cli.cwd) - interpreter()


def heavy(modules: set[str]) -> set[str]:
    return HEAVY & packages(modules)


def test_importing_keyctl_imports_nothing_else():
    modules = imported_by("-c", "import keyctl", env={}) - interpreter()

    assert modules == {"keyctl"}


def test_importing_the_verifier_needs_neither_a_database_library_nor_a_command_line():
    modules = imported_by("-c", "import keyctl.verifier", env={})

    assert not packages(modules) & ((HEAVY - {"argon2"}) | {"typer"})
    assert not {
        module for module in modules if module.startswith(("keyctl.cli", "keyctl.store.database", "keyctl.admin"))
    }


def test_reading_a_sqlite_store_needs_no_database_library():
    modules = imported_by("-c", "import keyctl.store.sqlite_reader", env={})

    assert not packages(modules) & ((HEAVY - {"argon2"}) | {"typer"})


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["-h"], []], ids=" ".join)
def test_help_imports_nothing_heavy_and_no_command(cli: Cli, args: list[str]):
    modules = imported(cli, *args)

    assert heavy(modules) == set()
    assert "hashlib" not in modules
    assert modules & {module_of(name) for name in HELP_LINES} == set()


@pytest.mark.parametrize("command", HELP_LINES)
def test_a_commands_help_imports_nothing_heavy_and_no_other_command(cli: Cli, command: str):
    modules = imported(cli, *command.split(), "--help")

    assert heavy(modules) == set()
    words = command.split()
    own = {module_of(" ".join(words[:i])) for i in range(1, len(words) + 1)}
    assert modules & {module_of(name) for name in HELP_LINES} <= own
    assert "keyctl.store.database" not in modules


@pytest.mark.parametrize("args", [["help"], ["help", "tour"], ["help", "mint"], ["version"], ["completion", "bash"]])
def test_what_helps_imports_nothing_heavy_off_a_terminal(cli: Cli, args: list[str]):
    assert heavy(imported(cli, *args)) == set()


@pytest.mark.parametrize("args", [["nonsense"], ["mint", "--nonsense"], ["revoke"]], ids=" ".join)
def test_a_mistake_imports_nothing_heavy(cli: Cli, args: list[str]):
    assert heavy(imported(cli, *args, code=2)) == set()


@pytest.mark.sqlite
def test_verify_imports_one_hash_function_and_no_database_library(store: Cli):
    text = store("mint", check=0).out

    for args in ([], ["--json"], ["--scope", "read"]):
        modules = imported(store, "verify", *args, stdin=text, code=16 if "--scope" in args else 0)

        assert heavy(modules) == {"argon2"}
        assert not {
            module
            for module in modules
            if module.startswith(("keyctl.store.database", "keyctl.admin", "keyctl.pepper"))
        }


@pytest.mark.sqlite
def test_inspect_needs_no_database(cli: Cli, store: Cli):
    text = store("mint", check=0).out

    assert heavy(imported(cli, "inspect", stdin=text)) == {"argon2"}  # what reads the store's rules


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "args",
    [
        *(["mint"], ["list"], ["list", "--json"], ["list", "--format", "table"], ["list", "--tree"], ["audit", "list"]),
        ["revoke", "PREFIX"],
    ],
    ids=" ".join,
)
def test_on_a_store_that_is_there_no_migrations_are_imported_and_no_colours_off_a_terminal(store: Cli, args: list[str]):
    prefix = store("mint", check=0).out.rpartition("_")[0]

    modules = imported(store, *(arg.replace("PREFIX", prefix) for arg in args))

    assert heavy(modules) <= {"sqlalchemy", "argon2"}
    assert not {module for module in modules if module.startswith("sqlalchemy.orm")}
