"""Commands that are killed with SIGKILL: before each system call that leaves a trace, and at random moments.

Whatever the moment, the store opens, the log is intact, a key that was printed whole is valid, and what was committed
without a delivery can be found. Each `check_…` says what else holds for its command, and that it works again.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import keyctl
from keyctl.store.opening import SCHEMA_REVISION
from keyctl.verifier import Verifier
from tests import postgres
from tests.cli.helpers import CHEAP, Filled, execute, location, mint, mint_many
from tests.kills import Snapshot, calls, choose, killed_at, settle
from tests.runner import Cli, Process, Result

KEY = re.compile(r"^([a-z]+_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{38})\n", re.MULTILINE)
LONGEST = 0.15  # seconds: most commands take half of it


@dataclass(frozen=True)
class Base:
    """What is in the store before each command. Keys are whole texts."""

    old: str
    pair: tuple[str, str]
    owned: str
    signer: str
    bundle: bytes
    profile: dict[str, Any]


@dataclass(frozen=True)
class Crash:
    """A store after a command was killed, and what the command had printed."""

    cli: Cli
    base: Base
    result: Result

    def printed(self) -> list[str]:
        """Return the keys that were printed whole, or are in the file that was asked for."""
        file = self.cli.cwd / "keys.txt"
        return KEY.findall(self.result.out + (file.read_text() if file.exists() else ""))

    def code(self, text: str) -> str:
        with closing(Verifier.from_store(location(self.cli))) as verifier:
            return str(verifier.verify(text).code)

    @cached_property
    def added(self) -> list[dict[str, Any]]:
        """The keys of the store that were not there before."""
        before = {prefix_of(text) for text in (self.base.old, *self.base.pair, self.base.owned)}
        keys = self.cli("list", "--all", "--json", check=0).json["keys"]
        return [key for key in keys if key["prefix"] not in before]

    @cached_property
    def findings(self) -> dict[str, set[str]]:
        """What each check of `keyctl doctor` finds."""
        checks = self.cli("doctor", "--json").json["checks"]
        return {check["name"]: {finding["value"] for finding in check["findings"]} for check in checks}


def prefix_of(text: str) -> str:
    return text.rpartition("_")[0]


def fill(cli: Cli) -> Base:
    old, owned = mint(cli)["key"], mint(cli, "--owner", "acme", "--create-owner")["key"]
    first, second = (made["key"] for made in mint_many(cli, 2))
    signer = cli("bundle", "key", "--create", check=0).out.strip()
    cli("bundle", "export", cli.home / "b", check=0)
    profile = cli("profile", "show", "--json", check=0).json
    return Base(old, (first, second), owned, signer, (cli.home / "b").read_bytes(), profile)


# ── what holds after each command ────────────────────────────────────────────────────────────────────────────────────


def check_any(crash: Crash) -> None:
    """The store opens and is intact; what was printed whole is valid, and `doctor` finds what was not, and any file."""
    assert crash.cli("audit", "verify", check=0).out.startswith("intact: ")
    printed = crash.printed()
    assert {text: crash.code(text) for text in printed} == dict.fromkeys(printed, "VALID")
    lost = {key["prefix"] for key in crash.added} - {prefix_of(text) for text in printed}
    assert lost <= crash.findings["undelivered"]
    expected = {crash.cli.cwd / name for name in ("keys.txt", "b", "new.toml")}
    assert {str(file) for file in set(crash.cli.cwd.iterdir()) - expected} == crash.findings["leftovers"]


def check_mint(crash: Crash) -> None:
    """All of the keys are there, or none; so it is with what was printed."""
    assert len(crash.added) in {0, 3}
    assert len(crash.printed()) in {0, 3}

    again = crash.cli("mint", "--count", "3", "--out", "again.txt", check=0)

    assert again.out == ""
    assert {crash.code(text) for text in KEY.findall((crash.cli.cwd / "again.txt").read_text())} == {"VALID"}


def check_ensured(crash: Crash) -> None:
    """The next run leaves one key, in the file, whether the killed one had delivered its own or not."""
    again = ["mint", "--ensure", "--name", "api", "--out", "keys.txt", "--wait", "1s"]

    for _ in range(2):
        crash.cli(*again, check=0)

    [text] = KEY.findall((crash.cli.cwd / "keys.txt").read_text())
    alive = [key for key in crash.cli("list", "--all", "--json").json["keys"] if key["name"] == "api"]
    assert [key["prefix"] for key in alive if key["status"] == "active"] == [prefix_of(text)]
    assert [key["delivered_at"] is not None for key in alive if key["status"] == "active"] == [True]
    assert crash.code(text) == "VALID"


def check_rotation(crash: Crash) -> None:
    """The owner has a valid key: the old one, or the new one."""
    assert crash.code(crash.base.old) == "VALID" or crash.printed()
    assert len(crash.added) in {0, 1}

    again = crash.cli("rotate", prefix_of(crash.base.old), "--grace", "0", "--yes", "--out", "again.txt")

    if again.code == 4:
        assert "was already replaced" in again.err or "permanently revoked" in again.err
        assert crash.printed()
    else:
        again.expect(0)
        assert crash.code(KEY.findall((crash.cli.cwd / "again.txt").read_text())[0]) == "VALID"
        assert crash.code(crash.base.old) == "KEY_REVOKED"


def check_revocation(crash: Crash) -> None:
    """Both keys are revoked, or neither."""
    assert len({crash.code(text) for text in crash.base.pair}) == 1

    crash.cli("revoke", *map(prefix_of, crash.base.pair), "--yes", check=0)

    assert {crash.code(text) for text in crash.base.pair} == {"KEY_REVOKED"}


def check_owner(crash: Crash) -> None:
    """The owner is disabled with an event, or enabled."""
    disabled = crash.code(crash.base.owned) == "OWNER_INACTIVE"
    assert len(crash.cli("audit", "list", "--action", "owner.disabled", "--json", check=0).json["events"]) == disabled

    crash.cli("owner", "disable", "acme", "--yes", check=0)

    assert crash.code(crash.base.owned) == "OWNER_INACTIVE"


def check_profile(crash: Crash) -> None:
    """The profile is the old one or the new one; keys of the old format verify with either."""
    new = crash.cli("profile", "show", "./new.toml", "--json", check=0).json
    assert crash.cli("profile", "show", "--json", check=0).json in (crash.base.profile, new)

    crash.cli("profile", "apply", "./new.toml", check=0)

    text = crash.cli("mint", check=0).out.strip()
    assert text.startswith("shop_live_")
    assert {crash.code(one) for one in (text, crash.base.old, crash.base.owned)} == {"VALID"}


def check_export(crash: Crash) -> None:
    """The file is the old bundle or a new one, and verifies."""
    file = crash.cli.cwd / "b"
    shown = crash.cli("bundle", "show", file, "--json", check=0).json
    crash.cli("verify", "--bundle", file, "--trust", crash.base.signer, stdin=crash.base.old, check=0)

    crash.cli("bundle", "export", file, check=0)

    assert crash.cli("bundle", "show", file, "--json", check=0).json["sequence"] > shown["sequence"]


COMMANDS: dict[str, Callable[[Crash], None]] = {
    "mint --count 3": check_mint,
    "mint --count 3 --out keys.txt": check_mint,
    "mint --count 3 --out keys.txt --force": check_mint,
    "mint --ensure --name api --out keys.txt": check_ensured,
    "rotate {old} --grace 0": check_rotation,
    "rotate {old} --grace 1h --out keys.txt": check_rotation,
    "revoke {first} {second} --yes": check_revocation,
    "owner disable acme --yes": check_owner,
    "profile apply ./new.toml": check_profile,
    "bundle export b": check_export,
}


def store_files(cli: Cli) -> set[str]:
    return {path.name for path in (cli.home / ".local/share/keyctl").glob("*")}


# ── the commands above ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def base(store: Cli, filled: Filled) -> Base:
    base: Base = filled(fill)
    (store.cwd / "b").write_bytes(base.bundle)
    standard = (Path(keyctl.__file__).parent / "profiles/presets/standard.toml").read_text()
    (store.cwd / "new.toml").write_text(standard.replace('brand = "kc"', 'brand = "shop"'))
    return base


def arguments(command: str, base: Base) -> list[str]:
    named = {"old": prefix_of(base.old), "first": prefix_of(base.pair[0]), "second": prefix_of(base.pair[1])}
    return command.format(**named).split()


@pytest.mark.torture
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_killed_at_a_system_call_leaves_nothing_half_done(
    store: Cli, base: Base, database: str, command: str, tmp_path: Path, rounds, figure
):
    snapshot = Snapshot(store, tmp_path / "before")

    def start() -> Process:
        snapshot.restore()
        return store.spawn(*arguments(command, base), held=True)

    found = calls(start, tmp_path / "log")
    chosen = choose(found, rounds(3 if "rotate" in command else 2, len(found)))
    killed = 0
    for call in chosen:
        killed += examine(Crash(store, base, killed_at(call, start)), command, call)

    assert killed >= len(chosen) * 0.8  # how many pages SQLite writes depends on random prefixes
    figure(f"crashes: {database}, {command}: killed at system calls", killed)


@pytest.mark.torture(only=True)
def test_a_command_killed_at_a_random_moment_leaves_nothing_half_done(
    store: Cli, base: Base, database: str, tmp_path: Path, figure
):
    snapshot = Snapshot(store, tmp_path / "before")
    chance = random.Random(1)
    killed = tried = 0
    while killed < 200:
        assert tried < 1000
        tried += 1
        command, pause = chance.choice(list(COMMANDS)), chance.uniform(0, LONGEST)
        snapshot.restore()
        process = store.spawn(*arguments(command, base))
        time.sleep(pause)
        process.kill(signal.SIGKILL)
        killed += examine(Crash(store, base, process.wait()), command, f"{pause * 1000:.1f} ms")

    figure(f"crashes: {database}: killed at random moments", killed)


def examine(crash: Crash, command: str, moment: object) -> bool:
    """Check all that must hold after a crash; return whether the command was killed at all."""
    assert crash.result.code in {0, -signal.SIGKILL}, crash.result
    settle(crash.cli)
    try:
        check_any(crash)
        COMMANDS[command](crash)
        assert store_files(crash.cli) <= {"keyctl.db"}
    except AssertionError as error:
        error.add_note(f"after: {command}, killed at {moment}\n{crash.result}")
        raise
    return crash.result.code != 0


# ── a store that is made or upgraded ─────────────────────────────────────────────────────────────────────────────────

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade():
    op.create_table("later", sa.Column("x", sa.Integer))
    op.create_index("ix_later", "later", ["x"])
    op.add_column("keys", sa.Column("later", sa.Integer))
    op.execute("update keys set later = 1")
    op.execute("insert into later values (1)")
"""
RUN = """
import sys
import keyctl.store.schema
from keyctl.cli.app import main
from tests.zygote import hold

commands = sys.argv[1:]
if commands[0] == "hold":
    hold()
    del commands[0]
for command in commands:
    sys.argv = ["keyctl", *command.split()]
    if code := main():
        sys.exit(code)
"""


