"""`keyctl run`: a command with a key of its own, which ends with it."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import shlex
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.helpers import dump, locked, mint, refused, verify
from tests.runner import Cli, Process

chance = random.Random(12)
# Reports each signal that it gets, and ends when its standard output says so.
REPORTER = r"""
import os, signal, sys, time

def report(signum, _):
    os.write(1, f"{signal.Signals(signum).name}\n".encode())
    if signum == signal.SIGUSR2:
        sys.exit(7)
for one in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH"):
    signal.signal(getattr(signal, "SIG" + one), report)
print("ready", os.getpid(), flush=True)
while True:
    time.sleep(60)
"""


def reporter(cli: Cli, *options: str, **how: object) -> Process:
    """Start a command that reports its signals; return once it is ready for them."""
    process = cli.spawn("run", *options, "--", sys.executable, "-c", REPORTER, **how)
    shows(process, "ready")
    return process


def shows(process: Process, text: str) -> None:
    """Wait until a process has written a text to standard output."""
    end = time.monotonic() + 30
    while text.encode() not in process.written()[0]:
        assert time.monotonic() < end, process.written()
        time.sleep(0.01)


def keys_of(cli: Cli) -> list[dict[str, object]]:
    keys: list[dict[str, object]] = cli("list", "--all", "--json", check=0).json["keys"]
    return keys


def assert_revoked(cli: Cli) -> None:
    [key] = keys_of(cli)
    assert (key["status"], key["revoked_reason"]) == ("revoked", "run ended")


def test_a_command_runs_with_a_key_that_is_revoked_at_its_end(store: Cli):
    script = 'printf "%s\\n" "$API_KEY" > key.txt; keyctl verify --scope read --json --store "$1" < key.txt'
    place = store.env.get("KEYCTL_STORE") or str(store.home / ".local/share/keyctl/keyctl.db")
    options = ["--name", "job", "--owner", "acme", "--create-owner", "--env", "test", "--scope", "read"]

    done = store("run", *options, "--expires", "15m", "--meta", "a=b", "--", "sh", "-c", script, "sh", place, check=0)

    during = done.json["key"]
    assert (during["name"], during["owner"], during["environment"]) == ("job", "acme", "test")
    assert (during["scopes"], during["metadata"], during["status"]) == (["read"], {"a": "b"}, "active")
    text = (store.cwd / "key.txt").read_text().strip()
    assert text.startswith("kc_test_")
    assert verify(store, text) == "KEY_REVOKED"
    assert_revoked(store)
    assert done.err == f"keyctl: {during['prefix']} is in API_KEY, and expires in 15m, at {during['expires_at']}\n"
    actions = [event["action"] for event in store("audit", "list", "--json", check=0).json["events"]]
    assert actions[:3] == ["key.revoked", "key.delivered", "key.minted"]
    store("audit", "verify", check=0)


@pytest.mark.sqlite
def test_a_key_lives_for_an_hour_unless_told_otherwise_and_never_without_end(store: Cli):
    store("run", "--quiet", "--", "true", check=0)

    [key] = keys_of(store)
    assert 3500 < seconds_between(key) <= 3600
    refused(store, "run", "--expires", "never", "--", "true", code=125, says="must expire")


def seconds_between(key: dict[str, object]) -> float:
    created, expires = (datetime.fromisoformat(str(key[name])) for name in ("created_at", "expires_at"))
    return (expires - created).total_seconds()


@pytest.mark.sqlite
@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137)])
def test_the_exit_code_is_that_of_the_command(store: Cli, script: str, code: int):
    result = store("run", "--quiet", "--", "sh", "-c", script, check=code)

    assert (result.out, result.err) == ("", "")
    assert_revoked(store)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--", "no-such-command"], 127, 'there is no command "no-such-command"'),
        (["--", "./no/such/command"], 127, "there is no command"),
        (["--", "./plain.txt"], 126, "plain.txt is not executable"),
        (["--", "./"], 126, "is a folder"),
        (["--scope", "nonsense", "--", "true"], 125, "unknown scope"),
        (["--nonsense", "--", "true"], 125, "no such option"),
        (["--owner", "nobody", "--", "true"], 125, 'no owner "nobody"'),
        (["true", "--", "-x"], 125, "the command must follow --"),
        ([], 125, "missing argument"),
        (["--as", "A-B", "--", "true"], 125, "is not the name of a variable"),
        (["--kill-after", "0", "--", "true"], 125, "greater than zero"),
        (["--keep", "PATH", "--", "true"], 125, "--keep is for the variables of keyctl"),
        (["--keep", "KEYCTL_ADMIN_TOKEN", "--", "true"], 125, "the admin token is never passed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_keyctl_cannot_do_has_an_exit_code_of_its_own_and_mints_nothing(
    store: Cli, args: list[str], code: int, says: str
):
    (store.cwd / "plain.txt").write_text("x")

    refused(store, "run", *args, code=code, says=says)


@pytest.mark.sqlite
@pytest.mark.parametrize("content", ["#!/no/such/interpreter\n", "\0binary"], ids=["interpreter", "format"])
def test_the_key_of_a_command_that_the_system_refuses_is_revoked(store: Cli, content: str):
    file = store.cwd / "odd"
    file.write_text(content)
    file.chmod(0o755)

    result = store("run", "--quiet", "--", "./odd", check=126)

    assert "the command cannot be executed" in result.err
    [key] = keys_of(store)
    assert key["revoked_reason"] == "undelivered"
    assert f"the key {key['prefix']} could not be delivered and was revoked" in result.err


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_signals_are_passed_to_the_command_and_end_only_that(store: Cli):
    process = reporter(store)
    names = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT", "SIGUSR1", "SIGWINCH", "SIGTERM", "SIGUSR2"]

    for i, name in enumerate(names):
        process.kill(signal.Signals[name])
        expected = "".join(f"{one}\n" for one in names[: i + 1])
        shows(process, expected)

    assert process.wait().code == 7
    assert_revoked(store)


@pytest.mark.sqlite
def test_a_command_that_ignores_sigterm_is_waited_for(store: Cli):
    process = store.spawn("run", "--", "sh", "-c", "trap '' TERM; echo ready; read line < fifo; exit 5")
    os.mkfifo(store.cwd / "fifo")
    shows(process, "ready")

    for _ in range(3):
        process.kill(signal.SIGTERM)
    [key] = keys_of(store)
    assert key["status"] == "active"
    (store.cwd / "fifo").write_text("go on\n")

    assert process.wait().code == 5
    assert_revoked(store)


@pytest.mark.sqlite
def test_a_command_that_ignores_sigterm_is_killed_after_a_time_that_was_asked_for(store: Cli):
    process = store.spawn("run", "--kill-after", "1s", "--", "sh", "-c", "trap '' TERM; echo ready; sleep 60 & wait")
    shows(process, "ready")

    process.kill(signal.SIGTERM)

    assert process.wait().code == 128 + signal.SIGKILL
    assert_revoked(store)


@pytest.mark.sqlite
def test_a_signal_that_comes_before_the_command_ends_keyctl_and_leaves_no_key(store: Cli):
    with locked(store):
        process = store.spawn("run", "--wait", "30s", "--", "true")
        time.sleep(0.5)
        process.kill(signal.SIGTERM)
        assert process.wait().code == 143

    assert keys_of(store) == []


@pytest.mark.torture
@pytest.mark.sqlite
def test_whenever_a_signal_comes_no_valid_key_is_left(store: Cli, rounds: Callable[[int, int], int]):
    for i in range(rounds(3, 60)):
        process = store.spawn("run", "--quiet", "--", "sleep", "0.2")
        time.sleep(chance.uniform(0, 0.6))
        process.kill(chance.choice([signal.SIGTERM, signal.SIGHUP, signal.SIGINT]))
        result = process.wait()
        assert result.code in (0, 129, 130, 143, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT), (i, result)

    assert {key["status"] for key in keys_of(store)} <= {"revoked"}
    store("audit", "verify", check=0)


@pytest.mark.sqlite
def test_what_nohup_ignores_stays_ignored(store: Cli):
    script = f"trap '' HUP; exec {sys.executable} -P -m keyctl run -- sh -c 'kill -HUP $PPID $$; exit 4'"

    store.shell(script, check=4)

    assert_revoked(store)


@pytest.mark.sqlite
def test_a_key_expires_if_keyctl_is_killed(store: Cli):
    process = reporter(store, "--expires", "15m")
    pid = int(process.written()[0].split()[1])

    process.kill(signal.SIGKILL)
    process.wait()
    os.kill(pid, signal.SIGKILL)

    [key] = keys_of(store)
    assert key["status"] == "active"
    assert 890 < seconds_between(key) <= 900


@pytest.mark.sqlite
def test_ctrl_c_reaches_the_command_once_and_keyctl_waits_for_it(store: Cli):
    script = REPORTER.replace("SIGUSR2", "SIGQUIT")
    result = store.tty(
        *("run", "--quiet", "--", sys.executable, "-c", script),
        talk=[("ready", "\x03"), ("SIGINT", "\x03"), ("SIGINT", "\x1c")],  # Ctrl-C twice, then Ctrl-\\
        check=7,
    )

    assert (result.out.count("SIGINT"), result.out.count("SIGQUIT")) == (2, 1)
    assert_revoked(store)


@pytest.mark.sqlite
def test_a_command_that_stops_itself_gives_the_shell_its_prompt_and_can_be_continued(store: Cli):
    """As an editor, or a shell of its own, does it."""
    script = "kill -STOP $$; echo continued"
    line = f"set -m; {sys.executable} -P -m keyctl run --quiet -- sh -c '{script}'; echo stopped; fg; echo $?"
    shell = f"exec bash --norc -ic {shlex.quote(line)}"

    result = in_terminal(store, shell)

    assert re.search(r"stopped.*continued\n0\n", result, re.DOTALL), result
    assert_revoked(store)


def in_terminal(cli: Cli, command: str) -> str:
    """Run a command as the leader of a terminal's session; return what the terminal shows."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(cli.cwd)
        os.execve("/bin/sh", ["sh", "-c", command], cli.env)
    shown = b""
    with suppress(OSError):  # how Linux says that no process has the terminal open any more
        while select.select([master], [], [], 30)[0] and (data := os.read(master, 1 << 16)):
            shown += data
    os.close(master)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return shown.decode().replace("\r\n", "\n")


