"""One test for every sink: the secret part of a key is on stdout once, and nowhere else, whatever goes wrong."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import stat
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyctl.admin.delivery import FileDelivery, StreamDelivery
from keyctl.errors import KeyctlError
from keyctl.verifier import Verifier
from tests.runner import Cli, Result
from tests.stores import names, new_store

SHORTEST = 12  # characters of a secret that would help an attacker


@pytest.fixture(params=[None, "1"], ids=["plain", "KEYCTL_DEBUG"])
def watched(store: Cli, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """keyctl with and without tracebacks; at its end all that it ever wrote is searched for every key's secret."""
    store.env |= {"KEYCTL_DEBUG": request.param} if request.param else {}
    watched = Watched(store)
    yield watched
    watched.search_everything()


class Watched:
    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.texts: list[str] = []
        self.results: list[Result] = []
        self.files: list[Path] = []  # that keys were delivered to

    def __call__(self, *args: str | bytes | Path, check: int, **how: object) -> Result:
        result = self.cli(*args, check=check, **how)
        self.results.append(result)
        return result

    def mint(self, *args: str) -> str:
        text = self.cli("mint", *args, check=0).out.strip()
        self.texts.append(text)
        return text

    def told_once(self, *args: str | Path, check: int = 0) -> str:
        """Run what delivers one key on stdout; everything else that it writes is searched."""
        result = self.cli(*args, check=check)
        self.texts.append(result.out.strip())
        self.results.append(Result(result.args, result.code, b"", result.err_bytes))
        return result.out.strip()

    def search_everything(self) -> None:
        assert self.texts
        listings = [
            self.cli(*args, check=None)
            for args in (
                ["audit", "list", "--json", "--limit", "1000"],
                ["audit", "list"],
                ["list", "--all", "--json"],
                ["list", "--all"],
                ["config", "show"],
                ["owner", "list", "--json"],
            )
        ]
        sinks = {str(result): str(result).encode() for result in [*self.results, *listings]}
        for path in [*self.cli.home.rglob("*"), *self.cli.cwd.rglob("*")]:
            if path.is_file() and path not in self.files:
                sinks[str(path)] = path.read_bytes()
        for text in self.texts:
            secret = secret_of(text).encode()
            for sink, content in sinks.items():
                for i in range(len(secret) - SHORTEST + 1):
                    assert secret[i : i + SHORTEST] not in content, f"a secret stands in {sink}"


def secret_of(text: str) -> str:
    return text.rpartition("_")[2]


def prefix_of(text: str) -> str:
    return text.rpartition("_")[0]


def test_whatever_is_done_to_a_key_its_secret_is_nowhere(watched: Watched):
    watched("owner", "add", "acme", check=0)
    text = watched.told_once("mint", "--owner", "acme", "--scope", "read", "--expires", "30d")
    prefix = prefix_of(text)
    for args in (
        ["verify"],
        ["verify", "--json"],
        ["verify", "--record", "--scope", "read"],
        ["inspect"],
        ["inspect", "--json"],
    ):
        watched(*args, stdin=text, check=0)
    for args in (
        ["show"],
        ["show", "--json"],
        ["lock"],
        ["unlock"],
        ["update", "--set-name", "x"],
        ["scope", "--add", "write"],
    ):
        watched(args[0], prefix, *args[1:], check=0)
    new = watched.told_once("rotate", prefix, "--grace", "1h")
    watched("verify", stdin=text, check=0)
    watched("verify", stdin=new, check=0)
    watched("revoke", prefix_of(new), "--yes", check=0)
    watched("verify", stdin=new, check=12)


