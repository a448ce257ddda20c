"""What a TAB offers, and that bash, zsh and fish offer it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from keyctl.cli.app import app
from keyctl.cli.commands import HELP_LINES, below
from keyctl.cli.completion_answers import FILES, VALUES
from keyctl.cli.completion_scripts import script
from keyctl.cli.topics import read_topic
from keyctl.delivery_formats.table import FORMATS
from keyctl.store.location import StoreLocation
from keyctl.store.suggestions import Suggestions
from tests.imports import imported_by, packages
from tests.runner import Cli, Result
from tests.shells import Shell
from tests.stores import new_store

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "completions"
SCRIPTS = {"bash": FOLDER / "keyctl.bash", "zsh": FOLDER / "_keyctl", "fish": FOLDER / "keyctl.fish"}
# What only the operator knows.
FREE = {
    "SUBCOMMAND",
    "COMMAND",
    "TEXT",
    "TIME",
    "CIDR",
    "ADDRESS",
    "K=V",
    "N",
    "SEQ",
    "URL",
    "GLOB",
    "GROUP",
    "NAME",
    "CURSOR",
    "SCHEME",
    "PUBLIC-KEY",
    "m=KIB,t=PASSES,p=LANES",
}


def ask(cli: Cli, line: str, rest: str = "", *, shell: str = "fish", word: str = "", **how: Any) -> Result:
    """Ask as a shell's script does, at the end of `line`; whatever comes of it, there is no error and no message."""
    variables = {
        "_KEYCTL_COMPLETE": f"complete_{shell}",
        "_KEYCTL_LINE": line,
        "_KEYCTL_REST": rest,
        "_KEYCTL_WORD": word,
    }
    result = cli(env=variables | how.pop("env", {}), check=0, **how)
    assert result.err == ""
    return result


def offered(cli: Cli, line: str, rest: str = "", **how: Any) -> dict[str, str]:
    """Return what is offered at the end of `line`, each with what it is."""
    lines = ask(cli, line, rest, **how).out.splitlines()
    return {value: text for value, _, text in (one.partition("\t") for one in lines[1:])}


def mint(cli: Cli, *args: str) -> str:
    """Mint a key and return its prefix."""
    return cli("mint", *args, "--json", check=0).json["prefix"]


# ── commands and options ─────────────────────────────────────────────────────────────────────────────────────────────


def test_commands_are_offered_with_their_help(cli: Cli):
    assert offered(cli, "keyctl ") == below("")
    assert offered(cli, "keyctl rev") == {"revoke": "Revoke keys permanently."}
    assert offered(cli, "keyctl owner d") == {"disable": HELP_LINES["owner disable"]}
    assert offered(cli, "keyctl --json owner sh").keys() == {"show"}
    assert offered(cli, "keyctl usage ") == below("usage")
    assert "--since" in offered(cli, "keyctl usage --")
    assert "import" not in offered(cli, "keyctl usage --since 1h ")


def test_nothing_follows_an_unknown_command(cli: Cli):
    assert offered(cli, "keyctl bogus ") == {}
    assert offered(cli, "keyctl owner bogus ") == {}


def test_options_are_offered_on_both_sides(cli: Cli):
    everywhere = {"--store", "--config", "--json", "--quiet", "--no-color", "--wait"}

    assert offered(cli, "keyctl --").keys() >= everywhere | {"--version", "--help"}
    assert offered(cli, "keyctl revoke -").keys() >= everywhere | {"--if-unused-for", "--yes"}
    assert offered(cli, "keyctl owner add --").keys() >= everywhere | {"--parent"}
    assert offered(cli, "keyctl list --sta") == {
        "--status": "With status active, retiring, disabled, locked, expired or revoked."
    }


def test_an_option_is_offered_again_only_if_it_may_be_repeated(cli: Cli):
    again = offered(cli, "keyctl mint --name x --scope read --json --")

    assert "--scope" in again
    assert not again.keys() & {"--name", "--json"}