# ── what the command gets ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_the_command_has_the_streams_and_the_descriptors_of_keyctl(store: Cli):
    script = f"echo in | {sys.executable} -P -m keyctl run --quiet -- sh -c 'cat; cat <&7; echo err >&2' 7<<<seven"

    result = store.shell(script)

    assert (result.out, result.err) == ("in\nseven\n", "err\n")
    assert store("run", "--quiet", "--", "ls", "/proc/self/fd", check=0).out.split() == ["0", "1", "2", "3"]


@pytest.mark.sqlite
def test_a_command_that_reads_from_the_terminal_can(store: Cli):
    script = "test -t 0 && test -t 1 && test -t 2 && read -r word && echo got $word"

    result = store.tty("run", "--quiet", "--", "sh", "-c", f"echo ready; {script}", talk=[("ready", "x\n")], check=0)

    assert "got x" in result.out


@pytest.mark.sqlite
def test_keyctls_own_variables_are_not_for_the_command_unless_they_are_named(store: Cli):
    store("admin-token", "set", stdin="correct horse battery staple\n", check=0)
    env = {
        "KEYCTL_WAIT": "3s",
        "KEYCTL_ACTOR": "ci",
        "KEYCTL_ADMIN_TOKEN": "correct horse battery staple",
        "OTHER": "x",
    }

    without = store("run", "--", "env", env=env, check=0).out
    kept = store("run", "--keep", "KEYCTL_WAIT", "--as", "KEYCTL_KEY", "--", "env", env=env, check=0).out

    assert {line.partition("=")[0] for line in without.splitlines()} >= {"API_KEY", "OTHER", "PATH", "HOME"}
    assert "KEYCTL" not in without
    assert "battery" not in without + kept
    assert sorted(line.partition("=")[0] for line in kept.splitlines() if "KEYCTL" in line) == [
        "KEYCTL_KEY",
        "KEYCTL_WAIT",
    ]


