"""`keyctl admin-token` and what it protects."""

from __future__ import annotations

import pytest

from tests.cli.helpers import Filled, dump
from tests.runner import Cli

TOKEN = "correct horse battery staple"
OTHER = "another long enough token"


@pytest.fixture
def protected(store: Cli, filled: Filled) -> Cli:
    filled(a_key_and_a_token)
    return store


def a_key_and_a_token(store: Cli) -> None:
    store("mint", "--name", "before", "--owner", "acme", "--create-owner", check=0)
    store("admin-token", "set", stdin=TOKEN + "\n", check=0)


def prefix_of(cli: Cli) -> str:
    return str(cli("list", "--json", check=0).json["keys"][0]["prefix"])


CHANGES = [
    ["mint"],
    ["mint", "--dry-run"],
    ["rotate", "PREFIX"],
    ["revoke", "PREFIX"],
    ["lock", "PREFIX"],
    ["unlock", "PREFIX"],
    ["expire", "PREFIX", "--to", "30d"],
    ["scope", "PREFIX", "--add", "read"],
    ["update", "PREFIX", "--name", "x"],
    ["owner", "add", "other"],
    ["owner", "update", "acme", "--name", "x"],
    ["owner", "disable", "acme"],
    ["owner", "enable", "acme"],
    ["profile", "apply", "standard"],
    ["db", "hash", "--hash", "sha256"],
    ["admin-token", "rotate"],
    ["admin-token", "clear"],
]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("change", "token"),
    [
        *((change, None) for change in CHANGES),
        (["mint"], "wrong token entirely"),
        (["admin-token", "clear"], "wrong too"),
    ],
    ids=lambda value: value if value is None or isinstance(value, str) else " ".join(value),
)
def test_a_change_without_the_right_token_changes_nothing_and_is_audited(
    protected: Cli, change: list[str], token: str | None
):
    args = [prefix_of(protected) if arg == "PREFIX" else arg for arg in change]
    before = dump(protected)

    refused = protected(*args, env={"KEYCTL_ADMIN_TOKEN": token}, stdin=OTHER, check=7)

    assert refused.out == ""
    assert f"the admin token is {'wrong' if token else 'missing'}" in refused.err
    after = dump(protected)
    assert [name for name in before if before[name] != after[name]] == ["audit_head", "events"]
    newest = protected("audit", "list", "--limit", "1", "--json", check=0).json["events"][0]
    assert newest["action"] == "admin_token.refused"
    protected("audit", "verify", check=0)


def test_the_token_comes_by_environment_or_file(protected: Cli):
    file = protected.cwd / "token"
    file.write_text(TOKEN + "\n")

    protected("mint", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)
    protected("mint", "--admin-token-file", file, check=0)
    protected("--admin-token-file", file, "mint", check=0)


def test_the_token_comes_by_a_hidden_prompt(protected: Cli):
    shown = protected.tty("mint", talk=[("Admin token: ", TOKEN + "\n")], check=0).out

    assert "kc_live_" in shown
    assert TOKEN not in shown


def test_reading_needs_no_token(protected: Cli):
    for command in (
        ["list"],
        ["show", prefix_of(protected)],
        ["owner", "list"],
        ["audit", "list"],
        ["profile", "show"],
    ):
        protected(*command, check=0)


def test_a_rotated_token_replaces_the_old_one(protected: Cli):
    protected("admin-token", "rotate", stdin=OTHER, env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)

    protected("mint", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=7)
    protected("mint", env={"KEYCTL_ADMIN_TOKEN": OTHER}, check=0)


def test_a_cleared_token_protects_nothing(protected: Cli):
    protected("admin-token", "clear", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)

    protected("mint", check=0)
    assert "nothing was changed" in protected("admin-token", "clear", check=0).err


def test_a_second_token_is_not_set_over_the_first(protected: Cli):
    assert "already" in protected("admin-token", "set", stdin=OTHER, check=4).err


@pytest.mark.parametrize("token", ["", "short", "two\nlines here", "a" * 5 + "\0" + "b" * 20])
def test_what_is_no_token_is_refused(store: Cli, token: str):
    before = dump(store)

    store("admin-token", "set", stdin=token, check=2)

    assert dump(store) == before


def test_the_token_is_kept_as_an_argon2id_hash_of_full_cost_and_nowhere_else(protected: Cli):
    wrong = protected("mint", env={"KEYCTL_ADMIN_TOKEN": OTHER, "KEYCTL_DEBUG": "1"}, check=7)

    everything = str(dump(protected)) + wrong.err + protected("audit", "list", "--json").out
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in everything
    assert TOKEN not in everything
    assert OTHER not in everything


def test_a_token_changed_behind_keyctls_back_is_found(protected: Cli):
    from tests.cli.helpers import execute

    execute(protected, "delete from settings where name = 'admin_token'")

    assert "admin_token was altered" in protected("audit", "verify", check=9).err


def test_the_development_default_is_warned_about(store: Cli):
    minted = store("mint", env={"KEYCTL_ADMIN_TOKEN": "dev-admin-token"}, check=0)

    assert "development default" in minted.err
    assert minted.out.startswith("kc_live_")