def test_where_no_argument_is_possible_the_command_s_own_options_are_offered(cli: Cli):
    own = offered(cli, "keyctl mint ")

    assert "--scope" in own
    assert "--store" not in own
    assert offered(cli, "keyctl mint -- ") == {}


def test_the_version_is_not_printed_instead(cli: Cli):
    assert "revoke" in offered(cli, "keyctl --version ")


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_actions_of_the_log_and_sections_of_the_report_are_offered(cli: Cli):
    assert offered(cli, "keyctl audit list --action key.rev") == {"key.revoked": "a key was revoked"}
    assert "owner" in offered(cli, "keyctl audit list --action ")
    assert offered(cli, "keyctl report --fail-on expiring,sta").keys() == {"expiring,stale"}
    assert offered(cli, "keyctl report --format pro").keys() == {"prometheus"}


def test_prefixes_are_offered_with_their_names(store: Cli):
    named, unnamed = mint(store, "--name", "ci: 100% 'x' [/b]"), mint(store, "--env", "test")

    assert offered(store, "keyctl revoke ") == {named: "ci: 100% 'x' [/b]", unnamed: ""}
    assert offered(store, "keyctl show kc_l") == {named: "ci: 100% 'x' [/b]"}
    assert offered(store, "keyctl audit list --key kc_t") == {unnamed: ""}
    assert offered(store, f"keyctl lock {named} ").keys() == {unnamed}
    assert offered(store, "keyctl usage kc_l").keys() == {named}
    assert named not in offered(store, f"keyctl show {named} ")


def test_only_live_keys_are_offered(store: Cli):
    live, revoked, locked, expired = (mint(store) for _ in range(4))
    store("revoke", revoked, "--yes", check=0)
    store("lock", locked, check=0)
    store("expire", expired, "--to", "1s", check=0)
    store.shell("sleep 1.1")

    assert offered(store, "keyctl rotate ").keys() == {live, locked}


def test_nothing_secret_is_offered(store: Cli):
    key = store("mint", check=0).out.strip()
    prefix = key.rpartition("_")[0]

    assert ask(store, "keyctl rotate ").out == f"values\n{prefix}\n"
    assert ask(store, f"keyctl rotate {key[:-3]}").out == "values\n"
    assert ask(store, f"keyctl verify {key} ").code == 0


def test_of_many_keys_some_are_offered_and_share_no_more_than_all_do(store: Cli):
    made = [line.rpartition("_")[0] for line in store("mint", "--count", "130", check=0).out.split()]
    most = min(made)[: len("kc_live_") + 1]

    all_of_them, narrower = offered(store, "keyctl revoke "), offered(store, f"keyctl revoke {most}")

    assert 100 <= len(all_of_them) <= 101
    assert {min(all_of_them), max(all_of_them)} == {min(made), max(made)}
    assert narrower.keys() == {prefix for prefix in made if prefix.startswith(most)}


def test_peppers_of_the_file_are_offered_by_their_ids(cli: Cli):
    cli("db", "pepper", "pepper.key", "--id", "old", check=0)
    cli("db", "pepper", "pepper.key", "--id", "new", check=0)

    assert offered(cli, "keyctl db hash --pepper-file pepper.key --pepper ") == {"new": "", "old": ""}
    assert offered(cli, "keyctl list --pepper ") == {}


def test_what_the_profile_names_is_offered(store: Cli):
    for line in ("mint --scope ", "scope KEY --add ", "scope KEY --remove ", "scope KEY --set ", "verify --scope "):
        assert offered(store, f"keyctl {line}").keys() == {"read", "write", "admin"}
    assert offered(store, "keyctl mint --scope wr") == {"write": "change everything the owner may change"}
    assert offered(store, "keyctl mint --env ").keys() == {"live", "test"}
    assert offered(store, "keyctl owner add acme --kind ").keys() == {"account"}
    assert offered(store, "keyctl mint --owner-kind a").keys() == {"account"}