@pytest.mark.sqlite
@pytest.mark.parametrize("place", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_a_key_in_a_file_is_for_the_user_alone_and_removed_at_the_end(store: Cli, place: str):
    folder = store.cwd / "run"
    folder.mkdir(mode=0o700)
    script = 'echo "$API_KEY_FILE"; stat -c "%a" "$API_KEY_FILE" "$(dirname "$API_KEY_FILE")"; cat "$API_KEY_FILE"; env'

    result = store("run", "--file", "--quiet", "--", "sh", "-c", script, env={place: str(folder)}, check=0)

    path, mode, folders, text, *env = result.out.splitlines()
    assert Path(path).parent.parent == folder
    assert (mode, folders) == ("600", "700")
    assert verify(store, text) == "KEY_REVOKED"
    assert not any(text in line for line in env)
    assert list(folder.iterdir()) == []


@pytest.mark.sqlite
@pytest.mark.parametrize("script", ["touch $NAME-2; kill -9 $$", "rm -r $(dirname $NAME)"])
def test_however_the_command_ends_the_file_is_removed(store: Cli, script: str):
    folder = store.cwd / "run"
    folder.mkdir(mode=0o700)

    result = store("run", "--file", "--as", "NAME", "--quiet", "--", "sh", "-c", script, env={"TMPDIR": str(folder)})

    assert result.err == ""
    assert list(folder.iterdir()) == []


@pytest.mark.sqlite
def test_a_file_that_cannot_be_written_mints_nothing(store: Cli):
    env = {"XDG_RUNTIME_DIR": None, "TMPDIR": None}
    before = dump(store)

    result = store.shell(f"ulimit -f 0; exec {sys.executable} -P -m keyctl run --file -- true", env=env, check=None)

    assert result.code == 125
    assert dump(store) == before


@pytest.mark.sqlite
def test_nothing_after_the_two_dashes_is_read(store: Cli):
    other = mint(store)["key"]

    result = store("run", "--", "printf", "%s\\n", "--json", "--store", "./x.db", "--", "--help", other, check=0)

    assert result.out.split() == ["--json", "--store", "./x.db", "--", "--help", other]
    assert result.err.startswith("keyctl: kc_")
    assert refused(store, "run", "--name", other, "--", "true", code=125, says="contains a key")
    assert "contains a key" in refused(store, "--", "run", "--name", other, "--", "true", code=125).err
    assert other not in refused(store, "run", "--", other, code=125, says="contains a key").err
    assert refused(store, "revoke", "--", other, code=2, says="contains a key")


@pytest.mark.sqlite
def test_the_secret_is_in_the_commands_environment_and_nowhere_else(store: Cli):
    process = reporter(store)
    pid = int(process.written()[0].split()[1])
    variables = dict(line.partition(b"=")[::2] for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    secret = variables[b"API_KEY"].rpartition(b"_")[2]

    lines = b"".join(Path(f"/proc/{one}/cmdline").read_bytes() for one in (pid, process.pid))
    process.kill(signal.SIGUSR2)
    err = process.wait().err_bytes

    log = store("audit", "list", "--json", check=0).out_bytes
    stored = b"".join(path.read_bytes() for path in store.home.rglob("*") if path.is_file())
    assert len(secret) > 30
    assert secret not in lines + err + log + stored


@pytest.mark.sqlite
def test_without_the_admin_token_nothing_is_run(store: Cli):
    store("admin-token", "set", stdin="correct horse battery staple\n", check=0)

    result = store("run", "--", "touch", "file", check=125)

    assert "the admin token is missing" in result.err
    assert list(store.cwd.iterdir()) == []
    assert keys_of(store) == []


# ── when not all goes well ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_key_that_cannot_be_revoked_is_named_and_the_exit_code_stays(store: Cli):
    place = store.home / ".local/share/keyctl/keyctl.db"

    result = store("run", "--quiet", "--", "sh", "-c", f"mv {place} {place}.away; exit 3", check=3)

    place.with_name("keyctl.db.away").rename(place)
    [key] = keys_of(store)
    warning = result.err.splitlines()[-1]  # an earlier one may say that the delivery was not recorded
    assert warning.startswith(f"keyctl: warning: {key['prefix']} could not be revoked, and it expires at")
    assert warning.endswith(f"to end it: keyctl revoke {key['prefix']}")


@pytest.mark.sqlite
def test_a_command_that_outlives_its_key_is_reported(store: Cli):
    result = store("run", "--quiet", "--expires", "1s", "--", "sleep", "1.1", check=0)

    assert "expired before the command ended: choose a longer --expires" in result.err


@pytest.mark.sqlite
def test_a_dry_run_runs_nothing_and_mints_nothing(store: Cli):
    before = dump(store)

    result = store("run", "--dry-run", "--scope", "read", "--", "touch", "file", check=0)

    assert (result.out, list(store.cwd.iterdir())) == ("", [])
    assert result.err.startswith("keyctl: would run touch with a key like kc_live_")
    assert dump(store) == before
    refused(store, "run", "--dry-run", "--", "no-such-command", code=127)
