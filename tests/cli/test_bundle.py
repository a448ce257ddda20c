from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import CHEAP, Filled, dump, mint, refused, seconds_from_now, show
from tests.imports import imported_by, packages
from tests.runner import Cli, Result
from tests.second_reader import SecondReader


@pytest.fixture
def signer(filled: Filled) -> str:
    """The public key of who signs; the private one is in the configuration folder."""
    public: str = filled(a_signing_key)
    return public


def a_signing_key(store: Cli) -> str:
    return store("bundle", "key", "--create", check=0).out.strip()


def private_file(cli: Cli) -> Path:
    return cli.home / ".config/keyctl/bundle.key"


def export(cli: Cli, *args: str) -> dict[str, Any]:
    return cli("bundle", "export", "keys.bundle", "--json", *args, check=0).json


def ask(cli: Cli, signer: str, key: str, *args: str, **how: Any) -> Result:
    return cli("verify", "--bundle", "keys.bundle", "--trust", signer, *args, stdin=key, **how)


def untrusted(cli: Cli, signer: str, key: str, *args: str, reason: str) -> Result:
    """Claim that there is no answer about the key: plain, as JSON, and as a response."""
    result = ask(cli, signer, key, *args, check=20)
    assert result.out == f"UNTRUSTED_BUNDLE ({reason})\n"
    answer = ask(cli, signer, key, "--json", *args, check=20).json
    assert (answer["valid"], answer["code"], answer["reason"]) == (False, "UNTRUSTED_BUNDLE", reason)
    assert (answer["key"], answer["owner"], answer["http"]["status"]) == (None, None, 503)
    assert ask(cli, signer, key, "--http", *args, check=20).out.startswith("HTTP/1.1 503 ")
    for text in (key, key.rpartition("_")[0], "Traceback"):
        assert text not in result.out + result.err
    return result


# ── bundle key ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_signing_key_is_made_once_and_its_private_part_is_never_printed(store: Cli):
    refused(store, "bundle", "key", code=3, says="there is no signing key")
    made = store("bundle", "key", "--create", check=0)
    private = private_file(store).read_text().split()[1]

    refused(store, "bundle", "key", "--create", code=4, says="already")
    shown = [made, store("bundle", "key", check=0), store("bundle", "key", "--json", check=0), store("--help")]
    shown += [store("bundle", "export", "keys.bundle", check=0), store("bundle", "show", "keys.bundle", check=0)]

    assert shown[1].out == made.out
    assert shown[2].json["public_key"] == made.out.strip()
    assert private_file(store).stat().st_mode & 0o777 == 0o600
    assert all(private not in result.out + result.err for result in shown)
    assert private not in json.dumps(dump(store), default=str)
    assert private not in (store.cwd / "keys.bundle").read_text()


@pytest.mark.sqlite
def test_a_signing_key_that_others_may_read_signs_nothing(store: Cli, signer: str):
    private_file(store).chmod(0o640)

    for args in (["bundle", "key"], ["bundle", "export", "keys.bundle"]):
        refused(store, *args, code=4, says=["other users may read", "chmod 600"])
    assert not (store.cwd / "keys.bundle").exists()


@pytest.mark.sqlite
def test_a_signing_key_may_lie_elsewhere(store: Cli):
    public = store("bundle", "key", "--create", "--key", "ours.key", check=0).out.strip()

    assert export(store, "--key", "ours.key")["signer"] == public
    assert not private_file(store).exists()


@pytest.mark.sqlite
def test_a_public_key_is_not_taken_for_a_private_one(store: Cli, signer: str):
    (store.cwd / "public").write_text(signer + "\n")
    (store.cwd / "public").chmod(0o600)

    refused(store, "bundle", "export", "keys.bundle", "--key", "public", code=2, says="is not a signing key")