def test_scopes_may_be_separated_by_commas_where_several_may_be_given(store: Cli):
    assert offered(store, "keyctl mint --scope read,").keys() == {"read,write", "read,admin"}
    assert offered(store, "keyctl mint --scope read,write --scope ").keys() == {"admin"}
    assert offered(store, "keyctl list --scope read,").keys() == {"read,write", "read,admin"}
    assert offered(store, "keyctl show kc,") == {}


def test_plans_are_offered(cli: Cli):
    text = (ROOT / "keyctl/profiles/presets/standard.toml").read_text()
    (cli.cwd / "planned.toml").write_text(f"{text}\n[plans.starter]\ndescription = 'small'\n[plans.pro]\n")
    cli("init", "--profile", "./planned.toml", "--argon2", "m=8,t=1,p=1", check=0)

    assert offered(cli, "keyctl owner add x --plan ") == {"starter": "small", "pro": ""}


def test_owners_are_offered_except_where_a_new_one_is_named(store: Cli):
    store("owner", "add", "acme", "--name", "Acme Ltd", check=0)
    store("owner", "add", "user:7", check=0)

    for line in ("mint --owner ", "owner show ", "owner add x --parent ", "list --owner ", "verify --resource-owner "):
        assert offered(store, f"keyctl {line}") == {"acme": "Acme Ltd", "user:7": ""}
    assert offered(store, "keyctl owner add ") == {}


def test_the_formats_of_a_delivery_are_offered(cli: Cli):
    assert list(offered(cli, "keyctl mint --format k")) == ["k8s-secret"]
    assert list(offered(cli, "keyctl rotate --format ")) == list(FORMATS)


def test_what_needs_no_store_is_offered_without_one(cli: Cli):
    assert list(offered(cli, "keyctl list --status ")) == [
        *("active", "retiring", "disabled", "locked", "expired", "revoked")
    ]
    assert offered(cli, "keyctl list --sort e").keys() == {"expires"}
    assert offered(cli, "keyctl list --format t").keys() == {"table", "tsv"}
    assert offered(cli, "keyctl list --columns prefix,na").keys() == {"prefix,name"}
    assert offered(cli, "keyctl owner list --columns na") == {}
    assert "standard" in offered(cli, "keyctl init --profile ")
    assert offered(cli, "keyctl profile show sta").keys() == {"standard"}


def test_stores_of_the_configuration_are_offered_without_their_passwords(cli: Cli):
    folder = cli.home / ".config/keyctl"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('[stores]\nprod = "postgresql://me:hunter2@db/keys"\ntest = "./test.db"\n')

    told = offered(cli, "keyctl --store ")

    assert told.keys() == {"prod", "test"}
    assert told["prod"] == "postgresql://me:***@db/keys"


@pytest.mark.parametrize(
    "line",
    [
        "mint --out ",
        "verify --key-file ",
        "--config ",
        "list --config ",
        "--store ",
        "init --profile ",
        "profile check ",
        "run -- ",
        "apply --out-dir ",
        "run --env test -- cat ",
    ],
)
def test_files_are_left_to_the_shell(cli: Cli, line: str):
    assert ask(cli, f"keyctl {line}").out.splitlines()[0] == "files"
    assert ask(cli, "keyctl list --status ").out.splitlines()[0] == "values"


def test_help_is_offered_commands_and_topics_and_completion_the_shells(cli: Cli):
    commands = below("")
    assert offered(cli, "keyctl help ex") == {
        "expire": commands["expire"],
        "export": commands["export"],
        "exit-codes": read_topic("exit-codes").summary,
    }
    assert offered(cli, "keyctl help audi") == {"audit": commands["audit"]}  # once, though it is a topic too
    assert set(offered(cli, "keyctl completion ")) == {"bash", "zsh", "fish"}


