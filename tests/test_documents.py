"""The DOCUMENTS and the topics of `keyctl help` are true: commands in them are run, tables compared with the code."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import inspect
import os
import pkgutil
import pty
import re
import select
import stat
import struct
import subprocess
import termios
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import keyctl
import keyctl.cli
from keyctl import decision, verifier
from keyctl.cli.command_groups import LazyCommands
from keyctl.cli.commands import HELP_LINES, below
from keyctl.cli.global_options import global_options
from keyctl.decision import Code
from keyctl.errors import KeyctlError
from keyctl.http import admission
from keyctl.profiles.http import read_http
from keyctl.profiles.model import read_profile
from keyctl.profiles.reader import Table
from tests.runner import Cli

ROOT = Path(__file__).parent.parent
TOPICS = ROOT / "keyctl/help"
# In the order in which their commands are run.
FILES = [
    ROOT / "README.md",
    TOPICS / "tour.md",
    *(file for file in sorted(TOPICS.glob("*.md")) if file.stem != "tour"),
]
DOCUMENTS = "\n".join(file.read_text() for file in FILES)
HOME = "/home/jo"  # what the documents call the reader's home

# What differs from run to run. The documents show example values, and a test takes any other value of the same kind for
# them. A key, a prefix or an id stays what it is through the whole tour: an example is always the same real value.
VARIABLE = re.compile(
    r"""
    (?P<key>(?:kc|ak)_(?:live|test)_[0-9A-Za-z]{12}[_.][0-9A-Za-z]{32,})
    | (?P<prefix>(?:kc|ak)_(?:live|test)_[0-9A-Za-z]{12})
    | (?P<id>(?:key|own|store)_[0-9A-HJKMNP-TV-Z]{26})
    | (?P<signer>(?<![\w-])[\w-]{43}(?![\w-]))
    | (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z)
    | (?P<ago>\bnow\b|\b\d+\ (?:second|minute)s?\ ago\b|\b\d+[sm]\ ago\b)
    | (?P<actor>[\w.-]+@[\w.-]+)
    """,
    re.VERBOSE | re.ASCII,
)
LASTING = ("key", "prefix", "id", "signer")


# ── the tour ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_tour_shows_what_the_commands_print(cli: Cli):
    for name, text in tomls().items():
        (cli.cwd / name).write_text(text)
    real: dict[str, str] = {}
    steps = list(tour())

    with contextlib.closing(Shell(cli)) as shell:
        for i, (command, shown) in enumerate(steps):
            out, code = shell.run(VARIABLE.sub(lambda found: real.get(found[0], found[0]), command))
            out = out.replace(str(cli.home), HOME)
            assert pattern_of(out) == pattern_of(shown), f"$ {command}\n{out}"
            learn(real, shown, out)
            if not (i + 1 < len(steps) and steps[i + 1][0] == "echo $?"):
                assert code == 0, f"$ {command}\n{out}"


def test_the_tour_covers_the_life_of_a_key():
    used = {words[1] for command, _ in tour() if (words := command.split())[0] == "keyctl"}

    assert used >= {"mint", "verify", "list", "show", "rotate", "lock", "unlock", "revoke", "owner", "audit", "profile"}


class Shell:
    """One bash on a terminal of 80 columns, in which `keyctl` is the installed command."""

    LOOP = """while IFS= read -r -d '' -u "$1" command; do
        (exit "$code"); eval "$command"; code=$?; printf '\\036%s\\036' "$code"
    done"""

    def __init__(self, cli: Cli):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        given, self._commands = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "-c", f"code=0; {self.LOOP}", "bash", str(given)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=[given],
            env={name: value for name, value in cli.env.items() if name != "COLUMNS"} | {"TERM": "dumb"},
            cwd=cli.cwd,
            start_new_session=True,
        )
        os.close(slave)
        os.close(given)

    def run(self, command: str) -> tuple[str, int]:
        """Return what the terminal shows, and the exit code."""
        os.write(self._commands, command.encode() + b"\0")
        shown, end = b"", time.monotonic() + 60
        while shown.count(b"\x1e") < 2:
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"$ {command}\nstill running; the terminal shows\n{shown.decode()}"
            shown += os.read(self._master, 1 << 16)
        out, code, _ = shown.replace(b"\r\n", b"\n").decode().split("\x1e")
        return out, int(code)

    def close(self) -> None:
        os.close(self._commands)
        self._bash.wait(10)
        os.close(self._master)


def tour() -> Iterator[tuple[str, str]]:
    """Yield every command of the DOCUMENTS's console blocks with what is shown below it."""
    for block in fenced("console"):
        steps = re.split(r"^\$ ", block, flags=re.MULTILINE)
        assert steps[0] == "", f"a console block begins with a command:\n{block}"
        for step in steps[1:]:
            command, _, shown = step.partition("\n")
            yield command, shown