def test_however_verification_fails_the_secret_is_nowhere(watched: Watched):
    text, other = watched.mint(), watched.mint()
    alien = f"kc_test_{text[8:]}"
    wrong = prefix_of(text) + "_" + secret_of(other)
    file = watched.cli.cwd / "key.txt"
    file.write_text(f"{text}\n{other}\n")
    watched.files.append(file)

    for presented, code in [
        (text[:-1], 11),
        (text + "x", 11),
        (text.swapcase(), 11),
        (f" {text}", 11),
        (f"{text}\n{other}\n", 11),
        (f"{text}\0", 11),
        (text.encode() + b"\xff", 11),
        (text * 2000, 11),
        (wrong, 11),
        (alien, 11),
        (f"Bearer {text}", 11),
    ]:
        for args in (["verify"], ["verify", "--json"], ["inspect"]):
            watched(*args, stdin=presented, check=code if args[0] == "verify" else None)
    watched("verify", "--key-file", file, check=11)
    watched("verify", "--key-file", watched.cli.cwd / "none", check=2)
    watched("verify", "--scope", "wirte", stdin=text, check=2)
    watched("verify", "--env", "test", stdin=text, check=18)
    watched("verify", "--ip", "here", stdin=text, check=2)
    watched("verify", "--store", watched.cli.cwd / "none.db", stdin=text, check=5)


def test_a_key_among_the_arguments_is_not_repeated(watched: Watched):
    text = watched.mint()
    for argument in (text, text[:-4], text.upper(), f"x{text}x", f"--name={text}", f"--{text}"):
        for args in (
            ["revoke", argument],
            ["mint", "--name", argument],
            [argument],
            ["verify", argument],
            ["show", argument],
        ):
            # the result has what was typed among its arguments, where it may be
            done = watched.cli(*args, check=2)
            watched.results.append(Result((), done.code, done.out_bytes, done.err_bytes))
            assert done.out == ""


def test_a_key_that_was_not_delivered_is_nowhere(watched: Watched):
    """Deliveries that fail: the key was made, and is revoked."""
    text = watched.mint()
    with Path("/dev/full").open("wb") as full:
        for args in (["mint"], ["mint", "--json"], ["mint", "--count", "3"], ["rotate", prefix_of(text)]):
            watched(*args, stdout=full.fileno(), check=21)
    reader, writer = os.pipe()
    os.close(reader)
    watched("mint", stdout=writer, check=21)
    os.close(writer)
    (watched.cli.cwd / "folder").mkdir()
    watched("mint", "--out", "folder", check=4)
    watched("mint", "--out", "no/such/folder/key", check=21)
    (watched.cli.cwd / "there").write_text("was here before\n")
    watched("mint", "--out", "there", check=4)
    watched("mint", "--dry-run", check=0)
    watched("rotate", prefix_of(text), "--dry-run", check=0)
    made = watched.cli("list", "--all", "--json", check=0).json["keys"]
    assert [key["revoked_reason"] for key in made if key["status"] == "revoked"] == ["undelivered"] * 7
    assert names(watched.cli.cwd / "folder") == []
    assert names(watched.cli.cwd) == ["folder", "there"]


def test_a_key_in_a_file_is_in_that_file_alone(watched: Watched):
    for args in (["mint"], ["mint", "--json"]):
        file = watched.cli.cwd / f"key{len(watched.files)}.txt"
        watched.files.append(file)
        result = watched(*args, "--out", file, check=0)

        watched.texts.append(file.read_text().strip())
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert secret_of(watched.texts[-1]) not in result.out
    watched("rotate", prefix_of(watched.texts[0]), "--out", watched.files[0], check=4)
    watched("rotate", prefix_of(watched.texts[0]), "--out", watched.files[0], "--force", check=0)
    watched.texts.append(watched.files[0].read_text().strip())
    assert names(watched.cli.cwd) == ["key0.txt", "key1.txt"]