def test_every_metavar_is_known_here():
    def parameters(command: Any) -> Iterator[Any]:
        yield from command.params
        for child in getattr(command, "commands", {}).values():
            yield from parameters(child)

    named = {one.metavar.strip("[].") for one in parameters(typer.main.get_command(app)) if one.metavar}

    assert named <= VALUES.keys() | FILES | FREE


def test_control_characters_of_a_name_stay_out_of_the_answer(cli: Cli):
    path = cli.cwd / "keys.db"
    opened = new_store(path)
    (one,) = opened.mint()
    opened.store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update keys set name = ?", ("a\nkc_live_b\tc\x1b[2J\u202e" + "x" * 300,))

    (line,) = ask(cli, "keyctl show --store ./keys.db ").out.splitlines()[1:]

    assert line.startswith(f"{one.record.key.prefix}\ta\\nkc_live_b\\tc\\x1b[2J\\u202ex")
    assert len(line) < 150


# ── which store ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_the_store_on_the_line_is_asked_wherever_it_is(store: Cli):
    opened = new_store(store.cwd / "other.db")
    prefix = opened.mint()[0].record.key.prefix
    opened.store.close()
    (store.cwd / "c.toml").write_text('store = "named"\n[stores]\nnamed = "./other.db"\n')
    mint(store)

    for before, after in (
        ("--store ./other.db show ", ""),
        ("--store=./other.db show ", ""),
        ("show --store $PWD/other.db ", ""),
        ("show ", " --store ./other.db --json"),
        ("--config c.toml show ", ""),
        ("show ", " --config=c.toml"),
        ("--store './other.db' show ", ""),
    ):
        assert offered(store, f"keyctl {before}", after, env={"PWD": str(store.cwd)}).keys() == {prefix}, before
    assert offered(store, "keyctl show ", env={"KEYCTL_STORE": "./other.db"}).keys() == {prefix}


def test_a_store_that_is_not_there_is_not_made(cli: Cli):
    before = sorted(cli.home.rglob("*"))

    assert ask(cli, "keyctl revoke ").out == "values\n"
    assert ask(cli, "keyctl mint --scope ").out == "values\n"
    assert ask(cli, "keyctl revoke --store ./new.db ").out == "values\n"
    assert sorted(cli.home.rglob("*")) == before
    assert not any(cli.cwd.iterdir())


@pytest.mark.parametrize(
    "store",
    [
        "./empty.db",
        "./garbage.db",
        "./folder",
        "nobody",
        "mysql://x/y",
        "postgresql://127.0.0.1:1/x",
        "postgresql://[",
        "",
    ],
)
def test_out_of_a_broken_store_comes_nothing(cli: Cli, store: str):
    (cli.cwd / "empty.db").touch()
    (cli.cwd / "garbage.db").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 20)
    (cli.cwd / "folder").mkdir()

    for line in ("revoke ", "mint --scope ", "list --owner "):
        assert ask(cli, f"keyctl --store '{store}' {line}").out == "values\n"
        assert ask(cli, f"keyctl {line}", env={"KEYCTL_STORE": store}).out == "values\n"
    assert (cli.cwd / "empty.db").stat().st_size == 0


def test_a_broken_configuration_is_no_matter(cli: Cli):
    (cli.cwd / "c.toml").write_text("stores = [")

    assert ask(cli, "keyctl --config c.toml revoke ").out == "values\n"
    assert ask(cli, "keyctl --config c.toml --store ").out == "files\n"
    assert ask(cli, "keyctl --config none.toml revoke ").out == "values\n"
    assert offered(cli, "keyctl --config c.toml rev").keys() == {"revoke"}


def test_a_server_that_does_not_answer_is_given_up(cli: Cli):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/keys"

        # libpq itself waits for two seconds at least, and would then let us answer
        assert ask(cli, f"keyctl --store {url} revoke ", timeout=20).out == ""


@pytest.mark.sqlite
def test_a_store_that_is_being_written_is_given_up(store: Cli):
    path = store.cwd / "keys.db"
    new_store(path).store.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")

        assert ask(store, "keyctl --store ./keys.db revoke ", timeout=20).out in {"", "values\n"}