def pattern_of(text: str) -> str:
    """Return `text` with the kinds of what varies; columns may be wider where such a value is longer."""
    kinds = VARIABLE.sub(lambda found: f"<{found.lastgroup}>", text)
    return "\n".join(re.sub(r" {2,}|\t", "  ", line).strip() for line in kinds.splitlines())


def learn(real: dict[str, str], shown: str, out: str) -> None:
    """Keep which real values stand for the examples. Raises AssertionError if an example stands for two."""
    for example, found in zip(VARIABLE.finditer(shown), VARIABLE.finditer(out), strict=True):
        if example.lastgroup not in LASTING:
            continue
        for a, b in {example[0]: found[0], prefix_of(example[0]): prefix_of(found[0])}.items():
            assert real.setdefault(a, b) == b, f"the DOCUMENTS calls two things {a}"
    assert len(set(real.values())) == len(real), "the DOCUMENTS has two names for one thing"


def prefix_of(value: str) -> str:
    match = re.match(r"(?:kc|ak)_[a-z]+_[0-9A-Za-z]{12}", value)
    return match[0] if match else value


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_command_is_in_the_table_with_its_help():
    documented = {plain(name): text for name, text in table("Commands")}

    assert list(documented.items()) == list(HELP_LINES.items())


def test_every_command_that_is_mentioned_exists():
    groups = "|".join(name for name in below("") if below(name))
    mentioned = set(re.findall(rf"\bkeyctl ((?:(?:{groups}) )?[a-z]+(?:-[a-z]+)*)(?=\s|$)", "\n".join(code_spans())))

    assert mentioned
    assert mentioned <= {plain(name) for name, _ in table("Commands")}


def test_every_option_that_is_mentioned_exists():
    for part in [part for span in code_spans() for part in re.split(r"[|;]|&&|\$\(", span)]:
        words = part.split()
        if "keyctl" not in words or "-P" in words:
            continue
        words = words[words.index("keyctl") + 1 :]
        command: Any = LazyCommands().get(words[0]) if words else None
        if command is None:
            continue
        for word in words[1:]:
            command = getattr(command, "commands", {}).get(word, command)
        known = {name for option in command.params for name in option.opts}
        options = {word.partition("=")[0].rstrip(")") for word in words if word.startswith("-") and len(word) > 1}
        assert options <= known | {"--help"}, part


def test_every_global_option_is_in_the_table():
    documented = {re.findall(r"--[a-z-]+", cells[0])[0] for cells in table("Global options")}

    assert documented == {option.opts[0] for option in global_options()}


def test_every_exit_code_is_in_the_table():
    documented = {
        (int(number), name) for number, names, _ in table("Exit codes") for name in re.findall(r"[A-Z_]{2,}", names)
    }

    for module in pkgutil.iter_modules(keyctl.cli.__path__, "keyctl.cli."):
        importlib.import_module(module.name)
    errors = {(error.exit_code, error.code) for error in {KeyctlError, *descendants(KeyctlError)}}
    assert documented == errors | {(code.exit_code, str(code)) for code in Code}


