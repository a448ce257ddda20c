"""`mint` and `rotate` deliver to where keys live: files of several formats, and commands."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import dotenv
import pytest

from tests.cli.helpers import changes_nothing, dump, full_disk, mint, refused, show, verify
from tests.runner import Cli

KEY = re.compile(r"kc_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}")
TEXT = KEY.pattern.replace("(live|test)", "(?:live|test)")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def value(file: Path, name: str = "API_KEY") -> str:
    """Return a value of a .env file, as python-dotenv reads it."""
    found = dotenv.dotenv_values(file, interpolate=False)[name]
    assert found
    return found


def only_undelivered(store: Cli) -> bool:
    keys = store("list", "--json", check=0).json["keys"]
    return bool(keys) and {(key["status"], key["revoked_reason"]) for key in keys} == {("revoked", "undelivered")}


# ── what is printed, and where ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_off_a_terminal_stderr_names_the_prefix_and_the_file(store: Cli):
    one = store("mint", "--out", "one.key", check=0)
    prefix = (store.cwd / "one.key").read_text().rpartition("_")[0]
    rotated = store("rotate", prefix, "--out", "new.key", check=0)
    new = (store.cwd / "new.key").read_text().rpartition("_")[0]

    assert (one.out, one.err) == ("", f"keyctl: minted {prefix}, written to one.key\n")
    assert (rotated.out, rotated.err) == ("", f"keyctl: minted {new} in place of {prefix}, written to new.key\n")
    assert store("mint", "--out", "quiet.key", "--quiet", check=0).err == ""
    assert store("mint", "--out", "json.key", "--json", check=0).err == ""


@pytest.mark.sqlite
def test_out_with_a_dash_is_standard_output(store: Cli):
    minted = store("mint", "--out", "-", check=0)
    rotated = store("rotate", minted.out.rpartition("_")[0], "--out", "-", "--json", check=0)

    assert KEY.fullmatch(minted.out.strip())
    assert verify(store, rotated.json["key"]) == "VALID"
    assert names(store.cwd) == []


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (["--no-newline"], TEXT),
        (["--format", "raw"], f"{TEXT}\n"),
        (["--format", "env", "--as", "A"], f"export A='{TEXT}'\n"),
        (["--format", "dotenv", "--as", "A"], f"A={TEXT}\n"),
        (["--format", "systemd-credential"], TEXT),
        (["--format", "json"], r'\{"id":.*,"key":"' + TEXT + r'"\}\n'),
        (["--format", "json", "--count", "2"], r'\{"keys":\[\{.*\},\{.*\}\]\}\n'),
        (["--format", "k8s-secret", "--as", "pay"], f'(?s:.*)  "API_KEY": "{TEXT}"\n'),
    ],
)
def test_a_format_goes_to_stdout_or_to_a_private_file_alike(store: Cli, options: list[str], pattern: str):
    printed = store("mint", *options, check=0)
    store("mint", *options, "--out", "file", check=0)

    file = store.cwd / "file"
    assert re.fullmatch(pattern, printed.out), printed.out
    assert re.fullmatch(pattern, file.read_text()), file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [verify(store, found[0]) for found in KEY.finditer(printed.out + file.read_text())].count("VALID") >= 2


@pytest.mark.sqlite
def test_json_describes_a_key_that_went_elsewhere(store: Cli):
    key = mint(store, "--format", "dotenv", "--as", "A", "--out", ".env")
    new = store("rotate", key["prefix"], "--json", "--exec", "cat >/dev/null", check=0).json

    assert (key["key"], key["out"]) == (None, ".env")
    assert (new["key"], new["exec"], new["previous"]["prefix"]) == (None, "cat >/dev/null", key["prefix"])


CONTRADICTIONS = [
    ("--format yaml", ['unknown format "yaml"', "known: raw, json, env, dotenv"]),
    ("--format dotenv", ["requires the name of a variable", "--as API_KEY"]),
    ("--format dotenv --as 1A", ['"1A" cannot be the name of a variable', "--as API_KEY"]),
    ("--format k8s-secret --as Pay", ['"Pay" cannot be a Secret', "--as production/payments:API_KEY"]),
    ("--as A", ["--as cannot be used with --format raw", "--format dotenv"]),
    ("--format env --as A --no-newline", "--no-newline cannot be used with --format env"),
    ("--encrypt --out x", ["--encrypt requires a file", "--format systemd-credential --out FILE"]),
    ("--encrypt --format systemd-credential", "--encrypt requires a file"),
    ("--exec cat --out x", "--exec cannot be used with --out"),
    ("--exec cat --out -", "--exec cannot be used with --out"),
    ("--exec-timeout 5s", ["--exec-timeout requires --exec", "--exec COMMAND"]),
    ("--exec cat --exec-timeout 0", "greater than zero"),
    ("--exec cat --exec-timeout soon", "is not a duration"),
    ("--format github-env --as A", ["needs a file, and GITHUB_ENV is not set", "--out FILE"]),
    ("--format github-env --as A --out -", ["needs a file", "--out FILE"]),
    ("--format github-env --as GITHUB_X --out x", "GitHub does not let a job set GITHUB_X"),
]


@pytest.mark.sqlite
@pytest.mark.parametrize("command", ["mint", "rotate kc_live_000000000000"])
def test_what_contradicts_itself_delivers_nothing(store: Cli, command: str):
    before = dump(store)
    for options, says in CONTRADICTIONS[:: 1 if command == "mint" else 5]:
        result = store(*command.split(), *options.split(), check=2)
        for words in [says] if isinstance(says, str) else says:
            assert words in result.err
    for options in ("--format dotenv --as A", "--format github-env --as A --out x"):
        result = store(*command.split(), *options.split(), "--json", check=2)
        assert f"--json cannot be used with {options[:13]}" in result.err
    assert dump(store) == before
    assert names(store.cwd) == []


@pytest.mark.sqlite
def test_many_keys_are_refused_where_there_is_place_for_one(store: Cli):
    for options in ("--format dotenv --as A", "--exec cat", "--no-newline", "--format k8s-secret --as p"):
        refused(store, "mint", "--count", "2", *options.split(), code=2, says="takes one key, not several")


# ── .env ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

ENV = '# of the api\nPORT=80\nexport API_KEY = "old" # by hand\nTEXT="a\nAPI_KEY=inside\n"\nAPI_KEY=older\nLAST=1'


@pytest.mark.sqlite
def test_a_line_of_a_dotenv_file_is_replaced_in_place_and_its_mode_is_kept(store: Cli):
    file = store.cwd / ".env"
    file.write_text(ENV)
    file.chmod(0o640)

    result = store("mint", "--format", "dotenv", "--as", "API_KEY", "--out", ".env", check=0)

    text = value(file)
    assert verify(store, text) == "VALID"
    assert file.read_text() == ENV.replace("older", text).replace('"old"', f'"{text}"')
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert names(store.cwd) == [".env"]
    assert "keyctl: warning: .env has the mode 0640: other users may read the key\n" in result.err


@pytest.mark.sqlite
def test_a_dotenv_file_keeps_its_owner_and_attributes_as_far_as_the_user_may(store: Cli):
    file = store.cwd / ".env"
    file.write_text("A=1\n")
    if os.geteuid() == 0:
        os.chown(file, 12345, 23456)
    before = file.stat()

    store("mint", "--format", "dotenv", "--as", "API_KEY", "--out", ".env", check=0)

    after = file.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert after.st_ino != before.st_ino


@pytest.mark.sqlite
def test_rotation_replaces_the_line_with_the_successor(store: Cli):
    store("mint", "--format", "dotenv", "--as", "API_KEY", "--out", ".env", check=0)
    old = value(store.cwd / ".env")

    store("rotate", old.rpartition("_")[0], "--format", "dotenv", "--as", "API_KEY", "--out", ".env", check=0)

    new = value(store.cwd / ".env")
    assert new != old
    assert (store.cwd / ".env").read_text() == f"API_KEY={new}\n"
    assert verify(store, new) == "VALID"


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda path: path.symlink_to("elsewhere"), 4, "is a link, a device or a pipe"),
        (lambda path: path.mkdir(), 4, "is a folder"),
        (os.mkfifo, 4, "is a link, a device or a pipe"),
        (lambda path: path.write_bytes("A=1\n".encode("utf-16")), 4, "NUL byte"),
        (lambda path: path.write_bytes(b"A=1\n" * 300_000), 4, "more than 1,048,576 bytes"),
    ],
    ids=["link", "folder", "pipe", "utf-16", "large"],
)
def test_what_is_no_dotenv_file_is_refused_and_left_alone(store: Cli, make, code: int, says: str):
    path = store.cwd / ".env"
    make(path)
    before = path.lstat()

    refused(store, "mint", "--format", "dotenv", "--as", "API_KEY", "--out", ".env", code=code, says=says)

    assert path.lstat().st_ino == before.st_ino
    assert names(store.cwd) == [".env"]


@pytest.mark.sqlite
def test_two_variables_delivered_at_once_are_both_in_the_file(store: Cli):
    (store.cwd / ".env").write_text("LAST=1")
    options = ["--format", "dotenv", "--out", ".env", "--wait", "60s"]

    processes = [store.spawn("mint", *options, "--as", f"KEY_{i}") for i in range(4)]
    for process in processes:
        process.wait().expect(0)

    found = dotenv.dotenv_values(store.cwd / ".env")
    assert found.pop("LAST") == "1"
    assert sorted(found) == [f"KEY_{i}" for i in range(4)]
    assert {verify(store, text) for text in found.values()} == {"VALID"}
    assert names(store.cwd) == [".env"]


@pytest.mark.sqlite
def test_a_disk_that_is_full_leaves_the_file_as_it_was_and_no_key(store: Cli):
    file = store.cwd / ".env"
    file.write_text("A=" + "x" * ((1 << 20) - 20) + "\n")
    content, before = file.read_bytes(), dump(store)

    # A limit on the size of a file stands for a full disk; the store's files are smaller.
    result = store.shell("ulimit -f 1024; exec keyctl mint --format dotenv --as B --out .env", check=21)

    assert "cannot write .env: File too large" in result.err
    assert file.read_bytes() == content
    assert dump(store) == before
    assert names(store.cwd) == [".env"]


@pytest.mark.sqlite
def test_a_folder_that_cannot_be_written_to_gets_no_key(store: Cli):
    options = ["--format", "dotenv", "--as", "A", "--out", "missing/.env"]

    refused(store, "mint", *options, code=21, says=["cannot write missing/.env: No such file", "no key was minted"])


@pytest.mark.sqlite
def test_a_script_that_delivers_into_a_dotenv_file_ends_where_the_mint_fails(cli: Cli):
    (cli.cwd / ".env").write_text("API_KEY=old\n")
    line = "keyctl mint --name ci --format dotenv --as API_KEY --out .env; echo continued"

    result = cli.shell(line, env={"KEYCTL_STORE": "./missing.db"}, check=5)

    assert result.out == ""
    assert (cli.cwd / ".env").read_text() == "API_KEY=old\n"


# ── GitHub Actions ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_on_github_the_key_is_masked_before_it_is_in_the_file_of_the_job(store: Cli):
    (store.cwd / "env_file").write_text("OTHER=1")

    result = store("mint", "--format", "github-env", "--as", "API_KEY", env={"GITHUB_ENV": "env_file"}, check=0)

    text = result.out.strip().removeprefix("::add-mask::")
    assert result.out == f"::add-mask::{text}\n"
    assert verify(store, text) == "VALID"
    assert (store.cwd / "env_file").read_text() == f"OTHER=1\nAPI_KEY={text}\n"
    assert text not in result.err


@pytest.mark.sqlite
def test_a_key_that_cannot_be_masked_is_not_delivered(store: Cli):
    with full_disk() as descriptor:
        result = store("mint", "--format", "github-env", "--as", "A", "--out", "file", stdout=descriptor, check=21)

    assert names(store.cwd) == []
    assert only_undelivered(store)
    assert not KEY.search(result.err)


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def systemd(store: Cli) -> Cli:
    """A store, with a `systemd-creds` that uses the key for machines without one: the real one needs root."""
    folder = store.home / "bin"
    folder.mkdir()
    script = '#!/bin/sh\ncommand=$1; shift\n[ $command = encrypt ] && set -- --with-key=tpm2-absent "$@"\n'
    (folder / "systemd-creds").write_text(f'{script}exec /usr/bin/systemd-creds "$command" "$@"\n')
    (folder / "systemd-creds").chmod(0o755)
    store.env["PATH"] = f"{folder}:{store.env['PATH']}"
    return store


def decrypted(cli: Cli, file: str, name: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-creds", "decrypt", f"--name={name}", file, "-"]
    return subprocess.run(command, cwd=cli.cwd, env=cli.env, capture_output=True, text=True, check=False)


@pytest.mark.sqlite
def test_systemd_decrypts_a_credential_under_its_name_alone(systemd: Cli):
    options = ["--format", "systemd-credential", "--encrypt"]
    systemd("mint", *options, "--out", "api-key", check=0)
    systemd("mint", *options, "--out", "other", "--as", "db-key", check=0)

    texts = [decrypted(systemd, "api-key", "api-key").stdout, decrypted(systemd, "other", "db-key").stdout]
    assert [verify(systemd, text) for text in texts] == ["VALID", "VALID"]
    assert not KEY.search((systemd.cwd / "api-key").read_text())
    assert stat.S_IMODE((systemd.cwd / "api-key").stat().st_mode) == 0o600
    assert decrypted(systemd, "other", "other").returncode != 0
    assert names(systemd.cwd) == ["api-key", "other"]


@pytest.mark.sqlite
def test_a_credential_that_cannot_be_encrypted_is_not_delivered(systemd: Cli):
    (systemd.home / "bin/systemd-creds").write_text("#!/bin/sh\necho no TPM >&2; exit 3\n")

    result = systemd("mint", "--format", "systemd-credential", "--encrypt", "--out", "api-key", check=21)

    assert "was revoked: systemd-creds ended with exit code 3: no TPM" in result.err
    assert only_undelivered(systemd)
    assert names(systemd.cwd) == []


@pytest.mark.sqlite
def test_without_systemd_creds_nothing_is_minted(store: Cli):
    options = ["--format", "systemd-credential", "--encrypt", "--out", "api-key"]

    refused(store, "mint", *options, env={"PATH": str(store.home)}, code=21, says="systemd-creds is not installed")


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_command_gets_the_key_on_its_standard_input_and_nowhere_else(store: Cli):
    look = "cat > got; env > env; tr '\\0' ' ' < /proc/$$/cmdline > args; echo done; echo here >&2"

    result = store("mint", "--name", "vault", "--exec", look, check=0)

    text = (store.cwd / "got").read_text()
    assert KEY.fullmatch(text.removesuffix("\n"))
    assert verify(store, text) == "VALID"
    assert result.out == ""
    assert sorted(result.err.splitlines()) == sorted(
        ["done", "here", f"keyctl: minted {text.rpartition('_')[0]}, passed to the command"]
    )
    for file in ("env", "args"):
        assert not KEY.search((store.cwd / file).read_text())


@pytest.mark.sqlite
def test_a_command_does_not_inherit_the_admin_token(store: Cli):
    token = "a long enough token"
    store("admin-token", "set", stdin=token, check=0)

    store("mint", "--exec", "cat >/dev/null; env > env", env={"KEYCTL_ADMIN_TOKEN": token}, check=0)

    assert token not in (store.cwd / "env").read_text()


@pytest.mark.sqlite
def test_what_a_command_prints_of_the_key_is_masked(store: Cli):
    script = 'read -r key; printf "%s%s" x "$key"; sleep 0.1; printf "\\n%s" "$key" >&2; printf "\\033[2J"'

    result = store("mint", "--exec", script, check=0)

    assert "x***" in result.err
    assert "\n***" in result.err
    assert not KEY.search(result.err + result.out)
    assert "\x1b" not in result.err


@pytest.mark.sqlite
def test_a_command_gets_what_the_format_says(store: Cli):
    store("mint", "--no-newline", "--exec", "cat > raw", check=0)
    store("mint", "--format", "k8s-secret", "--as", "prod/pay", "--exec", "cat > secret", check=0)

    assert KEY.fullmatch((store.cwd / "raw").read_text())
    assert '\n  namespace: "prod"\n' in (store.cwd / "secret").read_text()


def test_a_key_that_a_command_did_not_take_is_revoked(store: Cli):
    for command, says in [
        ("cat >/dev/null; exit 7", "the command ended with exit code 7"),
        ("cat >/dev/null; kill -9 $$", "the command was ended by signal 9"),
        ("no-such-command", "the command ended with exit code 127"),
        ("true", "the command did not read the key from its standard input"),
        ("head -c 10 >/dev/null", "the command did not read the key from its standard input"),
        ("cat; exit 1", "the command ended with exit code 1"),
    ]:
        result = store("mint", "--exec", command, check=21)
        assert f"could not be delivered and was revoked: {says}" in result.err
        assert result.out == ""
        assert not KEY.search(result.err)
    assert only_undelivered(store)


@pytest.mark.sqlite
def test_a_rotation_by_a_command_that_fails_leaves_the_old_key_as_it_was(store: Cli):
    old = mint(store)
    before = show(store, old["prefix"])

    store("rotate", old["prefix"], "--grace", "0", "--exec", "cat >/dev/null; exit 1", check=21)

    assert show(store, old["prefix"]) == before
    assert verify(store, old["key"]) == "VALID"


def ended(pids: list[int]) -> bool:
    """Wait until none of these processes is left; a zombie that its parent did not yet collect counts as none."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        states = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            for pid in pids
            if Path(f"/proc/{pid}").exists()
        ]
        if set(states) <= {"Z"}:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.sqlite
