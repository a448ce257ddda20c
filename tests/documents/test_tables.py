"""Tables that the code knows are compared with the code."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import re
import sqlite3
from pathlib import Path

import pytest

import keyctl
import keyctl.cli
from keyctl import decision
from keyctl.actions import ACTIONS
from keyctl.cli import app, configuration
from keyctl.cli.commands import SECTIONS, below
from keyctl.cli.context import DEFAULT_WAIT
from keyctl.cli.doctor_checks import CHECKS
from keyctl.cli.global_options import global_options
from keyctl.decision import Code
from keyctl.errors import KeyctlError
from keyctl.http import admission
from keyctl.models import Status
from keyctl.profiles.builtin import preset_names
from keyctl.store import postgres
from keyctl.times import parse_when
from keyctl.verification import rate_limits, secret_check
from tests.documents.pages import ROOT, plain, table, topic
from tests.runner import Cli
from tests.samples import NOW


def test_the_commands_of_each_section_are_in_the_table():
    documented = {section: re.findall(r"`([a-z -]+)`", names) for section, names in table("Commands")}

    assert documented == {section: [name for name in names if not below(name)] for section, names in SECTIONS.items()}


def test_every_global_option_is_in_the_table():
    documented = {re.findall(r"--[a-z-]+", cells[0])[0]: cells[1] for cells in table("Global options")}

    assert documented == {option.opts[0]: option.help for option in global_options()}


def test_every_status_is_in_the_topic_in_the_order_of_precedence():
    [sentence] = re.findall(r"status of a key is the first.*?`active`", topic("json").read_text(), re.DOTALL)

    assert re.findall("`([a-z]+)`", sentence) == [str(status) for status in Status]


def test_the_messages_that_the_readme_explains_are_printed(cli: Cli):
    explained = [cells[0].strip('"') for cells in table("When something is wrong") if cells[0].startswith('"')]
    cli("init", "--argon2", "m=8,t=1,p=1", check=0)

    with contextlib.closing(sqlite3.connect(cli.home / ".local/share/keyctl/keyctl.db")) as other:
        other.execute("begin immediate")
        busy = cli("mint", "--wait", "0", check=5).err
    cli("admin-token", "set", stdin="twelve letters", check=0)
    missing = cli("mint", check=7).err
    bug = inspect.getsource(app)

    for message, printed in zip(explained, [busy, missing, bug], strict=True):
        assert re.search(".*".join(map(re.escape, message.split("…"))), printed), f"{message}\n{printed}"


def test_every_time_in_the_table_can_be_given():
    written = [span for cells in table("Times") for span in re.findall("`([^`]+)`", cells[0])]

    read = {text: parse_when(text, now=NOW) for text in written}

    assert read["never"] is None
    assert all(moment > NOW for moment in read.values() if moment)
    assert {"1y", "1d12h", "90 days", "2026-12-31"} <= set(read)


def test_every_check_of_doctor_is_in_the_table():
    assert [plain(cells[0]) for cells in table("Checks")] == list(CHECKS)


def test_every_exit_code_of_a_command_is_in_the_table():
    documented = {
        (int(number), name)
        for number, names, _ in table("Exit codes of any command")
        for name in re.findall(r"[A-Z_]{2,}", names)
    }

    for module in pkgutil.iter_modules(keyctl.cli.__path__, "keyctl.cli."):
        importlib.import_module(module.name)
    errors = {(error.exit_code, error.code) for error in {KeyctlError, *descendants(KeyctlError)}}
    assert documented == errors - {(code.exit_code, str(code)) for code in Code}


def test_every_code_of_a_verification_is_in_the_table_with_its_exit_code_and_http_status():
    documented = [
        (plain(code), int(number), int(status)) for number, code, _, status in table("Exit codes of a verification")
    ]

    assert documented == [(str(code), code.exit_code, code.http_status) for code in Code]


def test_the_conditions_are_in_the_order_of_the_code():
    documented = [(int(number), plain(code)) for number, _, code in table("When a key is accepted")]

    source = inspect.getsource(secret_check.SecretCheck._look_up) + inspect.getsource(decision.decide)
    codes = re.findall(r"\bCode\.([A-Z_]+)", source)
    assert codes[-1] == "VALID"
    last = {*re.findall(r"\bCode\.([A-Z_]+)", inspect.getsource(rate_limits.count))}
    assert [code for _, code in documented] == [*(code for code in codes if code != "VALID"), *last]
    assert [number for number, _ in documented] == list(range(1, len(documented) + 1))


def test_what_a_request_must_pass_is_in_the_order_of_the_code():
    documented = [(number, plain(code)) for number, _, code in table("What a request must pass first") if number]

    source = inspect.getsource(admission.admit).replace(
        "presented = _presented(", inspect.getsource(admission._presented)
    )
    codes = re.findall(r"\bCode\.([A-Z_]+)", source)
    assert [code for _, code in documented] == [code for code in codes if code != "VALID"]
    assert [int(number) for number, _ in documented] == list(range(1, len(documented) + 1))


def test_every_action_of_the_log_is_in_the_table():
    documented = [name for _, names in table("Actions") for name in re.findall(r"`([a-z_.]+)`", names)]

    assert sorted(documented) == sorted(ACTIONS)


def test_every_environment_variable_is_in_the_table():
    documented = {one for names, _ in table("Environment variables") for one in plain(names).split(", ")}

    package = Path(keyctl.__file__).parent
    named = {name for file in package.rglob("*.py") for name in re.findall(r"\bKEYCTL_[A-Z_]+\b", file.read_text())}
    assert documented == named | {"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "PAGER"}


def test_every_setting_is_in_the_table_with_its_default():
    documented = {plain(name): default for name, _, default in table("Settings")}

    assert tuple(documented) == configuration.SETTINGS
    assert documented["wait"].startswith(f"`{DEFAULT_WAIT:g}s`")


def test_the_time_limits_of_postgresql_are_in_the_table():
    documented = [int(time.removesuffix(" s")) for _, time in table("Time limits")]

    assert documented == [
        postgres.CONNECT_TIMEOUT,
        DEFAULT_WAIT,
        postgres.ANSWER_TIMEOUT,
        postgres.STATEMENT_TIMEOUT,
        postgres.IDLE_TIMEOUT,
        postgres.UNACKNOWLEDGED_TIMEOUT,
    ]


def test_the_number_of_tables_that_a_dba_grants_is_that_of_the_schema(cli: Cli):
    [number] = re.findall(r"on its (\w+) tables", topic("postgres").read_text())

    ddl = cli("db", "upgrade", "--sql", "--store", "postgresql:///keys", check=0).out
    assert ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"].index(number) == len(
        re.findall("^CREATE TABLE ", ddl, re.MULTILINE)
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_where_the_table_says(cli: Cli, shell: str):
    places = {name: plain(file) for name, file, _ in table("Shell completion")}

    cli("completion", shell, "--install", check=0)

    assert Path(places[shell].replace("~", str(cli.home), 1)).is_file()


def test_each_built_in_profile_of_a_platform_has_a_table():
    headings = re.findall(r"^## (.*)", topic("platforms").read_text(), re.MULTILINE)

    assert {name.lower() for name in headings[:-1]} == set(preset_names()) - {"standard"}


def test_the_variables_of_make_are_in_the_table():
    documented = [plain(name).partition("=")[0] for name, _ in table("Variables of make")]

    [line] = re.findall(r"^KEY_VARIABLES := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert documented == [*line.split(), "ADMIN_TOKEN"]


@pytest.mark.sqlite
def test_the_fields_of_json_objects_are_in_the_table(store: Cli):
    documented = {plain(name): re.findall(r"`(\w+)`", fields) for name, fields in table("JSON")}

    minted = store("mint", "--json", "--owner", "acme", "--create-owner", check=0).json
    (store.cwd / "key").write_text(minted["key"])
    prefix = minted["prefix"]
    objects = {
        "config show": store("config", "show", "--json").json,
        "config list": store("config", "list", "--json").json,
        "config use": store("config", "use", "--default", "--json").json,
        "profile check": store("profile", "check", "standard", "--json").json,
        "init": store("init", "--json").json,
        "db status": store("db", "status", "--json").json,
        "db upgrade": store("db", "upgrade", "--json").json,
        "verify": store("verify", "--key-file", "key", "--json").json,
        "inspect": store("inspect", "--key-file", "key", "--json").json,
        "limits": store("limits", prefix, "--limiter", "redis://127.0.0.1:1", "--json").json,
        "list": store("list", "--json").json,
        "prune": store("prune", "--older-than", "365d", "--json").json,
        "list --tree": store("list", "--tree", "--json").json,
        "owner": store("owner", "show", "acme", "--json").json,
        "owner list": store("owner", "list", "--json").json,
        "event": store("audit", "list", "--json").json["events"][0],
        "audit list": store("audit", "list", "--json").json,
        "audit verify": store("audit", "verify", "--json").json,
        "key": store("show", prefix, "--json").json,
        "usage": store("usage", prefix, "--json").json,
        "report": store("report", "--json").json,
        "usage --denied-over": store("usage", "--denied-over", "1", "--json").json,
        "usage import": store("usage", "import", "-", "--json", stdin="").json,
        "usage recorders": store("usage", "recorders", "--json").json,
    }
    objects["usage KEY"] = objects["usage"]["keys"][0]
    objects["profile list"] = store("profile", "list", "--json").json
    objects["profile apply"] = store("profile", "apply", "standard", "--json").json
    objects["db hash"] = store("db", "hash", "--json").json
    objects["db pepper"] = store("db", "pepper", "peppers", "--json").json
    objects["db roles"] = store("db", "roles", "--json").json
    objects["db backup"] = store("db", "backup", "backup.db", "--json").json
    objects["db restore"] = store("db", "restore", "backup.db", "--json").json
    objects["db copy"] = store("db", "copy", "--to", "./new.db", "--json").json
    objects["bundle key"] = store("bundle", "key", "--create", "--json").json
    (store.cwd / "keys.toml").write_text('[[owners]]\nhandle = "new"')
    objects["apply"] = store("apply", "keys.toml", "--yes", "--json").json
    objects["apply STEP"] = objects["apply"]["steps"][0]
    objects["audit checkpoint"] = store("audit", "checkpoint", "--json").json
    objects["bundle export"] = store("bundle", "export", "keys.bundle", "--json").json
    objects["bundle show"] = store("bundle", "show", "keys.bundle", "--json").json
    objects["admin-token"] = store("admin-token", "clear", "--json").json
    objects["doctor"] = store("doctor", "--json").json
    objects["help"] = store("help", "--json").json
    objects["help NAME"] = store("help", "audit", "--json").json
    objects["scan"] = store("scan", "key", "--json").json
    objects["scan --rules"] = store("scan", "--rules", "regex", "--json").json
    objects["version"] = store("version", "--json").json
    objects["completion"] = store("completion", "bash", "--json").json
    objects["completion --install"] = store("completion", "bash", "--install", "--json").json
    assert {name: list(fields) for name, fields in objects.items()} == documented
    # What the text below the table says
    key = documented["key"]
    assert list(minted) == [*key, "key"]
    assert list(store("mint", "--json", "--out", "new").json) == [*key, "key", "out"]
    assert list(store("mint", "--json", "--count", "2").json) == ["keys"]
    rotated = store("rotate", prefix, "--json").json
    assert list(rotated) == [*key, "key", "previous"]
    assert list(rotated["previous"]) == ["id", "prefix", "expires_at", "status"]
    trust = objects["bundle key"]["public_key"]
    offline = store("verify", "--bundle", "keys.bundle", "--trust", trust, "--key-file", "key", "--json").json
    assert list(offline) == documented["verify"]
    assert [*offline["bundle"], "verifies", "keys", "owners"] == documented["bundle show"]
    error = store("show", "nobody", "--json", check=3)
    assert error.out == ""
    assert error.err.startswith('{"error":{"code":"NOT_FOUND","message":')


def descendants(kind: type[KeyctlError]) -> set[type[KeyctlError]]:
    return {below for child in kind.__subclasses__() for below in {child, *descendants(child)}}