# ── bundle export and show ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_bundle_is_written_and_the_answer_describes_it(store: Cli, signer: str):
    mint(store)

    answer = export(store, "--valid-for", "2h")

    assert answer["file"] == "keys.bundle"
    assert answer["signer"] == signer
    assert 7190 < seconds_from_now(answer["valid_until"]) <= 7200
    assert (store.cwd / "keys.bundle").stat().st_mode & 0o777 == 0o600
    plain = store("bundle", "export", "keys.bundle", check=0)
    assert (plain.out, plain.err) == ("keys.bundle\n", "")
    default = store("bundle", "show", "keys.bundle", "--json", check=0).json
    assert 86390 < seconds_from_now(default["valid_until"]) <= 86400


@pytest.mark.sqlite
def test_at_a_terminal_it_is_said_how_to_use_it(store: Cli, signer: str):
    shown = store.tty("bundle", "export", "keys.bundle", check=0).out

    assert f"keyctl verify --bundle keys.bundle --trust {signer}" in shown


def test_export_is_an_event_and_the_audit_stays_whole(store: Cli, signer: str):
    answer = export(store, "--env", "live", "--reason", "for the gateway")

    event = store("audit", "list", "--json", "--limit", "1", check=0).json["events"][-1]
    store("audit", "verify", check=0)
    assert (event["action"], event["reason"]) == ("bundle.exported", "for the gateway")
    assert event["detail"]["bundle"]["sequence"] == answer["sequence"]
    assert event["detail"]["bundle"]["filter"] == {"environment": ["live"]}


def test_show_counts_what_is_in_it(store: Cli, signer: str):
    minted = [mint(store, "--owner", "acme", "--create-owner") for _ in range(3)]
    store("revoke", minted[0]["prefix"], "--yes", check=0)
    store("lock", minted[1]["prefix"], check=0)
    export(store)

    facts = store("bundle", "show", "keys.bundle", "--json", check=0).json

    assert facts["keys"] == {"active": 1, "retiring": 0, "disabled": 0, "locked": 1, "expired": 0, "revoked": 1}
    assert (facts["owners"], facts["signer"], facts["verifies"]) == (1, signer, True)
    lines = dict(line.split("\t") for line in store("bundle", "show", "keys.bundle", check=0).out.splitlines())
    assert lines["signed by"] == signer
    assert lines["verifies"] == "yes: signature and all digests are valid"
    store("bundle", "show", "keys.bundle", "--trust", signer, check=0)
    result = store("bundle", "show", "keys.bundle", "--trust", "A" * 43, check=20)
    assert result.out == ""
    assert signer in result.err


@pytest.mark.sqlite
def test_show_describes_a_bundle_that_is_too_old(store: Cli, signer: str):
    export(store, "--valid-for", "1s")
    subprocess.run(["sleep", "1.1"], check=True)

    result = store("bundle", "show", "keys.bundle", "--json", check=20)

    assert result.json["verifies"] is False
    assert "was valid until" in result.err


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--valid-for", "0"], 2, "--valid-for must be greater than zero"),
        (["--valid-for", "-1h"], 2, ""),
        (["--valid-for", "soon"], 2, "is not a duration"),
        (["--env", "liev"], 2, "live"),
        (["--status", "dead"], 2, "unknown status"),
        (["--owner", "nobody"], 3, "no owner"),
        (["--key", "missing"], 3, "there is no signing key"),
    ],
)
def test_what_cannot_be_exported(store: Cli, signer: str, args: list[str], code: int, says: str):
    refused(store, "bundle", "export", "keys.bundle", *args, code=code, says=says)
    assert list(store.cwd.iterdir()) == []


@pytest.mark.sqlite
@pytest.mark.parametrize("where", [".", "missing/keys.bundle", "/dev/null"])
def test_what_cannot_be_written(store: Cli, signer: str, where: str):
    refused(store, "bundle", "export", where, code=2, says="cannot write the bundle")


