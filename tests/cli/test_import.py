"""`keyctl import`: keys of other programs, with the hashes that these made, stay valid as they are."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest

from keyctl.store import tables
from tests.cli.helpers import CHEAP, dump, refused, show, verify, write_profile
from tests.exchange import foreign_rows
from tests.runner import Cli

FOREIGN = """
[[foreign]]
name = "drf"
template = "{prefix}.{secret}"
fields.prefix = { length = 8 }
fields.secret = { length = 32 }

[[foreign]]
name = "keyshield"
template = "ak_v1-{prefix}-{secret}"
hash_of = "secret"
fields.prefix = { alphabet = "hex", length = 16 }
fields.secret = { length = 64 }

[[foreign]]
name = "stripe-like"
template = "sk_live_{prefix}{secret}"
fields.prefix = { length = 4 }
fields.secret = { length = 32 }

[[foreign]]
name = "unkey"
template = "acme_{prefix}{secret}"
fields.prefix = { alphabet = "base58", length = 4 }
fields.secret = { alphabet = "base58", length = 18, shortest = 16 }

[scopes.list]
read = {}
write = {}
"""
UNKEY_KEY = "acme_3fA9" + "x1Yz2Wq3Rt4Uv5Xw6"
UNKEY_HASH = base64.b64encode(hashlib.sha256(UNKEY_KEY.encode()).digest()).decode()
DRF_KEY = "abcdEF12.0123456789abcdefABCDEF0123456789"
DRF_HASH = f"sha512$${hashlib.sha512(DRF_KEY.encode()).hexdigest()}"
PROGRAMS = [
    *("drf", "django pbkdf2_sha256", "django pbkdf2_sha1", "django bcrypt_sha256", "django bcrypt", "django argon2"),
    *("django scrypt", "keyshield-argon2", "keyshield-bcrypt", "bcrypt", "unkey"),
]


@functools.cache
def rows() -> dict[str, list[dict[str, Any]]]:
    """Real rows, by the program that made them."""
    script = [sys.executable, foreign_rows.__file__]
    made = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[dict[str, Any]]] = {}
    for line in made.splitlines():
        row = json.loads(line)
        found.setdefault(row.pop("program"), []).append(row)
    # As its documentation says, in every language: base64 of the SHA-256 of the whole key.
    found["unkey"] = [{"key": UNKEY_KEY, "prefix": "acme_3fA9", "hash": UNKEY_HASH}]
    return found


@pytest.fixture
def moving(cli: Cli) -> Cli:
    """keyctl with an empty store whose profile knows foreign keys, and with the pepper of keyshield."""
    cli("init", "--profile", write_profile(cli, FOREIGN), *CHEAP, check=0)
    pepper = base64.urlsafe_b64encode(foreign_rows.PEPPER.encode()).decode().rstrip("=")
    file = cli.home / "pepper.key"
    file.write_text(f"old foreign:{pepper}\nnone\n")
    file.chmod(0o600)
    cli.env["KEYCTL_PEPPER_FILE"] = str(file)
    return cli


def lines(*values: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in values)


def line(**changes: Any) -> dict[str, Any]:
    return {"prefix": "abcdEF12", "hash": DRF_HASH} | changes


# ── each program ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_of_other_programs_stay_valid_and_are_hashed_again_when_they_are_used(moving: Cli):
    first = {program: made[0] for program, made in rows().items()}
    assert first.keys() == set(PROGRAMS)
    named = [program for program in PROGRAMS if program.startswith("keyshield")]
    for given, programs in (
        ([], [program for program in PROGRAMS if program not in named]),
        *((["--hash-format", program, "--hash-pepper", "old"], [program]) for program in named),
    ):
        moving("import", "-", *given, stdin=lines(*(without_text(first[program]) for program in programs)), check=0)
    imported = hashes(moving)

    for row in first.values():
        altered = row["key"][:-1] + ("a" if row["key"][-1] != "a" else "b")
        assert verify(moving, altered) == "INVALID_API_KEY", row["prefix"]
        # The key stays valid, and then its hash is the store's.
        assert moving("verify", "--record", stdin=row["key"], check=0).out.startswith(f"VALID {row['prefix']}")

    used = hashes(moving)
    for program, row in first.items():
        # What Django makes with Argon2 is of the store's own form already.
        own = "$argon2id$v=19$m=8,t=1,p=1$"
        assert imported[row["prefix"]].startswith(own if program == "django argon2" else "$foreign$skip=")
        assert used[row["prefix"]].startswith(own)
    assert verify(moving, first["drf"]["key"]) == "VALID"
    assert verify(moving, first["drf"]["key"][:-1] + "-") == "INVALID_API_KEY"
    assert moving("audit", "verify", check=0).out.startswith("intact: ")


def test_what_another_program_says_of_a_key_is_kept(moving: Cli):
    [active, revoked], [service] = rows()["drf"], rows()["keyshield-argon2"]
    shield = {"hash_format": "keyshield-argon2"} | without_text(service)

    moving("import", "-", stdin=lines(without_text(active), without_text(revoked)), check=0)
    moving("import", "-", "--hash-pepper", "old", stdin=lines(shield), check=0)

    assert verify(moving, active["key"]) == "VALID"
    assert verify(moving, revoked["key"]) == "KEY_REVOKED"
    assert verify(moving, service["key"], "--scope", "read") == "VALID"
    assert verify(moving, service["key"], "--scope", "write") == "FORBIDDEN_SCOPE"
    kept = show(moving, revoked["prefix"])
    assert (kept["name"], kept["revoked_reason"]) == ("a client", "imported as revoked")


def test_an_imported_key_verifies_in_a_bundle(moving: Cli):
    moving("import", "-", stdin=lines(line()), check=0)
    moving("bundle", "key", "--create", check=0)
    signer = json.loads(moving("bundle", "export", "keys.bundle", "--json", check=0).out)["signer"]
    bundle = ["--bundle", "keys.bundle", "--trust", signer]

    assert verify(moving, DRF_KEY, *bundle) == "VALID"
    assert verify(moving, DRF_KEY[:-1] + "8", *bundle) == "INVALID_API_KEY"


def test_a_foreign_key_verifies_after_its_format_left_the_profile(moving: Cli):
    moving("import", "-", stdin=lines(line()), check=0)

    assert "foreign\tdrf" in moving("inspect", "--profile", moving.home / "acme.toml", stdin=DRF_KEY, check=0).out
    moving("profile", "apply", write_profile(moving, FOREIGN[FOREIGN.index("[scopes") :]), check=0)

    assert verify(moving, DRF_KEY) == "VALID"
    assert verify(moving, DRF_KEY[:-1] + "8") == "INVALID_API_KEY"


def test_without_the_library_of_its_hash_a_key_has_no_answer(moving: Cli):
    row = rows()["bcrypt"][0]
    moving("import", "-", stdin=lines(without_text(row), line()), check=0)
    run = "import sys, runpy; sys.modules['bcrypt'] = None; sys.argv[1:] = ['verify']"
    script = f"{run}; runpy.run_module('keyctl', None, '__main__', True)"

    result = moving.spawn_python("-c", script, stdin=row["key"]).wait().expect(5)
    assert "pip install bcrypt" in result.err
    # It matters to no other key.
    assert moving.spawn_python("-c", script, stdin=DRF_KEY).wait().expect(0).out.startswith("VALID")
    moving.spawn_python("-c", script, stdin=DRF_KEY[:-1] + "8").wait().expect(11)


def test_a_key_that_is_given_itself_is_hashed_as_new_ones_are(moving: Cli):
    file = moving.cwd / "keys.jsonl"
    file.write_text(lines({"key": DRF_KEY, "name": "own"}))
    file.chmod(0o644)

    result = moving("import", file, check=0)

    assert "other users may read it" in result.err
    assert hashes(moving)["abcdEF12"].startswith("$argon2id$")
    assert verify(moving, DRF_KEY) == "VALID"
    for sink in (result.out, result.err, str(dump(moving))):
        assert DRF_KEY[9:] not in sink


def test_a_key_in_a_file_of_another_user_is_refused(moving: Cli):
    file = moving.cwd / "theirs.jsonl"
    file.write_text(lines({"key": DRF_KEY}))
    another = "import os, sys, runpy; os.geteuid = lambda: 4711"
    run = f"sys.argv[1:] = ['import', {str(file)!r}]; runpy.run_module('keyctl', None, '__main__', True)"

    result = moving.spawn_python("-c", f"{another}; {run}").wait().expect(4)

    assert "only from standard input, or from a file of your own" in result.err


def test_no_command_takes_a_foreign_key_as_an_argument(moving: Cli):
    moving("import", "-", stdin=lines(line()), check=0)

    for key in (DRF_KEY, UNKEY_KEY):
        result = refused(moving, "update", "abcdEF12", "--name", key, code=2, says="an argument contains a key")
        assert key not in result.err


# ── all or nothing ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_line_that_is_refused_is_listed_and_nothing_is_imported(moving: Cli):
    bad = [
        line(),
        line(prefix="abcdEF12"),
        line(prefix="short"),
        line(prefix="abcdEF13", hash="nonsense"),
        line(prefix="abcdEF14", scopes=["wirte"]),
        line(prefix="abcdEF15", environment="staging"),
        line(prefix="abcdEF16", owner="nobody"),
        line(prefix="abcdEF17", owner=7),
        line(prefix="abcdEF18", expires_at="2027-01-31T00:00:00"),
        line(prefix="abcdEF19", created_at="2999-01-01T00:00:00Z"),
        line(prefix="abcdEF20", allowed_ips=["300.0.0.1"]),
        line(prefix="abcdEF21", metadata={"a": 1}),
        line(prefix="abcdEF22", revoked="perhaps"),
        line(prefix="abcdEF23", hash="$2b$15$" + "a" * 53),
        line(prefix="abcdEF24", hash="$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + "a" * 43),
        line(prefix="abcdEF25", colour="red"),
        {"prefix": "abcdEF26"},
        {"hash": DRF_HASH},
        {"key": "nonsense"},
        line(prefix="abcdEF27", key=DRF_KEY),
    ]

    result = refused(moving, "import", "-", code=4, stdin=lines(*bad) + "{\n[1]\n\n")

    assert result.err.splitlines()[1:-1] == [
        "  line 2: line 1 has the same prefix, abcdEF12",
        "  line 3: prefix is of no format of the profile: add a foreign format to it; see: keyctl help import",
        "  line 4: its hash is of no known form",
        '  line 5: unknown scope "wirte" in profile "acme"',
        '  line 6: unknown environment "staging" in profile "acme"',
        '  line 7: there is no owner "nobody": add it, or give --create-owner',
        "  line 8: owner is not a text",
        "  line 9: expires_at is not a time with a zone, such as 2027-01-31T00:00:00Z",
        "  line 10: created_at is in the future",
        '  line 11: "300.0.0.1" is not a network',
        "  line 12: metadata is not an object of texts",
        "  line 13: revoked is not true or false",
        "  line 14: its bcrypt cost is 15, and at most 14 is accepted",
        "  line 15: several programs write such a hash: give --hash-format keyctl, argon2 or keyshield-argon2",
        '  line 16: unknown field "colour"',
        "  line 17: hash is missing",
        "  line 18: prefix is missing",
        "  line 19: key is of no format of the profile (8 characters, malformed)",
        "  line 20: key and hash are both there: give one of them",
        "  line 21: it is not JSON",
        "  line 22: it is not a JSON object: one line is one key",
    ]
    assert "21 lines are refused, and nothing was imported" in result.err


def test_what_may_be_a_key_is_never_quoted(moving: Cli):
    for values in (
        {"environment": DRF_KEY},
        {"scopes": [DRF_KEY]},
        {DRF_KEY: 1},
        {"name": "x" * 300, "owner": DRF_KEY},
    ):
        result = refused(moving, "import", "-", code=4, stdin=lines(line(**values)))
        assert DRF_KEY[9:] not in result.err
    heading = refused(moving, "import", "-", code=2, stdin=f"{DRF_KEY},x\n1,2\n", says="no heading")
    assert DRF_KEY[9:] not in heading.err


def test_a_prefix_of_the_store_is_refused(moving: Cli):
    moving("import", "-", stdin=lines(line()), check=0)

    refused(moving, "import", "-", code=4, stdin=lines(line()), says="line 1: the store has a key with the prefix")


def test_the_number_of_lines_that_are_listed_is_bounded(moving: Cli):
    result = refused(moving, "import", "-", code=4, stdin="{\n" * 5000)

    assert "1,000 lines are refused" in result.err
    assert result.err.count("  line ") == 100
    assert "and 900 more" in result.err
    assert "the rest of the file was not read" in result.err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--hash-format", "bcrypt"], "its hash is not of the form bcrypt"),
        (["--hash-format", "sha256"], "its hash is not of the form sha256"),
        (["--hash-format", "keyshield-argon2"], "needs its pepper: give --hash-pepper ID"),
        (["--hash-pepper", "old"], "has no pepper: omit --hash-pepper"),
    ],
)
def test_a_wrong_form_of_hash_is_refused_with_its_line(moving: Cli, given: list[str], says: str):
    refused(
        moving, "import", "-", *given, code=4, stdin=lines(line()), says=f"line 1: {'a ' if 'pepper' in says else ''}"
    )
    refused(moving, "import", "-", *given, code=4, stdin=lines(line()), says=says)


def test_a_pepper_that_is_missing_is_an_unknown_answer(moving: Cli):
    given = ["--hash-format", "keyshield-argon2", "--hash-pepper", "other"]

    refused(moving, "import", "-", *given, code=5, stdin=lines(line()), says='the foreign pepper "other" is required')


def test_a_hash_of_the_secret_alone_is_checked_as_such(moving: Cli):
    hashed = hashlib.sha256(DRF_KEY[9:].encode()).hexdigest()

    moving("import", "-", "--hash-of", "secret", stdin=lines(line(hash=hashed)), check=0)

    assert verify(moving, DRF_KEY) == "VALID"
    assert verify(moving, DRF_KEY[:-1] + "8") == "INVALID_API_KEY"


def test_a_dry_run_checks_everything_and_changes_nothing(moving: Cli):
    before = dump(moving)

    result = moving("import", "-", "--dry-run", "--create-owner", stdin=lines(line(owner="acme")), check=0)

    assert (result.out, result.err) == ("", "keyctl: would import 1 key and 1 owner: nothing was changed\n")
    assert dump(moving) == before


def test_owners_are_created_only_if_that_is_asked_for(moving: Cli):
    values = [
        line(owner="acme"),
        line(prefix="abcdEF13", owner="acme"),
        {"owner": {"handle": "globex", "name": "Globex"}},
    ]

    refused(moving, "import", "-", code=4, stdin=lines(*values), says='line 1: there is no owner "acme"')
    result = moving("import", "-", "--create-owner", "--json", stdin=lines(*values), check=0)

    assert result.json == {"imported": {"keys": 2, "owners": 2}}
    assert show(moving, "abcdEF13")["owner"] == "acme"
    assert moving("owner", "show", "globex", "--json", check=0).json["name"] == "Globex"


def test_an_import_is_in_the_audit_log(moving: Cli):
    moving("import", "-", "--reason", "moved in", stdin=lines(line(), line(prefix="abcdEF13")), check=0)

    [event] = [
        one for one in moving("audit", "list", "--json", check=0).json["events"] if one["action"] == "key.imported"
    ]
    assert event["reason"] == "moved in"
    assert DRF_HASH[8:] not in json.dumps(event)
    assert moving("audit", "verify", check=0).out.startswith("intact: 2 events, 2 keys")


# ── input ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_csv_is_read_by_its_heading(moving: Cli):
    file = moving.cwd / "keys.csv"
    file.write_text(
        "\ufeffPrefix,hash,scopes,name,revoked,metadata,created_at\r\n"
        f'abcdEF12,{DRF_HASH},"read,write","a, b",f,"{{""team"": ""x""}}",2026-01-02 03:04:05.123456+00\r\n'
        "\r\n"
        f"abcdEF13,{DRF_HASH},read write,,true,,\r\n"
    )

    moving("import", file, check=0)

    first, second = show(moving, "abcdEF12"), show(moving, "abcdEF13")
    assert (first["scopes"], first["name"], first["metadata"]) == (["read", "write"], "a, b", {"team": "x"})
    assert first["created_at"] == "2026-01-02T03:04:05.123Z"
    assert (second["scopes"], second["name"], second["status"]) == (["read", "write"], None, "revoked")


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", 2, "the CSV file has no heading"),
        (b"abcdEF12,x\n", 2, "the CSV file has no heading"),
        (b"prefix,hsah\n", 2, 'the heading has unknown field "hsah"'),
        (b"prefix,hash,hash\n", 2, "the heading has a field twice"),
        (b"prefix,hash\n", 2, "there is no key in the file"),
        (b"prefix,hash\nabcdEF12\n", 4, "line 2: it has 1 fields, and the heading 2"),
        (b'prefix,hash\n"abcdEF12,x\n', 4, "line 2: its quotes are wrong"),
        (b"prefix,hash\n\xff\xfe,x\n", 4, "line 2: it is not UTF-8 text"),
        (b"\x7fELF\x02\x01\x00\x00" + bytes(range(256)) * 50, 2, "the CSV file has no heading"),
        (b'{"prefix": "a\xff"}\n', 4, "line 1: it is not UTF-8 text"),
        (b'{"prefix": "a", "prefix": "b"}\n', 4, "line 1: a field is there twice"),
        (b'{"a":' * 50_000 + b"\n", 4, "line 1: it is longer than 65,536 bytes"),
        (b'{"a":' * 10_000 + b"\n", 4, "line 1: it is not JSON"),
        (b"[\n", 4, "line 1: it is not JSON"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(moving: Cli, content: bytes, code: int, says: str):
    refused(moving, "import", "-", code=code, stdin=content, says=says)


def test_a_file_that_cannot_be_read_is_refused(moving: Cli):
    for file in ("missing.jsonl", ".", "/dev/zero"):
        refused(moving, "import", file, code=2, says="cannot read")
    for option, value in (("--input-format", "xml"), ("--hash-format", "md5"), ("--hash-of", "half")):
        refused(moving, "import", "-", option, value, code=2, says=f"{option} is unknown")


@pytest.mark.torture
def test_a_line_of_a_gigabyte_is_never_in_memory(moving: Cli, rounds: Any):
    size = rounds(16, 1024)
    script = (
        f'(printf \'{{"a":"\'; head -c {size}M /dev/zero; echo) > big.jsonl; ulimit -v 1500000; '
        "keyctl import big.jsonl || echo code $?; rm big.jsonl"
    )

    result = moving.shell(script)

    assert result.out == "code 4\n"
    assert "line 1: it is longer than 65,536 bytes" in result.err


@pytest.mark.torture(only=True)
def test_a_hundred_thousand_lines_are_imported_in_flat_memory(moving: Cli, figure: Any):
    peaks = {}
    for count in (10_000, 100_000):
        file = moving.cwd / "many.jsonl"
        with file.open("w") as written:
            for number in range(count):
                written.write(json.dumps(line(prefix=f"{count // 10_000:02}{number:06}", name=f"key {number}")) + "\n")
        measure = (
            "import resource, subprocess, sys, time; start = time.time(); subprocess.run(sys.argv[1:], check=True)"
        )
        report = "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, time.time() - start)"
        command = ["-c", f"{measure}; {report}", sys.executable, "-m", "keyctl", "import", file]
        memory, seconds = moving.spawn_python(*command).wait(300).expect(0).out.split()[-2:]
        peaks[count] = int(memory)
        figure(f"import of {count:,} lines", f"{float(seconds):.1f} s, {int(memory) / 1024:.0f} MB")
    assert peaks[100_000] < peaks[10_000] + 30 * 1024


def without_text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "key"}


def hashes(cli: Cli) -> dict[str, str]:
    """Return what the store keeps of each key, by prefix."""
    columns = [column.name for column in tables.keys.columns]
    rows = [dict(zip(columns, row, strict=True)) for row in (dump(cli) or {})["keys"]]
    return {row["prefix"]: row["phc"] for row in rows}