def test_a_command_that_hangs_is_ended_with_all_that_it_started(store: Cli):
    result = store(
        "mint", "--exec", "echo $$ >> pids; (trap '' TERM; sh -c 'echo $$ >> pids; exec sleep 300'); true",
        "--exec-timeout", "1s", check=21,
    )  # fmt: skip

    assert "the command did not end within 1s, and was ended" in result.err
    assert ended([int(pid) for pid in (store.cwd / "pids").read_text().split()])
    assert only_undelivered(store)


@pytest.mark.sqlite
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_revokes_the_key(store: Cli, signum: int):
    process = store.spawn("mint", "--exec", "echo $$ > pid; exec sleep 300")
    end = time.monotonic() + 20
    while not ((store.cwd / "pid").exists() and (store.cwd / "pid").read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill(signum)
    result = process.wait()

    assert (result.code, result.out) == (128 + signum, "")
    assert "could not be delivered and was revoked: interrupted" in result.err
    assert ended([int((store.cwd / "pid").read_text())])
    assert only_undelivered(store)


@pytest.mark.sqlite
def test_a_command_has_no_terminal_to_ask_at(store: Cli):
    result = store.tty("mint", "--exec", "cat >/dev/null; (: </dev/tty) 2>/dev/null || echo no terminal", check=0)

    assert "no terminal" in result.out


@pytest.mark.sqlite
def test_a_dry_run_runs_no_command_and_writes_no_file(store: Cli):
    (store.cwd / ".env").write_text("API_KEY=old\n")

    changes_nothing(store, "mint", "--dry-run", "--exec", "touch ran", says="nothing was changed")
    options = ["--format", "dotenv", "--as", "API_KEY", "--out", ".env"]
    changes_nothing(store, "mint", "--dry-run", *options, says="nothing was changed")

    assert names(store.cwd) == [".env"]
    assert (store.cwd / ".env").read_text() == "API_KEY=old\n"