def test_the_revocation_delay_is_reported(store: Cli, signer: str):
    keys = [mint(store) for _ in range(3)]
    assert "bundle" not in store("revoke", keys[0]["prefix"], "--yes", check=0).err
    until = export(store, "--valid-for", "2h")["valid_until"]
    export(store, "--valid-for", "1h")  # the longest counts

    for command in (["revoke", keys[1]["prefix"], "--yes"], ["lock", keys[2]["prefix"]]):
        result = store(*command, check=0)
        assert f"until {until}" in result.err
        assert "bundle" not in result.out
    assert "bundle" not in store("revoke", keys[1]["prefix"], "--yes", check=0).err  # it was revoked before


# ── verify --bundle ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_judged_as_the_store_does(store: Cli, signer: str):
    good = mint(store, "--owner", "acme", "--create-owner", "--scope", "read")
    bad = mint(store)
    store("revoke", bad["prefix"], "--yes", "--reason", "leaked", check=0)
    export(store, "--with-names")

    result = ask(store, signer, good["key"], "--scope", "read", "--env", "live", "--resource-owner", "acme", check=0)
    assert result.out.startswith(f"VALID {good['prefix']} owner acme [bundle made ")
    assert result.err == ""
    answer = ask(store, signer, good["key"], "--json", check=0).json
    assert answer["bundle"]["signer"] == signer
    assert 0 <= answer["bundle"]["age_seconds"] < 60
    assert ask(store, signer, bad["key"], check=12).out.startswith("KEY_REVOKED")
    assert ask(store, signer, good["key"], "--scope", "write", check=16).out.startswith("FORBIDDEN_SCOPE")
    assert ask(store, signer, "nonsense", check=11).out.startswith("INVALID_API_KEY (malformed)")
    assert ask(store, signer, "", check=10)


def test_an_owner_that_goes_by_its_id_is_reported(store: Cli, signer: str):
    key = mint(store, "--owner", "acme", "--create-owner")
    export(store)
    owner_id = store("owner", "show", "acme", "--json", check=0).json["id"]

    result = ask(store, signer, key["key"], "--resource-owner", "acme", check=24)
    assert "identifies owners by id" in result.err
    assert ask(store, signer, key["key"], "--resource-owner", owner_id, check=0).err == ""


@pytest.mark.sqlite
def test_no_database_is_opened_and_none_is_needed(store: Cli, signer: str, tmp_path: Path):
    key = mint(store)["key"]
    export(store)
    folder = store.home / ".local/share/keyctl"
    shutil.move(folder, tmp_path / "away")
    folder.parent.chmod(0o755)

    assert ask(store, signer, key, check=0).out.startswith("VALID")
    assert ask(store, signer, key, check=0, env={"KEYCTL_STORE": "postgresql://nowhere.invalid/x"})
    assert ask(store, signer, key, "--store", "/dev/null/x.db", check=0)
    assert not folder.exists()


@pytest.mark.sqlite
def test_neither_a_database_nor_a_network_is_imported(store: Cli, signer: str):
    key = mint(store)["key"]
    export(store)
    args = ["-m", "keyctl", "verify", "--bundle", str(store.cwd / "keys.bundle"), "--trust", signer, "--no-state"]

    imported = imported_by(*args, env={"HOME": str(store.home)}, stdin=key)

    assert packages(imported) & {"sqlite3", "_sqlite3", "sqlalchemy", "alembic", "psycopg", "socket", "ssl"} == set()
    assert not any(name in {"keyctl.store.database", "keyctl.store.sqlite_reader"} for name in imported)
    assert "keyctl.bundles.bundle" in imported