def test_a_pipe_in_place_of_a_store_is_given_up(cli: Cli):
    os.mkfifo(cli.cwd / "keys.db")

    assert ask(cli, "keyctl --store ./keys.db revoke ", timeout=20).out in {"", "values\n"}


def test_a_look_into_a_store_changes_nothing(tmp_path: Path):
    opened = new_store(tmp_path / "keys.db")
    [minted] = opened.mint(name="one")
    opened.store.close()
    before = (tmp_path / "keys.db").read_bytes()

    suggestions = Suggestions(StoreLocation.of_file(tmp_path / "keys.db"), wait=1)

    [(prefix, name)] = suggestions.live_keys("", now=opened.clock(), most=10)
    document = suggestions.profile_document()

    assert (prefix, name) == (minted.record.key.prefix, "one")
    assert json.loads(document)["name"] == "standard"
    assert (tmp_path / "keys.db").read_bytes() == before


# ── what it is asked by, and what it costs ───────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_bash_gets_what_follows_what_it_takes_for_the_word(store: Cli):
    store("owner", "add", "user:7", check=0)

    assert ask(store, "keyctl mint --env=li", shell="bash", word="li").out == "values\nlive\n"
    assert ask(store, "keyctl mint --env=", shell="bash", word="").out == "values\nlive\ntest\n"
    assert ask(store, "keyctl owner show user:", shell="bash", word="").out == "values\n7\n"
    assert ask(store, "keyctl owner show 'us", shell="bash", word="us").out == "values\nuser:7\n"


@pytest.mark.sqlite
def test_zsh_learns_which_colon_ends_the_value(store: Cli):
    store("owner", "add", "user:7", "--name", "a: b", check=0)

    assert ask(store, "keyctl owner show ", shell="zsh").out == "values\nuser\\:7:a: b\n"


@pytest.mark.parametrize(
    "line", ["", "keyctl", "keyctl '", 'keyctl "re', "keyctl \\", "keyctl --store", "keyctl -", "   ", "é ü"]
)
def test_no_line_is_too_odd(cli: Cli, line: str):
    for shell in (*SCRIPTS, "tcsh", ""):
        ask(cli, line, "'", shell=shell)


def test_an_answer_without_a_reader_is_no_error(cli: Cli):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", closefd=True) as broken:
        assert ask(cli, "keyctl ", stdout=broken.fileno()).code == 0

    variables = "_KEYCTL_COMPLETE=complete_bash _KEYCTL_LINE='keyctl '"
    closed = cli.shell(f"{variables} keyctl >&-")

    assert (closed.out, closed.err) == ("", "")


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "line", ["keyctl re", "keyctl mint --", "keyctl revoke ", "keyctl owner show ", "keyctl mint --scope "]
)
def test_a_tab_imports_nothing_slow(store: Cli, line: str):
    opened = new_store(store.cwd / "keys.db")
    opened.mint(name="one", owner="acme")
    opened.store.close()
    variables = {
        "_KEYCTL_COMPLETE": "complete_bash",
        "_KEYCTL_LINE": line,
        "KEYCTL_STORE": "./keys.db",
        "KEYCTL_DEBUG": "1",
    }

    imported = packages(imported_by("-m", "keyctl", env={**store.env, **variables}, cwd=store.cwd))

    assert "typer" in imported
    assert ("sqlite3" in imported) == line.endswith(" ")
    assert not imported & {"sqlalchemy", "alembic", "argon2", "rich", "psycopg", "cryptography"}


# ── the scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_are_those_that_make_completions_writes(cli: Cli, shell: str):
    assert SCRIPTS[shell].read_text() == script(shell)
    assert cli(env={"_KEYCTL_COMPLETE": f"source_{shell}"}, check=0).out == script(shell)


