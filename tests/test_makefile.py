"""The newcomer's commands. Most run with a stand-in for Python, which writes down how it is called."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.runner import BASE_ENV, Cli

ROOT = Path(__file__).parent.parent
VARIABLES = ["NAME", "OWNER", "OWNER_KIND", "ENV", "SCOPES", "EXPIRES", "PROFILE", "STORE", "OUT"]
OPTIONS = ["name", "owner", "owner-kind", "env", "scope", "expires", "profile", "store", "out"]

# Python, pip and uv in one: writes down its arguments and environment, makes an environment of copies of itself if it
# is asked for one, and answers `mint` with a line.
STAND_IN = f"""#!{sys.executable} -I
import json, os, pathlib, sys, time
with open({{log!r}}, "a") as log:
    log.write(json.dumps({{{{"args": sys.argv[1:], "env": dict(os.environ)}}}}) + "\\n")
if sys.argv[1:4] == ["-m", "venv", "--clear"]:
    bin = pathlib.Path(sys.argv[4], "bin")
    bin.mkdir(parents=True, exist_ok=True)
    time.sleep(0.2)
    for name in ("python", "uv"):
        (bin / name).write_text(pathlib.Path(sys.argv[0]).read_text())
        (bin / name).chmod(0o755)
    (bin.parent / "pyvenv.cfg").touch()
    print("chatter")
if "mint" in sys.argv:
    print("the-key")