@pytest.mark.sqlite
def test_the_network_may_be_gone(store: Cli, signer: str):
    key = mint(store)["key"]
    export(store)
    unshare = [shutil.which("unshare") or "unshare", "-rn"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a user leave the network")
    verify = [sys.executable, "-P", "-m", "keyctl", "verify", "--bundle", "keys.bundle", "--trust", signer]

    done = subprocess.run(
        [*unshare, *verify], input=key, cwd=store.cwd, env=store.env, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout.split()[0]) == (0, "VALID"), done.stderr


def test_a_request_is_judged_from_a_bundle(store: Cli, signer: str):
    key = mint(store)["key"]
    export(store)
    head = f"GET / HTTP/1.1\r\nhost: api.example\r\nauthorization: Bearer {key}\r\n\r\n"

    decided = [
        store("verify", "--bundle", "keys.bundle", "--trust", signer, "--request", "-", stdin=head),
        store("verify", "--request", "-", stdin=head),
    ]

    assert decided[0].code == decided[1].code
    assert decided[0].out.split()[0] == decided[1].out.split()[0]


# ── near misses ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_only_a_trusted_signer_is_accepted(store: Cli, signer: str):
    key = mint(store)["key"]
    store_id = export(store)["store_id"]
    stranger = store("bundle", "key", "--create", "--key", "stranger.key", check=0).out.strip()

    untrusted(store, stranger, key, reason="signer")
    untrusted(store, f"store_x:{signer}", key, reason="store")
    for trust in (f"{store_id}:{signer}", signer):
        ask(store, trust, key, check=0)
    ask(store, stranger, key, "--trust", signer, check=0)  # rollover


def test_another_stores_bundle_is_refused_where_the_store_is_pinned(store: Cli, signer: str):
    key = mint(store)["key"]
    store_id = export(store)["store_id"]
    store("init", "--store", "./other.db", *CHEAP, check=0)

    store("bundle", "export", "keys.bundle", "--store", "./other.db", check=0)

    untrusted(store, f"{store_id}:{signer}", key, reason="store")
    assert ask(store, signer, key, "--no-state", check=11)


@pytest.mark.sqlite
def test_bytes_that_were_altered_are_refused(store: Cli, signer: str):
    key = mint(store)["key"]
    export(store)
    path = store.cwd / "keys.bundle"
    whole = path.read_bytes()
    line = whole.index(b"\n")
    block = whole.index(b'["kc_live_', line)  # the keys' block comes first

    for at, reason in ((70, "signature"), (line - 20, "signature"), (block + 50, "damaged")):
        other = b"B" if whole[at : at + 1] == b"A" else b"A"  # base64url, within the signature
        path.write_bytes(whole[:at] + other + whole[at + 1 :])
        result = ask(store, signer, key, "--no-state", check=20)
        assert result.out.startswith(f"UNTRUSTED_BUNDLE ({reason})")
        assert key.rpartition("_")[0] not in result.out + result.err


@pytest.mark.sqlite
def test_records_swapped_in_from_an_older_bundle_are_refused(store: Cli, signer: str):
    key = mint(store)
    export(store)
    path = store.cwd / "keys.bundle"
    old_body = path.read_bytes().partition(b"\n")[2]
    store("revoke", key["prefix"], "--yes", check=0)
    export(store)

    path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n" + old_body)

    assert "UNTRUSTED_BUNDLE (damaged)" in ask(store, signer, key["key"], check=20).out


@pytest.mark.sqlite
def test_an_older_bundle_is_refused_after_a_newer_one(store: Cli, signer: str):
    key = mint(store)
    export(store)
    old = (store.cwd / "keys.bundle").read_bytes()
    store("revoke", key["prefix"], "--yes", check=0)
    export(store)
    ask(store, signer, key["key"], "--no-state", check=12)
    state = store.home / ".local/state/keyctl/bundles.json"
    assert not state.exists()
    ask(store, signer, key["key"], check=12)

    (store.cwd / "keys.bundle").write_bytes(old)

    assert "--no-state" in untrusted(store, signer, key["key"], reason="sequence").err
    ask(store, signer, key["key"], "--no-state", check=0)
    assert state.stat().st_mode & 0o777 == 0o600


@pytest.mark.sqlite
def test_a_bundle_that_is_too_old_is_refused(store: Cli, signer: str):
    key = mint(store)["key"]
    export(store, "--valid-for", "1s")
    subprocess.run(["sleep", "1.1"], check=True)

    untrusted(store, signer, key, reason="age")
    export(store, "--valid-for", "1h")
    subprocess.run(["sleep", "1.1"], check=True)
    untrusted(store, signer, key, "--max-age", "1s", reason="age")
    ask(store, signer, key, "--max-age", "1h", check=0)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "content", [b"", bytes(5000), b"\x1f\x8b\x08" + bytes(range(256)), b"keyctl-bundle-v2 a b {}\n"]
)
def test_what_is_no_bundle_is_refused(store: Cli, signer: str, content: bytes):
    (store.cwd / "keys.bundle").write_bytes(content)

    untrusted(store, signer, mint(store)["key"], reason="damaged")