@pytest.mark.sqlite
def test_while_a_key_is_verified_no_other_process_can_see_it(store: Cli):
    text = store("mint", check=0).out.strip()
    other = sqlite3.connect(store.home / ".local/share/keyctl/keyctl.db", isolation_level=None)
    other.execute("begin exclusive")
    process = store.spawn("verify", "--wait", "30s", stdin=text)

    for name in ("cmdline", "environ"):
        assert secret_of(text).encode() not in Path(f"/proc/{process.pid}/{name}").read_bytes()

    other.execute("commit")
    other.close()
    assert process.wait().code == 0


def test_a_process_that_is_killed_leaves_no_secret_behind(store: Cli):
    """Whatever the moment: not in the store, not in its journal, not in a temporary file."""
    text = store("mint", check=0).out.strip()
    texts = [text]
    for i in range(8):
        args = ["rotate", prefix_of(text)] if i % 2 else ["mint", "--count", "50"]
        process = store.spawn(*args)
        time.sleep(0.01 * (i + 1))
        process.kill(signal.SIGKILL)
        texts += process.wait().out.split()

    for path in [*store.home.rglob("*"), *store.cwd.rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret_of(one).encode()[:SHORTEST] in content for one in texts), path
    store("audit", "verify", check=0)


# ── in a program ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_repr_and_no_error_holds_a_secret(tmp_path: Path):
    opened = new_store(tmp_path / "store.db")
    [minted] = opened.mint(name="x")
    rotated = opened.rotate(minted.record.key.prefix)
    key_format = opened.store.profile.key_format
    [generated] = key_format.generate(env="live")
    stream = StreamDelivery(lambda _: None, lambda minted: minted[0].text)
    stream.prepare([minted])
    file = FileDelivery(tmp_path / "out")
    file.prepare([minted])
    shown = [
        *(minted, minted.record, minted.record.key, rotated, generated, [generated], {"a": generated}),
        *(key_format.parse(minted.text), key_format, stream, file, opened.store, opened.admin),
        *(Verifier(opened.store), Verifier(opened.store).verify(minted.text)),
    ]
    told = "\n".join(f"{one!r} {one!s}" for one in shown)
    for wrong in (minted.text[:-1], minted.text + "é", "x" * 100 + minted.text, minted.text[:-1] + "!"):
        try:
            key_format.parse(wrong)
        except ValueError as error:
            told += "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))

    for text in (minted.text, rotated.text, generated.text):
        assert secret_of(text)[:SHORTEST] not in told
    assert minted.record.key.phc not in told
    file.abandon()
    assert names(tmp_path) == ["store.db"]
    opened.store.close()


def test_the_store_holds_nothing_that_a_secret_could_be_read_from(tmp_path: Path):
    opened = new_store(tmp_path / "store.db")
    [minted] = opened.mint()
    opened.rotate(minted.record.key.prefix)
    with sqlite3.connect(opened.path) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    opened.store.close()

    assert secret_of(minted.text)[:SHORTEST] not in dump
    assert json.dumps(minted.text) not in dump
    # The log has hashes of hashes only: a PHC string in it could be attacked offline by any reader of the log.
    assert "$argon2id$" not in "".join(line for line in dump.splitlines() if line.startswith('INSERT INTO "events"'))


def test_an_error_of_keyctl_can_be_passed_on_without_a_secret(tmp_path: Path):
    opened = new_store(tmp_path / "store.db")
    [minted] = opened.mint()

    class Broken:
        def prepare(self, minted: object) -> None:
            self.minted = minted

        def hand_over(self) -> None:
            raise OSError(28, "No space left on device")

        def abandon(self) -> None:
            pass

    from keyctl.admin.minting import NewKey

    broken = Broken()
    with pytest.raises(KeyctlError) as error:
        opened.minter.mint(NewKey(), broken)

    [undelivered] = broken.minted
    told = (
        "".join(traceback.format_exception(error.value))
        + repr(vars(error.value))
        + repr(pickle.dumps(error.value.args))
    )
    for text in (undelivered.text, minted.text):
        assert secret_of(text)[:SHORTEST] not in told
    assert undelivered.record.key.prefix in error.value.message
    opened.store.close()