"""


@dataclass
class Tree:
    """A copy of what a clone would hold, with an environment that is a stand-in."""

    path: Path
    log: Path

    def make(self, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        env = self.env | (env or {})
        return subprocess.run(["make", *args], cwd=self.path, env=env, capture_output=True, text=True, check=False)

    @property
    def env(self) -> dict[str, str]:
        return BASE_ENV | {"HOME": str(self.path.parent / "home")}

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line)["args"] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def last_env(self) -> dict[str, str]:
        return json.loads(self.log.read_text().splitlines()[-1])["env"]

    def fit_out(self, python: str) -> None:
        """Give it an environment that is ready, with this script as its Python."""
        folder = self.path / ".venv/bin"
        folder.mkdir(parents=True)
        (folder / "python").write_text(python)
        (folder / "python").chmod(0o755)
        (folder.parent / ".ready").write_text(f"{self.path}\n{folder / 'python'}\n")


@pytest.fixture
def bare(tmp_path: Path) -> Tree:
    """As cloned: no environment yet. `python3` is the stand-in."""
    tree = Tree(tmp_path.resolve() / "tree", tmp_path / "calls.jsonl")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = tree.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    (tmp_path / "python").write_text(STAND_IN.format(log=str(tree.log)))
    (tmp_path / "python").chmod(0o755)
    return tree


@pytest.fixture
def tree(bare: Tree) -> Tree:
    """Installed, with the stand-in."""
    bare.fit_out(STAND_IN.format(log=str(bare.log)))
    return bare


@pytest.fixture
def real(bare: Tree, cli: Cli) -> Tree:
    """Installed, with the Python that runs the tests. Its HOME is that of `cli`."""
    bare.fit_out(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    return bare


# --- the arguments ---


@pytest.mark.parametrize("silence", [["-s"], []])
def test_provision_token_is_one_process_and_prints_one_line(tree: Tree, silence: list[str]):
    done = tree.make(*silence, "provision-token")

    assert (done.returncode, done.stdout, done.stderr) == (0, "the-key\n", "")
    assert tree.calls == [["-P", "-m", "keyctl", "mint", "--init"]]


@pytest.mark.parametrize(
    "value",
    [
        "laptop",
        "",
        " a  b ",
        "a$(shell touch pwned)\"; touch pwned'",
        "`touch pwned`",
        "$(touch pwned)",
        "$${HOME} $HOME $(HOME) %",
        "'; touch pwned; '",
        "a\ntouch pwned\n\tb",
        "$(error pwned)",
        "$(eval pwned := $(shell touch pwned))",
        "-n",
        "--help",
        "a # b \\",
        "é [bold] \x1b[31m \\n",
    ],
)
def test_a_variable_is_inert_and_arrives_unchanged(tree: Tree, value: str):
    done = tree.make("-s", "provision-token", *(f"{name}={value}" for name in VARIABLES))

    assert (done.returncode, done.stdout, done.stderr) == (0, "the-key\n", "")
    # make itself strips the space before a value
    expected = {f"--{option}={value.lstrip(' ')}" for option in OPTIONS}
    (call,) = tree.calls
    assert set(call[4:]) == expected | {"--init", "--create-owner"}
    assert not set(VARIABLES) & set(tree.last_env)
    assert not list(tree.path.rglob("pwned"))


def test_the_environment_is_no_command_line(tree: Tree):
    env = dict.fromkeys(VARIABLES, "from the environment")
    env |= {f"KEYCTL_MAKE_{name}": "smuggled" for name in VARIABLES}

    done = tree.make("-s", "-e", "provision-token", env=env)

    assert (done.returncode, done.stdout) == (0, "the-key\n")
    assert tree.calls == [["-P", "-m", "keyctl", "mint", "--init"]]
    assert not set(env) & set(tree.last_env)


@pytest.mark.parametrize("token", ["dev-admin-token", "$(shell touch pwned)`touch pwned`'\";"])
def test_the_admin_token_goes_by_the_environment_and_never_by_an_argument(tree: Tree, token: str):
    done = tree.make("-s", "provision-token", f"ADMIN_TOKEN={token}")

    assert (done.returncode, done.stdout) == (0, "the-key\n")
    assert tree.calls == [["-P", "-m", "keyctl", "mint", "--init"]]
    assert tree.last_env["KEYCTL_ADMIN_TOKEN"] == token
    assert "ADMIN_TOKEN" not in tree.last_env
    assert not list(tree.path.rglob("pwned"))


def test_an_unknown_variable_is_refused(tree: Tree):
    done = tree.make("-s", "provision-token", "SCOPE=calls:read")

    assert done.returncode == 2
    assert done.stdout == ""
    assert "SCOPE" in done.stderr
    assert "SCOPES" in done.stderr
    assert tree.calls == []


def test_every_target_is_explained(tree: Tree):
    makefile = (tree.path / "Makefile").read_text()
    targets = " ".join(re.findall(r"^\.PHONY: (\w.*)$", makefile, re.MULTILINE)).split()

    done = tree.make("help")

    assert [line.split()[0] for line in done.stdout.split("\n\n")[0].splitlines()] == targets
    assert "all" in targets
    assert all(name in done.stdout for name in VARIABLES)


# --- the environment ---


def test_the_first_run_installs_and_the_second_does_not(bare: Tree):
    first = bare.make("-s", "provision-token", f"PY={bare.path.parent}/python")
    installed = len(bare.calls)
    second = bare.make("-s", "provision-token", f"PY={bare.path.parent}/python")

    assert (first.returncode, first.stdout) == (0, "the-key\n")
    assert "installing" in first.stderr
    assert (second.returncode, second.stdout, second.stderr) == (0, "the-key\n", "")
    assert bare.calls[installed:] == [["-P", "-m", "keyctl", "mint", "--init"]]


def test_of_two_first_runs_at_once_one_installs(bare: Tree):
    command = ["make", "-s", "provision-token", f"PY={bare.path.parent}/python"]
    runs = [subprocess.Popen(command, cwd=bare.path, env=bare.env, stdout=-1, stderr=-1, text=True) for _ in range(2)]

    outputs = [run.communicate()[0] for run in runs]

    assert outputs == ["the-key\n", "the-key\n"]
    assert sum("venv" in call for call in bare.calls) == 1


def test_a_changed_lock_is_installed(tree: Tree):
    os.utime(tree.path / ".venv/.ready", (0, 0))

    done = tree.make("-s", "provision-token")

    assert "installing" in done.stderr
    assert not any("venv" in call for call in tree.calls)


def test_a_tree_that_was_moved_is_installed_anew(tree: Tree):
    moved = Tree(tree.path.rename(tree.path.with_name("moved")), tree.log)
    (moved.path / ".venv/pyvenv.cfg").touch()

    done = moved.make("-s", "provision-token", f"PY={moved.path.parent}/python")

    assert (done.returncode, done.stdout) == (0, "the-key\n")
    assert ["-m", "venv", "--clear", ".venv"] in tree.calls


def test_a_folder_that_is_no_environment_is_never_cleared(bare: Tree):
    (bare.path / "precious").mkdir()

    done = bare.make("provision-token", "VENV=precious", f"PY={bare.path.parent}/python")

    assert done.returncode == 2
    assert "precious exists and is no virtual environment" in done.stderr
    assert bare.calls == []


def test_without_a_python_that_can_make_environments_it_says_what_to_install(bare: Tree):
    done = bare.make("-s", "provision-token", "PY=")

    assert done.returncode == 2
    assert done.stdout == ""
    assert "apt-get install python3-venv" in done.stderr


# --- with keyctl itself ---


def test_a_newcomer_gets_a_key_and_then_another(real: Tree, cli: Cli):
    first = real.make("-s", "provision-token")
    second = real.make("-s", "provision-token", "NAME=a$(shell touch pwned)\"; touch pwned'")

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert re.fullmatch(r"\S+\n", first.stdout)
    assert re.fullmatch(r"\S+\n", second.stdout)
    assert first.stdout != second.stdout
    cli("verify", stdin=first.stdout, check=0)
    cli("verify", stdin=second.stdout, check=0)
    names = {key["name"] for key in cli("list", "--json", check=0).json["keys"]}
    assert "a$(shell touch pwned)\"; touch pwned'" in names


def test_make_alone_prints_the_key_on_stdout_and_the_rest_on_stderr(real: Tree, cli: Cli):
    rules = (ROOT / "keyctl/profiles/presets/standard.toml").read_text()
    (real.path / "mine.toml").write_text(f'{rules}\n[[services]]\nname = "gateway"\nurl = "http://localhost:8056"\n')

    done = real.make("PROFILE=mine.toml")

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\S+\n", done.stdout)
    cli("verify", stdin=done.stdout, check=0)
    assert str(cli.home) in done.stderr
    assert "gateway: http://localhost:8056" in done.stderr.splitlines()
    assert "keyctl verify" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_out_writes_the_key_to_a_private_file_instead(real: Tree, cli: Cli):
    done = real.make("-s", "provision-token", "OUT=key.txt", "OWNER=acme")

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    file = real.path / "key.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cli("verify", "--key-file", file, check=0)
    assert cli("list", "--owner", "acme", "--json", check=0).json["keys"]


def test_what_keyctl_refuses_leaves_stdout_empty(real: Tree):
    done = real.make("-s", "provision-token", "EXPIRES=tomorrow")

    assert done.returncode == 2
    assert done.stdout == ""
    assert "tomorrow" in done.stderr


def test_the_development_default_of_the_admin_token_mints_and_warns(real: Tree):
    done = real.make("-s", "provision-token", "PROFILE=vexa", "ADMIN_TOKEN=dev-admin-token")

    assert done.returncode == 0
    assert re.fullmatch(r"vxa_bot_\w+\n", done.stdout)
    assert "the admin token is the development default" in done.stderr


def test_a_protected_store_mints_for_the_right_admin_token_alone(real: Tree, cli: Cli):
    cli("init", check=0)
    cli("admin-token", "set", stdin="a long enough token", check=0)

    refused = real.make("-s", "provision-token", "ADMIN_TOKEN=another long token")
    minted = real.make("-s", "provision-token", "ADMIN_TOKEN=a long enough token")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "the admin token is wrong" in refused.stderr
    assert (minted.returncode, minted.stdout[:8]) == (0, "kc_live_")
