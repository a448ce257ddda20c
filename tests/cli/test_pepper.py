"""`keyctl db pepper`, `db hash --pepper`, `list --pepper`, and every command that hashes or verifies a key with one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from keyctl.hashing import Argon2id
from tests.cli.helpers import CHEAP, config_file, dump, execute, mint, refused, set_key, verify
from tests.runner import Cli


@pytest.fixture
def file(cli: Cli) -> Path:
    """A pepper file that every command is given, with one pepper."""
    path = cli.cwd / "pepper.key"
    cli("db", "pepper", path, "--id", "one", check=0)
    cli.env["KEYCTL_PEPPER_FILE"] = str(path)
    return path


@pytest.fixture
def peppered(store: Cli, file: Path) -> Cli:
    """A store whose new keys are hashed with the pepper of `file`."""
    store("db", "hash", "--pepper", "one", check=0)
    return store


def secrets_of(file: Path) -> list[str]:
    return [line.split()[1] for line in file.read_text().splitlines() if " " in line]


def hash_of(cli: Cli, prefix: str) -> str:
    rows = dump(cli)
    assert rows
    return next(column for row in rows["keys"] if prefix in row for column in row if str(column).startswith("$"))


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_file_is_made_for_its_owner_alone_and_the_answer_is_the_id(cli: Cli):
    made = cli("db", "pepper", "pepper.key", check=0)

    file = cli.cwd / "pepper.key"
    [line] = file.read_text().splitlines()
    assert made.out == f"{line.split()[0]}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert line.split()[1] not in str(made)
    assert "keep a copy" in made.err
    assert not list(cli.home.iterdir())  # no store was created


def test_another_pepper_is_added_above_the_first(cli: Cli, file: Path):
    before = file.read_text()

    made = cli("db", "pepper", file, "--id", "two", "--json", check=0)

    assert made.json == {"pepper": "two", "file": str(file)}
    assert file.read_text().startswith("two ")
    assert file.read_text().endswith(f"\n{before}")


def test_a_pepper_that_cannot_be_added_leaves_the_file(cli: Cli, file: Path):
    before = file.read_text()

    refused(cli, "db", "pepper", file, "--id", "one", code=4, says='already has a pepper "one"')
    refused(cli, "db", "pepper", file, "--id", "One", code=2, says='"One" is not an id of a pepper')
    refused(cli, "db", "pepper", "/dev/null", code=2, says="is not a regular file")
    refused(cli, "db", "pepper", "no/such/folder", code=2, says="No such file or directory")

    assert file.read_text() == before


@pytest.mark.sqlite
def test_a_broken_file_stops_what_needs_it_and_nothing_else(peppered: Cli, file: Path):
    key = mint(peppered)
    file.write_text(file.read_text() + "\n")
    for args in (["mint"], ["rotate", key["prefix"]], ["verify"], ["db", "hash", "--pepper", "one"]):
        refused(peppered, *args, stdin=key["key"], code=6, says=f"the pepper file {file}, line 2: ")

    peppered("lock", key["prefix"], check=0)
    peppered("unlock", key["prefix"], check=0)
    peppered("revoke", key["prefix"], "--yes", check=0)
    assert "revoked" in peppered("list", check=0).out


@pytest.mark.sqlite
def test_a_file_that_others_may_read_is_refused(peppered: Cli, file: Path):
    file.chmod(0o644)

    refused(peppered, "mint", code=6, says=["other users may read or change the pepper file", f"chmod 600 {file}"])


def test_the_file_is_named_by_option_then_variable_then_configuration(cli: Cli):
    config_file(cli, 'pepper_file = "~/from-configuration"')

    def used(*args: str, env: str | None = None) -> str:
        return cli("config", "show", "--json", *args, env={"KEYCTL_PEPPER_FILE": env}, check=0).json["pepper_file"]

    assert used("--pepper-file", "option", env="variable") == "option"
    assert used(env="variable") == "variable"
    assert used() == str(cli.home / "from-configuration")
    assert f"pepper file\t{cli.home}/from-configuration\n" in cli("config", "show", check=0).out
    refused(cli, "config", "show", "--pepper-file", "~no-such-user/x", code=6, says="folder of an unknown user")
    refused(cli, "init", code=6, says=f"the pepper file {cli.home}/from-configuration does not exist")


# ── stores ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_new_store_uses_the_first_pepper_of_the_file(empty: Cli, file: Path):
    empty("db", "pepper", file, "--id", "two", check=0)

    made = empty("init", *CHEAP, "--json", check=0).json

    assert (made["hash"], made["pepper"]) == ("argon2id m=8,t=1,p=1,keyid=two", "two")
    key = mint(empty)
    assert ",keyid=two$" in hash_of(empty, key["prefix"])
    assert verify(empty, key["key"]) == "VALID"


@pytest.mark.sqlite
def test_nothing_is_hashed_and_no_key_is_refused_without_the_file(peppered: Cli, file: Path):
    key = mint(peppered)
    wrong = mint(peppered)["key"]
    del peppered.env["KEYCTL_PEPPER_FILE"]

    for args in (["mint"], ["mint", "--dry-run"], ["rotate", key["prefix"]], ["verify"], ["verify", "--record"]):
        refused(peppered, *args, stdin=key["key"], code=5, says=['the pepper "one" is required', "--pepper-file FILE"])
    unknown = peppered("mint", "--json", "--pepper-file", file, check=0).json
    execute(peppered, "delete from keys where prefix = :which", which=unknown["prefix"])
    for text in (wrong, unknown["key"]):
        failed = peppered("verify", "--json", stdin=text, check=5)
        assert (failed.out, '"PEPPER_MISSING"' in failed.err) == ("", True)
    assert peppered("verify", "--pepper-file", file, stdin=unknown["key"], check=11).out.startswith("INVALID_API_KEY")
    assert peppered("verify", "--pepper-file", file, stdin=key["key"], check=0).out.startswith("VALID ")


@pytest.mark.sqlite
def test_a_hash_that_was_made_up_or_moved_fits_no_key(peppered: Cli):
    key, victim = mint(peppered), mint(peppered)
    made_up = Argon2id(8, 1, 1).hash(victim["key"])  # by an attacker who knows the key and has no pepper

    set_key(peppered, victim["prefix"], phc=made_up)
    refused(peppered, "verify", stdin=victim["key"], code=5, says="the hash was made without a pepper")
    set_key(peppered, victim["prefix"], phc=made_up.replace("p=1$", "p=1,keyid=one$"))
    assert verify(peppered, victim["key"]) == "INVALID_API_KEY"
    set_key(peppered, victim["prefix"], phc=hash_of(peppered, key["prefix"]))
    assert [verify(peppered, one["key"]) for one in (victim, key)] == ["INVALID_API_KEY", "VALID"]
    peppered("audit", "verify", check=9)


def test_a_pepper_is_introduced_and_replaced_while_every_key_stays_valid(store: Cli, file: Path):
    """As the topic says: the file first, then the store, then the old line goes."""
    keys = [mint(store, "--pepper-file", with_line(file, "none"))["key"]]

    def all_are_valid() -> None:
        assert [verify(store, key) for key in keys] == ["VALID"] * len(keys)

    for old, new in (("none", "one"), ("one", "two")):
        if new == "two":
            store("db", "pepper", file, "--id", "two", check=0)
            all_are_valid()
        store("db", "hash", "--pepper", new, "--reason", "policy", check=0)
        keys.append(mint(store)["key"])
        all_are_valid()
        assert listed(store, new) == 1
        for key in keys[:-1]:
            store("verify", "--record", stdin=key, check=0)
        assert (listed(store, old), listed(store, new)) == (0, len(keys))
        with_line(file, old, remove=True)
        all_are_valid()

    events = store("audit", "list", "--json", "--action", "key.rehashed", check=0).json["events"]
    assert [event["detail"]["keys"][0]["pepper"] for event in events] == ["two", "two", "one"]
    changes = store("audit", "list", "--json", "--action", "store.hash_set", check=0).json["events"]
    assert [event["detail"]["hash"].rpartition("=")[2] for event in changes] == ["two", "one"]
    store("audit", "verify", check=0)


def listed(cli: Cli, pepper: str) -> int:
    return len(cli("list", "--pepper", pepper, "--json", check=0).json["keys"])


def with_line(file: Path, name: str, *, remove: bool = False) -> Path:
    """Add the line `none` to a pepper file, or remove a line from it."""
    lines = file.read_text().splitlines()
    kept = [line for line in lines if line.split()[0] != name] if remove else [*lines, name]
    file.write_text("\n".join(kept) + "\n")
    return file


@pytest.mark.sqlite
def test_a_use_is_recorded_where_the_new_pepper_is_missing(peppered: Cli, file: Path):
    key = mint(peppered)
    newer = peppered.cwd / "newer"
    newer.write_bytes(file.read_bytes())
    newer.chmod(0o600)
    peppered("db", "pepper", newer, "--id", "two", check=0)
    peppered("db", "hash", "--pepper", "two", "--pepper-file", newer, check=0)
    before = hash_of(peppered, key["prefix"])

    used = peppered("verify", "--record", stdin=key["key"], check=0)

    assert used.out.startswith("VALID ")
    assert 'warning: the use was recorded, and the key keeps its hash: the pepper "two" is required' in used.err
    assert hash_of(peppered, key["prefix"]) == before
    assert peppered("show", key["prefix"], "--json", check=0).json["last_used_at"]
    refused(peppered, "mint", code=5, says=['the pepper "two" is required, and is not in', 'copy the line of "two"'])


@pytest.mark.sqlite
def test_keys_are_not_minted_without_a_pepper_where_the_file_requires_one(store: Cli, file: Path):
    says = ["the store uses no pepper", f"keyctl db hash --pepper one --pepper-file {file}"]
    refused(store, "mint", code=5, says=says)
    refused(store, "mint", "--dry-run", code=5, says=says)

    store("mint", "--pepper-file", with_line(file, "none"), check=0)


# ── db hash ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_what_is_not_given_to_db_hash_stays(peppered: Cli):
    def scheme(*args: str) -> str:
        return peppered("db", "hash", *args, check=0).out.strip()

    assert scheme("--hash", "sha256") == "sha256 keyid=one"
    assert scheme("--argon2", "m=16,t=1,p=1") == "argon2id m=16,t=1,p=1,keyid=one"
    assert scheme("--no-pepper") == "argon2id m=16,t=1,p=1"
    assert scheme("--hash", "sha256", "--pepper", "one") == "sha256 keyid=one"
    assert scheme("--no-pepper", "--dry-run") == "sha256 keyid=one"
    assert peppered("db", "hash", "--json", check=0).json == {"hash": "sha256 keyid=one", "pepper": "one"}


@pytest.mark.sqlite
def test_a_pepper_that_is_not_in_the_file_cannot_be_set(store: Cli, file: Path):
    refused(store, "db", "hash", "--pepper", "on", code=2, says=['has no pepper "on"', 'did you mean "one"?'])
    refused(store, "db", "hash", "--pepper", "one", "--no-pepper", code=2, says="cannot be used with --no-pepper")
    del store.env["KEYCTL_PEPPER_FILE"]
    refused(store, "db", "hash", "--pepper", "one", code=2, says="--pepper requires a pepper file")


@pytest.mark.sqlite
def test_setting_a_pepper_names_the_keys_that_the_file_does_not_accept(store: Cli, file: Path):
    key = store("mint", "--count", "2", env={"KEYCTL_PEPPER_FILE": None}, check=0).out.split()[0]

    changed = store("db", "hash", "--pepper", "one", check=0)

    assert f"2 keys have a hash without a pepper: to verify them, {file} must have the line none" in changed.err
    refused(store, "verify", stdin=key, code=5, says=["without a pepper", f"echo none >> {file}"])
    assert "warning" not in store("db", "hash", "--hash", "sha256", "--pepper-file", with_line(file, "none")).err


# ── bundles ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_bundle_says_which_peppers_its_reader_needs(store: Cli, file: Path):
    store("mint", env={"KEYCTL_PEPPER_FILE": None}, check=0)
    trust = store("bundle", "key", "--create", check=0).out.strip()
    without = store("bundle", "export", "without", "--json", check=0)
    store("db", "hash", "--pepper", "one", check=0)
    key = mint(store)["key"]

    made = store("bundle", "export", "keys.bundle", "--json", check=0)

    assert without.json["peppers"] == []
    assert "pepper" not in without.err
    assert made.json["peppers"] == ["one", "none"]
    assert "readers of this bundle need a pepper file with one, none" in made.err
    assert store("bundle", "show", "keys.bundle", "--json", check=0).json["peppers"] == ["one", "none"]
    assert "peppers\tone, none\n" in store("bundle", "show", "keys.bundle", check=0).out
    offline = ["verify", "--bundle", "keys.bundle", "--trust", trust]
    assert store(*offline, "--json", stdin=key, check=0).json["bundle"]["peppers"] == ["one", "none"]
    del store.env["KEYCTL_PEPPER_FILE"]
    refused(store, *offline, stdin=key, code=5, says='the pepper "one" is required, and no pepper file is given')


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_the_secret_of_a_pepper_is_in_its_file_alone(peppered: Cli, file: Path):
    """Not in an answer, a message, a traceback, the store, the log, a bundle, or another file."""
    peppered.env["KEYCTL_DEBUG"] = "1"
    key = mint(peppered)
    (peppered.cwd / "key").write_text(key["key"])
    results = [peppered("bundle", "key", "--create")]
    other = peppered.cwd / "other"
    results.append(peppered("db", "pepper", other, "--id", "two"))
    commands: list[list[str | Path]] = [
        ["db", "pepper", other, "--id", "two"],
        ["db", "hash", "--pepper", "two"],
        ["verify", "--key-file", "key", "--json"],
        ["verify", "--key-file", "key", "--pepper-file", other],
        ["mint", "--out", "folder/key"],
        ["bundle", "export", "keys.bundle"],
        ["bundle", "show", "keys.bundle", "--json"],
        ["config", "show"],
        ["audit", "list", "--json"],
    ]
    results += [peppered(*args) for args in commands]
    broken = peppered.cwd / "broken"
    for text in (file.read_text()[4:], file.read_text() * 2):
        broken.write_text(text)
        broken.chmod(0o600)
        results += [peppered("mint", "--pepper-file", broken), peppered("db", "pepper", broken)]
    broken.unlink()

    assert {result.code for result in results} == {0, 2, 4, 5, 6, 21}
    sinks = [str(result).encode() for result in results]
    paths = [*peppered.home.rglob("*"), *peppered.cwd.rglob("*")]
    sinks += [path.read_bytes() for path in paths if path.is_file() and path not in (file, other)]
    for secret in (*secrets_of(file), *secrets_of(other)):
        assert not [sink for sink in sinks if secret[:12].encode() in sink or secret[-12:].encode() in sink]


@pytest.mark.sqlite
def test_a_key_in_place_of_the_files_name_is_refused(peppered: Cli):
    key = mint(peppered)["key"]

    failed = peppered("verify", stdin=key, env={"KEYCTL_PEPPER_FILE": key}, check=2)

    assert "KEYCTL_PEPPER_FILE contains a key or part of one" in failed.err
    assert key[:30] not in str(failed)