def test_the_conditions_stand_in_the_order_of_the_code():
    documented = [(int(number), plain(code)) for number, _, code in table("When a key is accepted")]

    source = inspect.getsource(verifier.Verifier._prove) + inspect.getsource(decision.decide)
    codes = re.findall(r"\bCode\.([A-Z_]+)", source)
    assert [code for _, code in documented] == [code for code in codes if code != "VALID"]
    assert [number for number, _ in documented] == list(range(1, len(documented) + 1))
    assert codes[-1] == "VALID"


def test_what_a_request_must_pass_stands_in_the_order_of_the_code():
    documented = [(number, plain(code)) for number, _, code in table("What a request must pass first") if number]

    source = inspect.getsource(admission.admit).replace(
        "presented = _presented(", inspect.getsource(admission._presented)
    )
    codes = re.findall(r"\bCode\.([A-Z_]+)", source)
    assert [code for _, code in documented] == [code for code in codes if code != "VALID"]
    assert [int(number) for number, _ in documented] == list(range(1, len(documented) + 1))


def test_every_environment_variable_is_in_the_table():
    documented = {plain(name) for name, _ in table("Environment variables")}

    package = Path(keyctl.__file__).parent
    named = {name for file in package.rglob("*.py") for name in re.findall(r"\bKEYCTL_[A-Z_]+\b", file.read_text())}
    assert documented == named | {"NO_COLOR"}


