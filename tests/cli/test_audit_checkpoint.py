"""`keyctl audit checkpoint`, and `audit verify` with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import Filled, changes_nothing, execute, mint, refused, set_key
from tests.runner import Cli


@pytest.fixture
def prefix(filled: Filled) -> str:
    """A store with a signing key and a checkpoint in the file `checkpoints`; returns a key's prefix."""
    prefix: str = filled(with_a_checkpoint)
    return prefix


def with_a_checkpoint(store: Cli) -> str:
    prefix = mint(store, "--owner", "acme", "--create-owner")["prefix"]
    store("bundle", "key", "--create", check=0)
    file(store).write_text(store("audit", "checkpoint", check=0).out)
    return prefix


def file(store: Cli) -> Path:
    return store.home / "checkpoints"


def public_key(store: Cli) -> str:
    return store("bundle", "key", check=0).out.strip()


def test_a_checkpoint_is_one_line_on_stdout_and_changes_nothing(store: Cli, prefix: str):
    result = changes_nothing(store, "audit", "checkpoint", says="")

    assert result.err == ""
    words = result.out.removesuffix("\n").split(" ")
    [event] = store("audit", "list", "--limit", "1", "--json", check=0).json["events"]
    assert (words[0], words[2], words[4]) == ("keyctl-checkpoint-v1", "4", event["hash"])
    assert words[6] == public_key(store)
    answer = store("audit", "checkpoint", "--json", check=0).json
    assert answer.pop("checkpoint").split(" ")[:3] == words[:3]
    expected = {"store_id": words[1], "seq": 4, "hash": event["hash"], "signer": words[6], "at": answer["at"]}
    assert answer == expected


def test_a_store_that_contains_its_checkpoints_is_intact(store: Cli, prefix: str):
    store("lock", prefix, check=0)
    with file(store).open("a") as more:
        more.write(store("audit", "checkpoint", "--checkpoint", file(store), "--resume", check=0).out)
    store("unlock", prefix, check=0)

    verified = store("audit", "verify", "--checkpoint", file(store), check=0)
    resumed = store("audit", "verify", "--checkpoint", file(store), "--resume", check=0)

    assert verified.out == "intact: 6 events, 1 key, 1 owner\n"
    moment = file(store).read_text().splitlines()[1].split(" ")[3]
    assert resumed.out == f"intact: 2 events since the checkpoint of {moment}, 1 key, 1 owner\n"
    answer = store("audit", "verify", "--checkpoint", "-", "--resume", "--json", stdin=file(store).read_text()).json
    assert (answer["intact"], answer["since"], answer["events"]) == (True, 5, 2)
    assert store("audit", "verify", "--json", check=0).json["since"] == 1


def test_an_altered_key_is_named_though_earlier_events_are_not_read(store: Cli, prefix: str):
    set_key(store, prefix, scopes='["admin"]')

    for args in (["audit", "verify"], ["audit", "checkpoint"]):
        says = f"key {prefix} "
        result = refused(store, *args, "--checkpoint", file(store), "--resume", code=9, says=[says, 'is ["admin"]'])
        assert "keyctl-checkpoint-v1" not in result.err
    answer = store("audit", "verify", "--checkpoint", file(store), "--resume", "--json", check=9).json
    assert (answer["intact"], answer["since"], answer["events"], answer["fault_count"]) == (False, 1, 4, 1)


def test_a_truncated_log_is_named(store: Cli, prefix: str):
    execute(store, "delete from events where seq = 4")
    execute(store, "update audit_head set seq = 3, hash = (select hash from events where seq = 3)")
    set_key(store, prefix, delivered_at=None)
    assert store("audit", "verify", check=0).out.startswith("intact: 3 events")

    for how in ([], ["--resume"]):
        says = "is missing: the log was truncated, or is an earlier copy"
        refused(store, "audit", "verify", "--checkpoint", file(store), *how, code=9, says=["event 4 of ", says])


def test_another_signer_needs_trust(store: Cli, prefix: str):
    signer = public_key(store)
    key = store.home / ".config/keyctl/bundle.key"
    key.rename(store.home / "elsewhere.key")
    verify = ("audit", "verify", "--checkpoint", file(store))

    hint = "--checkpoint requires --trust: there is no signing key here"
    refused(store, *verify, code=2, says=[hint, "keyctl bundle key"])
    store(*verify, "--trust", signer, check=0)
    store("bundle", "key", "--create", check=0)
    refused(store, *verify, code=9, says=[f"is signed by {signer}, which is not trusted", "--trust"])
    refused(store, *verify, "--trust", public_key(store), code=9, says="which is not trusted")
    store(*verify, "--trust", public_key(store), "--trust", signer, check=0)
    new = store("audit", "checkpoint", "--checkpoint", file(store), "--trust", signer, "--resume", check=0).out
    assert new.split(" ")[6] == public_key(store)
    old = store("audit", "checkpoint", "--key", store.home / "elsewhere.key", check=0).out
    assert old.split(" ")[6] == signer
    refused(store, "audit", "checkpoint", "--key", store.home / "missing.key", code=3, says="no signing key")


def test_checkpoints_that_prove_nothing_are_an_error(store: Cli, prefix: str):
    line = file(store).read_text()
    verify = ("audit", "verify", "--checkpoint", "-")

    refused(store, *verify, stdin="", code=9, says="no checkpoint in standard input")
    refused(store, *verify, stdin=line[:-9], code=9, says="checkpoint 1 in standard input cannot be read")
    refused(store, *verify, stdin=line.replace(" 4 ", " 3 "), code=9, says="the signature of checkpoint 1 in standard")
    refused(store, *verify, stdin=line.encode() + b"\xff keyctl-checkpoint-v1 \xff", code=9, says="checkpoint 2 in")
    refused(store, "audit", "verify", "--checkpoint", store.home / "none", code=2, says="cannot read")
    for args in (["--resume"], ["--trust", public_key(store)]):
        refused(store, "audit", "verify", *args, code=2, says="--trust and --resume require --checkpoint")
    refused(store, *verify, "--trust", "x", stdin=line, code=2, says='"x" is not a public key')


def test_a_checkpoint_of_another_store_proves_nothing(store: Cli, prefix: str):
    execute(store, "update settings set value = 'store_other' where name = 'store_id'")

    says = ["is of the store store_01", "and this is the store store_other"]
    refused(store, "audit", "verify", "--checkpoint", file(store), code=9, says=says)
