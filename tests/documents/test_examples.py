"""The examples that are not commands work as they are shown, and files are where the pages say."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.documents.pages import PAGES, README, ROOT, fenced, files, name_of, topic
from tests.runner import Cli

CHEAP = ("--argon2", "m=8,t=1,p=1")
DOCUMENTS = "\n".join(page.read_text() for page in PAGES)


@pytest.fixture
def in_its_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """keyctl with the store ./keys.db that the examples for applications open."""
    monkeypatch.chdir(cli.cwd)
    cli.env["KEYCTL_STORE"] = "./keys.db"
    cli("init", *CHEAP, check=0)
    return cli


def test_the_example_of_the_readme_works(in_its_folder: Cli):
    cli = in_its_folder
    read, other = (cli("mint", "--json", *scopes, check=0).json for scopes in (["--scope", "read"], []))
    names = run_example(README)

    assert names["status"](read["key"]) == 200
    assert names["status"](other["key"]) == 403
    assert names["status"]("nonsense") == 401
    cli("revoke", read["prefix"], check=0)
    names["verifier"].invalidate()
    assert names["status"](read["key"]) == 401
    names["verifier"].close()


def test_the_example_of_the_readme_answers_503_while_the_store_is_away(in_its_folder: Cli):
    cli = in_its_folder
    minted = cli("mint", "--json", "--scope", "read", check=0).json
    names = run_example(README)

    (cli.cwd / "keys.db").rename(cli.cwd / "away.db")
    names["verifier"].invalidate()

    assert names["status"](minted["key"]) == 503
    names["verifier"].close()


@pytest.mark.parametrize("page", [README, topic("applications"), topic("limits")], ids=name_of)
def test_an_example_in_python_has_no_type_errors(page: Path, tmp_path: Path):
    [example] = fenced(page, "python")
    (tmp_path / "example.py").write_text(example)

    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(tmp_path / "example.py")]
    done = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_example_for_applications_works(in_its_folder: Cli):
    cli = in_its_folder
    minted = cli("mint", "--scope", "read", "--json", check=0).json
    names = run_example(topic("applications"))

    def check(key: str, scope: str) -> tuple[int, str]:
        status, body = names["check"](key, scope)
        return status, body if status == 200 else json.loads(body)["error"]["code"]

    assert check(minted["key"], "read") == (200, minted["prefix"])
    assert check(minted["key"], "write") == (403, "FORBIDDEN_SCOPE")
    assert check("nonsense", "read") == (401, "INVALID_API_KEY")
    cli("revoke", minted["prefix"], check=0)
    names["verifier"].invalidate()
    assert check(minted["key"], "read") == (401, "KEY_REVOKED")
    names["verifier"].close()


def test_the_examples_for_testing_pass_and_have_no_type_errors(tmp_path: Path):
    modules = {block.splitlines()[0].removeprefix("# "): block for block in fenced(topic("testing"), "python")}
    for name, text in modules.items():
        (tmp_path / name).write_text(text)

    for command in (
        ["pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), *sorted(modules)],
        ["mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *sorted(modules)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stdout + done.stderr
    assert set(modules) == {"app.py", "test_app.py", "test_app_unittest.py", "test_vexa.py"}


def test_the_example_profile_is_enough_to_bring_keys_up(cli: Cli):
    (cli.cwd / "acme.toml").write_text(files()["acme.toml"])

    cli("init", "--profile", "./acme.toml", *CHEAP, check=0)
    cli("owner", "add", "eu", "--plan", "pro", "--attr", "origins=https://a.example", check=0)
    key = cli("mint", "--owner", "eu", "--scope", "reports:write", check=0).out

    assert cli("verify", "--scope", "reports:write", stdin=key, check=0).out.startswith("VALID ak_live_")


def test_the_store_is_where_the_pages_say(cli: Cli):
    cli("init", *CHEAP, check=0)

    places = re.findall(r"`~/(\S+?/keyctl\.db)` on Linux", DOCUMENTS)
    assert len(places) == 1
    store = cli.home / places[0]
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700


def test_the_configuration_file_is_where_the_pages_say(cli: Cli):
    [place] = re.findall(r"`~/(\S+?/config\.toml)` on Linux", DOCUMENTS)

    shown = cli("config", "show", check=0).out

    assert f"{cli.home}/{place} (does not exist)" in shown


def test_the_newest_bundle_seen_is_kept_where_the_pages_say(cli: Cli):
    [place] = re.findall(r"`~/(\S+?/bundles\.json)` on Linux", DOCUMENTS)
    cli("init", *CHEAP, check=0)
    key = cli("mint", check=0).out
    signer = cli("bundle", "key", "--create", check=0).out.strip()
    cli("bundle", "export", "keys.bundle", check=0)

    cli("verify", "--bundle", "keys.bundle", "--trust", signer, stdin=key, check=0)

    assert (cli.home / place).is_file()


def run_example(page: Path) -> dict[str, Any]:
    """Run the page's Python; return its names."""
    names: dict[str, Any] = {}
    exec("\n".join(fenced(page, "python")), names)
    return names
