"""`keyctl init`, and stores that make themselves."""

from __future__ import annotations

import stat

import pytest

from tests.cli.helpers import CHEAP, dump, location, refused, verify, with_profile, write_profile
from tests.runner import Cli


def test_init_creates_a_store_that_only_its_owner_may_read(cli: Cli):
    result = cli("init", *CHEAP, "--json", check=0)

    file = cli.home / ".local/share/keyctl/keyctl.db"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert result.json["store"] == str(file)
    assert (result.json["profile"], result.json["created"]) == ("standard", True)
    assert cli("audit", "verify", check=0).out.startswith("intact: 1 event")


def test_init_answers_with_the_location(cli: Cli):
    assert cli("init", "--store", "./keys.db", *CHEAP, check=0).out == f"{cli.cwd}/keys.db\n"


def test_init_leaves_a_store_that_is_there_as_it_is(store: Cli):
    before = dump(store)

    result = store("init", "--json", check=0)

    assert not result.json["created"]
    assert "nothing was changed" in result.err
    assert dump(store) == before


def test_init_keeps_the_profile_in_the_store(empty: Cli):
    file = write_profile(empty)
    empty("init", "--profile", file, *CHEAP, check=0)

    file.unlink()

    assert empty("mint", check=0).out.startswith("ak_live_")


def test_init_refuses_another_profile_than_the_one_that_is_there(store: Cli):
    file = write_profile(store)

    refused(store, "init", "--profile", file, code=4, says=['a different profile: "standard"', "keyctl profile show"])


@pytest.mark.parametrize("value", ["m=8", "m=7,t=1,p=1", "m=8,t=0,p=1", "m=99999999,t=1,p=1", "m=8,t=1,p=2"])
def test_init_refuses_senseless_costs(empty: Cli, value: str):
    refused(empty, "init", "--argon2", value, code=2, says="Argon2id")
    assert not any(empty.home.iterdir())


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("standart", 3, 'did you mean "standard"?'),
        ("./missing.toml", 3, "cannot read the profile missing.toml"),
        ("missing.toml", 3, "cannot read the profile missing.toml"),
    ],
)
def test_init_with_an_unknown_profile_leaves_nothing(empty: Cli, name: str, code: int, says: str):
    refused(empty, "init", "--profile", name, code=code, says=says)
    assert not any(empty.home.iterdir())


def test_init_with_a_broken_profile_leaves_nothing(empty: Cli):
    file = empty.cwd / "broken.toml"
    file.write_text('name = "x\n')

    refused(empty, "init", "--profile", file, code=6, says=[str(file), "not TOML"])
    assert not any(empty.home.iterdir())


def test_the_first_mint_creates_the_default_store_and_says_so(cli: Cli):
    result = cli("mint", check=0)

    assert f"created the store {location(cli)}" in result.err
    assert len(result.out.splitlines()) == 1
    assert verify(cli, result.out) == "VALID"
    assert cli("mint", check=0).err == ""


def test_no_other_store_is_created_unasked(cli: Cli):
    refused(cli, "mint", "--store", "./keys.db", code=5, says=["no keyctl store", "keyctl init --store"])
    assert not any(cli.cwd.iterdir())

    cli("mint", "--store", "./keys.db", "--init", check=0)
    cli("mint", "--store", "./keys.db", "--init", check=0)

    assert len(cli("list", "--store", "./keys.db", check=0).out.splitlines()) == 2


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["revoke", "x", "--yes"], ["verify"], ["audit", "list"]])
def test_without_a_store_every_other_command_says_how_to_create_it(cli: Cli, command: list[str]):
    refused(cli, *command, stdin="kc_live_x", code=5, says="keyctl init")
    assert not any(cli.home.iterdir())


def test_two_first_mints_at_once_make_one_store(cli: Cli):
    processes = [cli.spawn("mint") for _ in range(3)]

    results = [process.wait().expect(0) for process in processes]

    assert sum("created the store" in result.err for result in results) == 1
    assert len(cli("list", check=0).out.splitlines()) == 3
    cli("audit", "verify", check=0)


def test_a_profile_of_ones_own_needs_no_code(empty: Cli):
    cli = with_profile(empty, '[scopes.list.bot]\ndescription = "bots"\n')

    key = cli("mint", "--scope", "bot", "--env", "test", check=0).out

    assert key.startswith("ak_test_")
    assert verify(cli, key, "--scope", "bot") == "VALID"