def test_for_another_shell_there_is_no_script(cli: Cli):
    result = cli(env={"_KEYCTL_COMPLETE": "source_tcsh"}, check=2)

    assert result.out == ""
    assert result.err == ('keyctl: error: no completion for the shell "tcsh"\nkeyctl: hint: known: bash, zsh, fish\n')


def need(*programs: str) -> None:
    """Skip the test where a shell is not installed; CI has them all."""
    for program in programs:
        there = Path(program).exists() if program.startswith("/") else shutil.which(program)
        if not there:
            if os.environ.get("CI"):
                pytest.fail(f"{program} is not installed, and CI must have it")
            pytest.skip(f"{program} is not installed")


Complete = Callable[[str], str]


@pytest.fixture(params=SCRIPTS)
def shell_name(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return str(request.param)


@pytest.fixture
def complete(shell_name: str, store: Cli) -> Iterator[Complete]:
    """A function that types a line and a TAB in a real shell, and returns the line that the shell makes of it."""
    if shell_name == "fish":
        yield lambda line: in_fish(store, line)
        return
    with contextlib.closing(Shell(shell_name, store.env, store.cwd, f"source {SCRIPTS[shell_name]}")) as shell:
        yield lambda line: shell.complete(line)[0]


def in_fish(cli: Cli, line: str, commands: str = f"source {SCRIPTS['fish']}") -> str:
    """Complete by the engine behind fish's TAB, which needs no terminal, and insert what is the only one."""
    values = [value.partition("\t")[0] for value in fish(cli, line, commands)]
    if len(values) != 1:
        return line
    (value,) = values
    kept = line[: line.rindex(" ") + 1]
    return f"{kept}{value} "


def fish(cli: Cli, line: str, commands: str) -> list[str]:
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"{commands}\ncomplete -C $argv[1]", line],
        env=cli.env, cwd=cli.cwd, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.sqlite
def test_a_shell_completes_commands_options_and_values(complete: Complete, store: Cli):
    live, _ = mint(store, "--name", "a: $(touch x) `touch y` 'z' \\ %"), mint(store, "--env", "test")
    store("owner", "add", "user:7", check=0)
    (store.cwd / "a file.txt").touch()

    assert complete("keyctl rev") == "keyctl revoke "
    assert complete("apikeyctl insp") == "apikeyctl inspect "
    assert complete("keyctl owner disa") == "keyctl owner disable "
    assert complete("keyctl revoke --if-u") == "keyctl revoke --if-unused-for "
    assert complete("keyctl revoke --no-c") == "keyctl revoke --no-color "
    assert complete("keyctl revoke kc_l") == f"keyctl revoke {live} "
    assert complete("keyctl mint --scope wr") == "keyctl mint --scope write "
    assert complete("keyctl mint --scope=wr") == "keyctl mint --scope=write "
    assert complete("keyctl mint --scope read,wr") == "keyctl mint --scope read,write "
    assert complete("keyctl owner show us") == "keyctl owner show user:7 "
    assert complete("keyctl owner show user:") == "keyctl owner show user:7 "
    assert complete("keyctl mint --owner=user:") == "keyctl mint --owner=user:7 "
    assert complete("KEYCTL_QUIET=1 keyctl unl") == "KEYCTL_QUIET=1 keyctl unlock "
    assert complete(f"{sys.executable.rpartition('/')[0]}/keyctl unl").endswith("/keyctl unlock ")
    assert complete("keyctl bogus ") == "keyctl bogus "
    assert complete("keyctl revoke --store ./none.db ") == "keyctl revoke --store ./none.db "
    assert not {"x", "y"} & {path.name for path in store.cwd.iterdir()}


