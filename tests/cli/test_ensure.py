"""`mint --ensure`: one key, however often a bring-up runs, from however many processes, and wherever it is killed."""

from __future__ import annotations

import os
import signal
import stat
import time
from dataclasses import replace
from typing import Any

import dotenv
import pytest

from tests.cli.helpers import ago, changes_nothing, mint, refused, set_key, show, verify
from tests.cli.test_delivery import names, systemd  # noqa: F401 - the fixture
from tests.cli.test_signals import interrupted
from tests.runner import Cli
from tests.samples import FORMATS

FILE = ["mint", "--ensure", "--name", "api", "--out", "key"]
ENV = ["mint", "--ensure", "--name", "api", "--format", "dotenv", "--as", "API_KEY", "--out", ".env"]


def keys(cli: Cli, **wanted: Any) -> list[dict[str, Any]]:
    found = cli("list", "--all", "--json", check=0).json["keys"]
    return [key for key in found if all(key[name] == value for name, value in wanted.items())]


def active(cli: Cli) -> dict[str, Any]:
    [key] = keys(cli, status="active")
    return key


def held(cli: Cli) -> str:
    """Return the key in the file, which must be valid."""
    text = (cli.cwd / "key").read_text()
    assert verify(cli, text) == "VALID"
    return text


# ── once, and again ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--format", "json"],
        ["--format", "env", "--as", "A"],
        ["--format", "dotenv", "--as", "A"],
        ["--format", "k8s-secret", "--as", "prod/pay"],
        ["--format", "systemd-credential"],
    ],
    ids=lambda options: "-".join(options) or "raw",
)
def test_a_second_run_changes_nothing_in_any_format(store: Cli, options: list[str]):
    first = store(*FILE, *options, check=0)
    file = store.cwd / "key"
    written, before = file.read_bytes(), file.stat().st_mtime_ns
    prefix = active(store)["prefix"]

    again = changes_nothing(store, *FILE, *options, says=f"{prefix} is active, and key holds it: nothing was changed")

    assert (first.out, first.err) == ("", f"keyctl: minted {prefix}, written to key\n")
    assert again.out == ""
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (written, before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.sqlite
def test_a_second_run_reads_an_encrypted_credential(systemd: Cli):  # noqa: F811
    options = [*FILE, "--format", "systemd-credential", "--encrypt"]
    systemd(*options, check=0)

    changes_nothing(systemd, *options, says="nothing was changed")
    (systemd.cwd / "key").write_text("other")
    refused(systemd, *options, code=5, says="the credential key cannot be decrypted")


def test_json_says_what_was_done(store: Cli):
    options = [*FILE, "--json"]

    first, second = (store(*options, check=0).json for _ in range(2))
    (store.cwd / "key").unlink()
    third = store(*options, "--replace", check=0).json

    assert [one["outcome"] for one in (first, second, third)] == ["minted", "unchanged", "replaced"]
    assert (first["key"], first["out"], first["prefix"]) == (None, "key", second["prefix"])
    assert third["replaces"] == first["id"]
    store("audit", "verify", check=0)


@pytest.mark.sqlite
def test_keys_of_another_name_owner_or_environment_are_other_keys(store: Cli):
    store(*FILE, check=0)
    mint(store, "--name", "API")
    mint(store, "--name", "api-2")

    for more in (["--owner", "acme", "--create-owner"], ["--env", "test"]):
        store("mint", "--ensure", "--name", "api", "--out", more[1], *more, check=0)
        changes_nothing(store, "mint", "--ensure", "--name", "api", "--out", more[1], *more, says="nothing was changed")
    changes_nothing(store, *FILE, says="nothing was changed")

    assert sorted((key["owner"] or "", key["environment"]) for key in keys(store, name="api")) == [
        ("", "live"),
        ("", "test"),
        ("acme", "live"),
    ]


@pytest.mark.sqlite
def test_a_name_is_no_pattern(store: Cli):
    mint(store, "--name", "abc")

    store("mint", "--ensure", "--name", "a*", "--out", "key", check=0)

    changes_nothing(store, "mint", "--ensure", "--name", "a*", "--out", "key", says="nothing was changed")
    assert len(keys(store)) == 2


@pytest.mark.sqlite
def test_what_is_not_as_requested_is_warned_about(store: Cli):
    store(*FILE, "--scope", "read", check=0)

    same = store(*FILE, "--scope", "read", check=0)
    other = store(*FILE, "--scope", "write", "--expires", "30d", "--allow-ip", "192.0.2.7", "--meta", "a=b", check=0)

    assert "warning" not in same.err
    assert (
        "is not as requested: its scopes are read, not write; its networks are none, not 192.0.2.7/32; "
        "its metadata a is not set, not b; it never expires\n"
    ) in other.err


# ── a key that the file lacks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_file_that_lacks_the_key_is_refused_and_left_alone(store: Cli):
    store(*FILE, check=0)
    file, text, prefix = store.cwd / "key", held(store).strip(), active(store)["prefix"]
    revoked = mint(store, "--name", "api")
    store("revoke", revoked["prefix"], check=0)
    standard = FORMATS["standard"]
    forged = standard.format(replace(standard.parse(text), secret="0" * 32))  # with the right prefix and checksum

    for content in (None, "", "something else\n", f"{text}{text}", revoked["key"], text[:-1], forged):
        file.unlink() if content is None else file.write_text(content)
        says = [f'{prefix} is named "api", and key does not hold it', "add --replace to rotate it"]
        refused(store, *FILE, code=4, says=says)
        assert (file.read_text() if file.exists() else None) == content


def test_replace_rotates_with_the_grace_period_of_the_profile(store: Cli):
    store(*FILE, check=0)
    old_text, old = held(store), active(store)
    (store.cwd / "key").write_text("something else")

    result = store(*FILE, "--replace", check=0)

    new = active(store)
    assert held(store).startswith(new["prefix"])
    assert new["replaces"] == old["id"]
    assert verify(store, old_text) == "VALID"
    assert show(store, old["prefix"])["status"] == "retiring"
    assert result.err == f"keyctl: minted {new['prefix']} in place of {old['prefix']}, written to key\n"
    changes_nothing(store, *FILE, "--replace", says="nothing was changed")


@pytest.mark.sqlite
def test_a_key_that_was_rotated_elsewhere_counts_as_lacking(store: Cli):
    store(*FILE, check=0)
    new = store("rotate", active(store)["prefix"], "--json", check=0).json

    refused(store, *FILE, code=4, says=f'{new["prefix"]} is named "api", and key does not hold it')


@pytest.mark.sqlite
@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_key_that_has_ended_is_minted_again_in_its_place(store: Cli, end: str):
    store(*FILE, check=0)
    old = active(store)["prefix"]
    store("revoke", old, check=0) if end == "revoked" else set_key(store, old, expires_at=ago(seconds=1))

    store(*FILE, check=0)

    assert held(store).startswith(active(store)["prefix"])
    assert show(store, old)["status"] == end


@pytest.mark.sqlite
def test_a_file_with_something_else_is_replaced_only_by_force(store: Cli):
    (store.cwd / "key").write_text("precious")

    refused(store, *FILE, code=4, says=["key already exists", "--force"])
    store(*FILE, "--force", check=0)

    held(store)


@pytest.mark.sqlite
def test_a_locked_key_is_not_replaced_by_another(store: Cli):
    store(*FILE, check=0)
    prefix = active(store)["prefix"]
    store("lock", prefix, check=0)

    for more in ([], ["--replace"]):
        refused(
            store, *FILE, *more, code=4, says=[f'{prefix} is named "api", and is locked', f"keyctl unlock {prefix}"]
        )


@pytest.mark.sqlite
def test_of_several_keys_of_the_name_the_file_holds_one_or_all_are_named(store: Cli):
    first, second = mint(store, "--name", "api"), mint(store, "--name", "api")
    (store.cwd / "key").write_text(second["key"])

    changes_nothing(store, *FILE, says=f"{second['prefix']} is active")
    (store.cwd / "key").unlink()
    for more in ([], ["--replace"]):
        says = ['2 active keys are named "api"', first["prefix"], second["prefix"], "keyctl revoke kc_live_"]
        refused(store, *FILE, *more, code=4, says=says)


@pytest.mark.sqlite
def test_a_dotenv_file_keeps_its_other_lines(store: Cli):
    file = store.cwd / ".env"
    file.write_text("PORT=80\nexport API_KEY='' # made by keyctl\n")
    file.chmod(0o600)

    store(*ENV, check=0)
    changes_nothing(store, *ENV, says="nothing was changed")
    file.write_text(file.read_text().replace("kc_live_", "kc_test_"))
    refused(store, *ENV, code=4, says=".env does not hold it")
    store(*ENV, "--replace", check=0)

    found = dotenv.dotenv_values(file)
    assert (found["PORT"], verify(store, found["API_KEY"] or "")) == ("80", "VALID")
    assert file.read_text() == f"PORT=80\nexport API_KEY='{found['API_KEY']}' # made by keyctl\n"


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_what_cannot_be_ensured_is_refused(store: Cli):
    (store.cwd / "folder").mkdir()
    (store.cwd / "link").symlink_to("elsewhere")
    os.mkfifo(store.cwd / "pipe")
    for options, code, says in [
        (["--out", "key"], 2, ["--ensure requires --name", "add --name TEXT"]),
        (["--name", "a"], 2, ["--ensure requires a file", "add --out FILE"]),
        (["--name", "a", "--out", "-"], 2, "--ensure requires a file"),
        (["--name", "a", "--exec", "cat"], 2, "--ensure requires a file"),
        (["--name", "a", "--out", "k", "--count", "2"], 2, "--ensure cannot be used with --count"),
        (["--name", "a", "--out", "k", "--format", "github-env", "--as", "A"], 2, "each job has a new file"),
        (["--name", "a\nb", "--out", "k"], 2, "U+000A"),
        (["--name", "a", "--out", "k", "--owner", "nobody"], 3, 'no owner "nobody"'),
        (["--name", "a", "--out", "k", "--scope", "raed"], 2, 'unknown scope "raed"'),
        (["--name", "a", "--out", "folder"], 4, "is a folder"),
        (["--name", "a", "--out", "link"], 4, "is a link, a device or a pipe"),
        (["--name", "a", "--out", "pipe"], 4, "is a link, a device or a pipe"),
        (["--name", "a", "--out", "missing/k"], 21, "cannot write missing/k"),
        (["--name", "a", "--out", "key/k"], 21, "cannot write key/k"),
    ]:
        refused(store, "mint", "--ensure", *options, code=code, says=says)
    refused(store, "mint", "--replace", "--out", "k", code=2, says="--replace requires --ensure")
    assert names(store.cwd) == ["folder", "link", "pipe"]


@pytest.mark.sqlite
def test_a_dry_run_says_what_would_be_done(store: Cli):
    changes_nothing(store, *FILE, "--dry-run", says="would mint a key: nothing was changed")
    store(*FILE, check=0)
    changes_nothing(store, *FILE, "--dry-run", says="is active, and key holds it")
    (store.cwd / "key").unlink()
    says = f"would mint a key in place of {active(store)['prefix']}: nothing was changed"
    changes_nothing(store, *FILE, "--replace", "--dry-run", says=says)
    assert names(store.cwd) == []


@pytest.mark.sqlite
def test_a_file_that_another_run_may_be_writing_now_is_no_warning(store: Cli):
    temporary = store.cwd / ".key.0123456789abcdef"
    temporary.write_text("")
    ensure = ("mint", "--ensure", "--name", "api", "--out", "key")

    now = store(*ensure, check=0)
    os.utime(temporary, (time.time() - 3600,) * 2)
    later = store(*ensure, check=0)

    assert "warning" not in now.err
    assert f"keyctl: warning: {temporary.name} is from a command that was killed" in later.err


# ── at once ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_five_at_once_leave_one_key(store: Cli):
    command = [
        "mint",
        "--ensure",
        "--name",
        "api",
        "--owner",
        "acme",
        "--create-owner",
        "--out",
        "key",
        "--wait",
        "60s",
    ]

    processes = [store.spawn(*command) for _ in range(5)]
    results = [process.wait().expect(0) for process in processes]

    assert held(store).startswith(active(store)["prefix"])
    assert len(keys(store)) == 1
    assert sorted("minted" in result.err for result in results) == [False] * 4 + [True]
    assert names(store.cwd) == ["key"]
    store("audit", "verify", check=0)


def test_five_replacements_at_once_leave_one_successor(store: Cli):
    store(*ENV, check=0)
    old = active(store)
    (store.cwd / ".env").write_text("A=1\n")

    processes = [store.spawn(*ENV, "--replace", "--wait", "60s") for _ in range(5)]
    for process in processes:
        process.wait().expect(0)

    text = dotenv.dotenv_values(store.cwd / ".env")["API_KEY"] or ""
    assert verify(store, text) == "VALID"
    assert text.startswith(active(store)["prefix"])
    assert [key["replaces"] for key in keys(store, status="active")] == [old["id"]]
    assert len(keys(store)) == 2
    store("audit", "verify", check=0)


@pytest.mark.sqlite
def test_five_at_once_without_a_store_make_both_once(cli: Cli):
    processes = [cli.spawn(*FILE, "--wait", "60s") for _ in range(5)]
    for process in processes:
        process.wait().expect(0)

    assert len(keys(cli)) == 1
    held(cli)


# ── killed ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SOON = ["--wait", "1s"]  # how long a key that may still be delivered is watched


@pytest.mark.sqlite  # tests/test_crashes.py has both databases
@pytest.mark.parametrize("when", ["before link", "after link"])
def test_a_run_that_was_killed_around_its_delivery_is_not_doubled(store: Cli, when: str):
    result = interrupted(store, when, signal.SIGKILL, *FILE)
    assert result.code == -signal.SIGKILL
    [lost] = keys(store)
    assert (lost["status"], lost["delivered_at"]) == ("active", None)

    store(*FILE, *SOON, check=0)

    key = active(store)
    assert held(store).startswith(key["prefix"])
    assert key["delivered_at"] is not None
    assert (key["prefix"] == lost["prefix"]) == (when == "after link")
    if when == "before link":
        assert show(store, lost["prefix"])["revoked_reason"] == "undelivered"
    changes_nothing(store, *FILE, says="nothing was changed")
    store("audit", "verify", check=0)


@pytest.mark.sqlite
@pytest.mark.parametrize("when", ["before replace", "after replace"])
def test_a_replacement_that_was_killed_around_its_delivery_is_finished_or_repeated(store: Cli, when: str):
    store(*ENV, check=0)
    old = active(store)
    (store.cwd / ".env").write_text("A=1\n")
    assert interrupted(store, when, signal.SIGKILL, *ENV, "--replace").code == -signal.SIGKILL

    store(*ENV, "--replace", *SOON, check=0)

    key = active(store)
    assert (dotenv.dotenv_values(store.cwd / ".env")["API_KEY"] or "").startswith(key["prefix"])
    assert (key["replaces"], show(store, old["prefix"])["status"]) == (old["id"], "retiring")
    assert len(keys(store, status="revoked")) == (when == "before replace")
    changes_nothing(store, *ENV, says="nothing was changed")
    store("audit", "verify", check=0)