@pytest.mark.sqlite
def test_a_file_that_cannot_be_read_is_refused(store: Cli, signer: str):
    key, path = mint(store)["key"], store.cwd / "keys.bundle"

    untrusted(store, signer, key, reason="damaged")
    path.symlink_to(path)
    untrusted(store, signer, key, reason="damaged")
    path.unlink()
    path.mkdir()
    untrusted(store, signer, key, reason="damaged")
    path.rmdir()
    with path.open("wb") as file:
        file.write(b"keyctl-bundle-v1 ")
        file.truncate(100 * 1024 * 1024)
    assert "longer than 262,144 bytes" in untrusted(store, signer, key, reason="damaged").err


@pytest.mark.sqlite
def test_a_pipe_is_no_bundle(store: Cli, signer: str):
    key = mint(store)["key"]
    export(store)

    result = store.shell(
        f"keyctl verify --bundle <(cat keys.bundle) --trust {signer} <<< '{key}'", check=20, timeout=20
    )

    assert result.out == "UNTRUSTED_BUNDLE (damaged)\n"


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--trust", "short"], "is not a public key"),
        (["--trust", "A" * 44], "is not a public key"),
        (["--trust", b"\xff" * 43], "is not a public key"),
        (["--max-age", "0"], "--max-age 1h"),
        (["--max-age", "old"], "is not a duration"),
        (["--record"], "--record cannot be used with --bundle"),
        (["--scope", "raed"], 'did you mean "read"?'),
    ],
)
def test_what_cannot_be_understood(store: Cli, signer: str, args: list[Any], says: str):
    key = mint(store)["key"]
    export(store)

    refused(
        store, "verify", "--bundle", "keys.bundle", "--trust", signer, *args, "--no-state", stdin=key, code=2, says=says
    )
    refused(store, "verify", "--bundle", "keys.bundle", stdin=key, code=2, says="--trust PUBLIC-KEY")
    refused(store, "verify", "--trust", signer, stdin=key, code=2, says="--bundle")


@pytest.mark.sqlite
def test_a_state_that_cannot_be_kept_is_reported(store: Cli, signer: str):
    key = mint(store)["key"]
    export(store)
    (store.home / ".local/state").mkdir(parents=True)
    (store.home / ".local/state/keyctl").touch()

    result = ask(store, signer, key, check=6)

    assert result.out == ""
    assert "--no-state" in result.err
    ask(store, signer, key, "--no-state", check=0)


# ── the whole way ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_second_reader_reads_what_the_command_wrote(store: Cli, signer: str):
    from datetime import UTC, datetime

    key = mint(store, "--owner", "acme", "--create-owner", "--scope", "read")
    export(store)

    row = SecondReader(store.cwd / "keys.bundle", signer, datetime.now(UTC)).key(key["prefix"])

    assert row is not None
    assert (row["id"], row["scopes"]) == (show(store, key["prefix"])["id"], ["read"])


def test_no_secret_is_anywhere(store: Cli, signer: str):
    key = mint(store)["key"]
    secret = key.rpartition("_")[2]
    outputs = [
        store("bundle", "export", "keys.bundle", "--with-names", check=0),
        store("bundle", "show", "keys.bundle", check=0),
        ask(store, signer, key, check=0),
        ask(store, signer, key, "--json", check=0),
    ]

    assert all(secret not in result.out + result.err for result in outputs)
    for folder, _, files in os.walk(store.home.parent):
        for name in files:
            assert secret.encode() not in Path(folder, name).read_bytes()