@pytest.fixture
def fresh(cli: Cli, database: str, request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """`with fresh():` gives `cli` an empty home and a place without a store."""

    @contextmanager
    def emptied() -> Iterator[None]:
        shutil.rmtree(cli.home)
        cli.home.mkdir()
        if database == "sqlite":
            yield
            return
        with postgres.schema(request.getfixturevalue("postgres_server")) as url:
            cli.env["KEYCTL_STORE"] = url
            yield

    return emptied


@pytest.fixture
def upgraded(tmp_path: Path) -> Path:
    """A folder with the keyctl of a later version, which has one migration more."""
    package = tmp_path / "later/keyctl"
    shutil.copytree(Path(keyctl.__file__).parent, package)
    (package / "store/migrations/versions/9999_later.py").write_text(MIGRATION.format(newest=SCHEMA_REVISION))
    opening = package / "store/opening.py"
    opening.write_text(
        opening.read_text().replace(f'SCHEMA_REVISION = "{SCHEMA_REVISION}"', 'SCHEMA_REVISION = "9999"')
    )
    return package.parent


@pytest.mark.torture
@pytest.mark.parametrize("command", ["init", "mint"])
def test_a_creation_that_is_killed_leaves_no_store_or_a_whole_one(
    cli: Cli, database: str, command: str, tmp_path: Path, fresh, rounds, figure
):
    args = [command] if command == "init" or database == "sqlite" else [command, "--init"]

    def start() -> Process:
        return cli.spawn(*args, held=True)

    with fresh():
        found = calls(start, tmp_path / "log")
    chosen = choose(found, rounds(2, len(found)))
    for call in chosen:
        with fresh():
            result = killed_at(call, start)
            settle(cli)
            assert result.code == -signal.SIGKILL, (call, result)
            verified = cli("audit", "verify")
            assert verified.code in {0, 5, 6}, (call, verified)
            for text in KEY.findall(result.out):
                cli("verify", stdin=text, check=0)

            cli(*args, check=0)

            assert cli("audit", "verify", check=0).out.startswith("intact: ")
            assert store_files(cli) <= {"keyctl.db"}

    figure(f"crashes: {database}, {' '.join(args)} of a new store: killed at system calls", len(chosen))


@pytest.mark.torture
def test_an_upgrade_that_is_killed_was_made_completely_or_not_at_all(
    cli: Cli, database: str, upgraded: Path, tmp_path: Path, fresh, rounds, figure
):
    def later(*commands: str) -> Process:
        path = f"{upgraded}:{Path(__file__).parent.parent}"
        env = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}  # files of bytecode would be counted, once
        return cli.spawn_python("-c", RUN, *commands, env=env)

    def start() -> Process:
        cli("init", *CHEAP, check=0)
        cli("mint", check=0)
        return later("hold", "db upgrade")

    with fresh():
        found = calls(start, tmp_path / "log")
    chosen = choose(found, rounds(2, len(found)))
    for call in chosen:
        with fresh():
            result = killed_at(call, start)
            settle(cli)
            assert result.code == -signal.SIGKILL, (call, result)
            status = cli("db", "status", "--json", check=0).json
            assert status["schema"] in {SCHEMA_REVISION, "9999"}
            if status["schema"] == SCHEMA_REVISION:
                assert cli("audit", "verify", check=0).out == "intact: 3 events, 1 key, 0 owners\n"

            again = later("db upgrade", "audit verify").wait().expect(0)

            assert again.out == "schema 9999\nintact: 3 events, 1 key, 0 owners\n"
            execute(cli, "insert into later select count(*) from keys where later = 1")
            assert store_files(cli) <= {"keyctl.db"}

    figure(f"crashes: {database}, db upgrade: killed at system calls", len(chosen))