@pytest.mark.sqlite
def test_a_shell_completes_files_where_a_file_is_meant(complete: Complete, store: Cli, shell_name: str):
    (store.cwd / "some file.txt").touch()
    (store.cwd / "keys.db").touch()
    written = "some file.txt" if shell_name == "fish" else "some\\ file.txt"  # fish quotes when it inserts

    assert complete("keyctl verify --key-file so") == f"keyctl verify --key-file {written} "
    assert complete("keyctl verify --key-file=so") == f"keyctl verify --key-file={written} "
    assert complete("keyctl --store ./k") == "keyctl --store ./keys.db "
    assert complete("keyctl init --profile stan") == "keyctl init --profile standard "
    assert complete("keyctl list --status so") == "keyctl list --status so"


@pytest.mark.sqlite
def test_a_shell_starts_keyctl_once_for_a_tab(shell_name: str, store: Cli):
    real = shutil.which("keyctl", path=store.env["PATH"])
    (store.cwd / "bin").mkdir()
    counting = store.cwd / "bin/keyctl"
    counting.write_text(f'#!/bin/sh\necho >> "{store.cwd}/starts"\nexec {real} "$@"\n')
    counting.chmod(0o755)
    store.env["PATH"] = f"{store.cwd}/bin:{store.env['PATH']}"

    if shell_name == "fish":
        in_fish(store, "keyctl re", f"source {SCRIPTS['fish']}; source {FOLDER / 'apikeyctl.fish'}")
    else:
        with contextlib.closing(Shell(shell_name, store.env, store.cwd, f"source {SCRIPTS[shell_name]}")) as shell:
            shell.complete("keyctl re")

    assert (store.cwd / "starts").read_text() == "\n"


@pytest.mark.sqlite
def test_bash_lists_what_each_one_is_and_inserts_it_bare(store: Cli):
    first, second = mint(store, "--name", "one"), mint(store, "--env", "test")

    with contextlib.closing(Shell("bash", store.env, store.cwd, f"source {SCRIPTS['bash']}")) as shell:
        line, shown = shell.complete("keyctl revoke kc_", tabs=2)

    assert line == "keyctl revoke kc_"
    assert [line.rstrip() for line in shown.splitlines()][-3:-1] == [f"{first}  one", second]


@pytest.mark.sqlite
def test_zsh_lists_what_each_one_is(store: Cli):
    need("zsh")
    first, second = mint(store, "--name", "one"), mint(store, "--env", "test")

    with contextlib.closing(Shell("zsh", store.env, store.cwd, f"source {SCRIPTS['zsh']}")) as shell:
        line, shown = shell.complete("keyctl revoke kc_")

    assert line == "keyctl revoke kc_"
    assert f"{first}  -- one" in shown
    assert second in shown


@pytest.mark.sqlite
def test_fish_lists_what_each_one_is(store: Cli):
    need("fish")
    first, second = mint(store, "--name", "one"), mint(store, "--env", "test")

    listed = fish(store, "keyctl revoke ", f"source {SCRIPTS['fish']}")

    assert sorted(listed) == sorted([f"{first}\tone", second])


@pytest.mark.sqlite
@pytest.mark.parametrize("name", ["keyctl", "apikeyctl"])
@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_finds_its_script_where_the_wheel_puts_it(store: Cli, shell: str, name: str):
    loader = "/usr/share/bash-completion/bash_completion"
    need(shell, *([loader] if shell == "bash" else []))
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in wheel["shared-data"].items():
        (store.cwd / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, store.cwd / target)
    share = store.cwd / "share"
    store.env["XDG_DATA_DIRS"] = f"{share}:/usr/share"

    if shell == "fish":
        done = subprocess.run(
            ["fish", "-c", "complete -C $argv[1]", f"{name} rev"],
            env=store.env, cwd=store.cwd, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout == "revoke\tRevoke keys permanently.\n"
        return
    commands = {"bash": f"source {loader}", "zsh": f"fpath=({share}/zsh/site-functions $fpath); compinit -u -D"}
    with contextlib.closing(Shell(shell, store.env, store.cwd, commands[shell])) as started:
        assert started.complete(f"{name} rev")[0] == f"{name} revoke "
        assert started.complete(f"{name} unl")[0] == f"{name} unlock "