def test_the_variables_of_make_are_in_the_table():
    documented = [plain(name) for name, _ in table("Variables of make")]

    [line] = re.findall(r"^KEY_VARIABLES := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert documented == [*line.split(), "ADMIN_TOKEN"]


@pytest.mark.sqlite
@pytest.mark.sqlite
def test_the_fields_of_json_objects_are_in_the_table(store: Cli):
    documented = {plain(name): re.findall(r"`(\w+)`", fields) for name, fields in table("JSON")}

    minted = store("mint", "--json", "--owner", "acme", "--create-owner", check=0).json
    (store.cwd / "key").write_text(minted["key"])
    prefix = minted["prefix"]
    objects = {
        "config show": store("config", "show", "--json").json,
        "profile check": store("profile", "check", "standard", "--json").json,
        "init": store("init", "--json").json,
        "db status": store("db", "status", "--json").json,
        "db upgrade": store("db", "upgrade", "--json").json,
        "verify": store("verify", "--key-file", "key", "--json").json,
        "inspect": store("inspect", "--key-file", "key", "--json").json,
        "list": store("list", "--json").json,
        "owner": store("owner", "show", "acme", "--json").json,
        "owner list": store("owner", "list", "--json").json,
        "event": store("audit", "list", "--json").json["events"][0],
        "audit list": store("audit", "list", "--json").json,
        "audit verify": store("audit", "verify", "--json").json,
        "key": store("show", prefix, "--json").json,
    }
    objects["profile list"] = store("profile", "list", "--json").json
    objects["profile apply"] = store("profile", "apply", "standard", "--json").json
    objects["db hash"] = store("db", "hash", "--json").json
    objects["bundle key"] = store("bundle", "key", "--create", "--json").json
    objects["bundle export"] = store("bundle", "export", "keys.bundle", "--json").json
    objects["bundle show"] = store("bundle", "show", "keys.bundle", "--json").json
    objects["admin-token"] = store("admin-token", "clear", "--json").json
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


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_key_of_a_profile_is_in_the_reference(monkeypatch: pytest.MonkeyPatch):
    documented = {plain(cells[0]) for cells in table("Every key of a profile")}

    asked: set[str] = set()
    for method in ("_typed", "raw"):
        monkeypatch.setattr(Table, method, recording(getattr(Table, method), asked))
    read_profile(tomllib.loads(tomls()["acme.toml"]), source="the DOCUMENTS", also=read_http)
    groups = {path for path in asked if any(other.startswith((f"{path}.", f"{path}[")) for other in asked)}
    assert documented == asked - groups


def test_the_example_profile_is_enough_to_bring_keys_up(cli: Cli):
    (cli.cwd / "acme.toml").write_text(tomls()["acme.toml"])

    cli("init", "--profile", "./acme.toml", "--argon2", "m=8,t=1,p=1", check=0)
    cli("owner", "add", "eu", "--plan", "pro", "--attr", "origins=https://a.example", check=0)
    key = cli("mint", "--owner", "eu", "--scope", "reports:write", check=0).out

    assert cli("verify", "--scope", "reports:write", stdin=key, check=0).out.startswith("VALID ak_live_")


def recording(method: Any, asked: set[str]) -> Any:
    def recorded(table: Table, key: str, *rest: Any) -> Any:
        if not table.path.endswith((".environments", ".descriptions", "http.identity", ".headers")):
            path = f"{table.path}.{key}" if table.path else key
            path = re.sub(r"(?<=plans|kinds)\.[\w-]+", ".NAME", path)
            path = re.sub(r"(?<=attributes)\.[\w-]+", ".NAME", path)
            path = re.sub(r"(?<=responses)\.\w+", ".CODE", path)
            path = re.sub(r"scopes\.list\.[\w-]+", "scopes.list.NAME", path)
            asked.add(re.sub(r"\[\d+\]", "[]", path))
        return method(table, key, *rest)

    return recorded


# ── applications ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_the_example_for_applications_works(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    [example] = fenced("python")
    cli("init", "--store", "./keys.db", "--argon2", "m=8,t=1,p=1", check=0)
    minted = cli("mint", "--store", "./keys.db", "--scope", "read", "--json", check=0).json
    monkeypatch.chdir(cli.cwd)
    names: dict[str, Any] = {}

    exec(example, names)

    assert names["judge"](minted["key"], "read") == (200, minted["prefix"])
    assert names["judge"](minted["key"], "write") == (403, "FORBIDDEN_SCOPE")
    assert names["judge"]("nonsense", "read") == (401, "INVALID_API_KEY")
    cli("revoke", minted["prefix"], "--store", "./keys.db", check=0)
    names["verifier"].invalidate()
    assert names["judge"](minted["key"], "read") == (401, "KEY_REVOKED")
    names["verifier"].close()


# ── where things are ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_store_is_where_the_readme_says(cli: Cli):
    cli("init", "--argon2", "m=8,t=1,p=1", check=0)

    places = re.findall(r"`~/(\S+?/keyctl\.db)` on Linux", DOCUMENTS)
    assert len(places) == 1
    store = cli.home / places[0]
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700


def test_the_configuration_file_is_where_the_readme_says(cli: Cli):
    [place] = re.findall(r"`~/(\S+?/config\.toml)` on Linux", DOCUMENTS)

    shown = cli("config", "show", check=0).out

    assert f"{cli.home}/{place} (not there)" in shown


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_links_lead_to_documents_and_headings(file: Path):
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", file.read_text()):
        linked = file.parent / target if target else file
        assert linked.is_file(), target
        assert not heading or heading in headings(linked.read_text()), f"{target}#{heading}"


def headings(text: str) -> set[str]:
    """Return the anchors that a forge makes of a document's headings."""
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in lines}


# ── reading the documents ────────────────────────────────────────────────────────────────────────────────────────────


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENTS, flags=re.MULTILINE | re.DOTALL)


def tomls() -> dict[str, str]:
    """Return the files that the DOCUMENTS shows, by the names in their first lines."""
    return {block.splitlines()[0].removeprefix("# "): block for block in fenced("toml")}


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, or below the table's own caption in bold."""
    [at] = re.findall(
        rf"^(?:#+ {re.escape(heading)}|\*\*{re.escape(heading)}\*\*)\n(.*)", DOCUMENTS, flags=re.MULTILINE | re.DOTALL
    )
    first = re.search(r"^\|.*?(?=\n\n|\Z)", at, flags=re.MULTILINE | re.DOTALL)
    assert first, f"no table below {heading}"
    rows = first[0].splitlines()[2:]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def plain(cell: str) -> str:
    return cell.replace("`", "")


def code_spans() -> list[str]:
    return re.findall(r"`([^`\n]+)`", DOCUMENTS) + [command for command, _ in tour()]


def descendants(kind: type[KeyctlError]) -> set[type[KeyctlError]]:
    return {below for child in kind.__subclasses__() for below in {child, *descendants(child)}}
