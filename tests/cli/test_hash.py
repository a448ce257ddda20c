"""`keyctl init --hash` and `keyctl db hash`."""

from __future__ import annotations

from tests.cli.helpers import dump
from tests.runner import Cli


def test_a_store_hashes_with_what_it_was_made_for(cli: Cli):
    cli("init", "--hash", "sha256", check=0)

    key = cli("mint", check=0).out.strip()

    assert cli("db", "hash", "--json", check=0).json == {"hash": "sha256", "pepper": None}
    assert "$sha256$" in str(dump(cli))
    assert cli("verify", stdin=key, check=0).out.startswith("VALID ")
    assert cli("verify", stdin=key[:-7] + "x" + key[-6:], check=11).out.startswith("INVALID_API_KEY")


def test_an_unknown_scheme_is_refused_with_the_nearest(cli: Cli):
    refused = cli("init", "--hash", "argon2", check=2)

    assert 'unknown hash scheme "argon2"' in refused.err
    assert 'did you mean "argon2id"?' in refused.err
    assert refused.out == ""


def test_argon2_parameters_cannot_be_used_with_sha256(cli: Cli):
    assert "cannot be used with" in cli("init", "--hash", "sha256", "--argon2", "m=8,t=1,p=1", check=2).err


def test_a_key_keeps_its_hash_until_a_recorded_use_replaces_a_weaker_one(cli: Cli):
    cli("init", "--hash", "sha256", check=0)
    key = cli("mint", check=0).out.strip()
    cli("db", "hash", "--argon2", "m=8,t=1,p=1", "--reason", "policy", check=0)

    cli("verify", stdin=key, check=0)
    assert "$sha256$" in str(dump(cli))
    cli("verify", "--record", stdin=key, check=0)

    assert "$sha256$" not in str(dump(cli))
    assert cli("verify", stdin=key, check=0).out.startswith("VALID ")
    assert cli("audit", "list", "--action", "key.rehashed", check=0).out.count("\n") == 1
    cli("audit", "verify", check=0)


def test_a_stronger_hash_is_kept_where_the_store_asks_for_less(store: Cli):
    key = store("mint", check=0).out.strip()
    store("db", "hash", "--hash", "sha256", check=0)

    store("verify", "--record", stdin=key, check=0)

    assert store("audit", "list", "--action", "key.rehashed", check=0).out == ""
    assert "$argon2id$" in str(dump(store))


def test_setting_the_same_scheme_changes_nothing(store: Cli):
    before = dump(store)

    answer = store("db", "hash", "--argon2", "m=8,t=1,p=1", check=0)

    assert "nothing was changed" in answer.err
    assert dump(store) == before


def test_a_dry_run_sets_nothing(store: Cli):
    before = dump(store)

    store("db", "hash", "--hash", "sha256", "--dry-run", check=0)

    assert dump(store) == before
