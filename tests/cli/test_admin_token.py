"""`keyctl admin-token` and what it protects."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import pytest

from keyctl.verifier import Verifier
from tests.cli.helpers import CHEAP, Filled, dump, execute, location, refused
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
    ["import", "-"],
    ["prune", "--older-than", "365d"],
    ["lock", "PREFIX"],
    ["unlock", "PREFIX"],
    ["expire", "PREFIX", "--to", "30d"],
    ["scope", "PREFIX", "--add", "read"],
    ["update", "PREFIX", "--set-name", "x"],
    ["owner", "add", "other"],
    ["owner", "update", "acme", "--name", "x"],
    ["owner", "disable", "acme", "--yes"],
    ["owner", "enable", "acme"],
    ["profile", "apply", "standard"],
    ["apply", "/dev/null", "--dry-run"],
    ["limits", "PREFIX", "--reset", "--limiter", "redis://127.0.0.1:1"],
    ["db", "hash", "--hash", "sha256"],
    ["db", "copy", "--to", "./new.db"],
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

    result = protected(*args, env={"KEYCTL_ADMIN_TOKEN": token}, stdin=OTHER, check=7)

    assert result.out == ""
    assert f"the admin token is {'wrong' if token else 'missing'}" in result.err
    after = dump(protected)
    assert sorted(name for name in before if before[name] != after[name]) == ["audit_head", "events", "settings"]
    assert next(row for row in after["settings"] if row not in before["settings"])[0] == "admin_token_refusals"
    newest = protected("audit", "list", "--limit", "1", "--json", check=0).json["events"][0]
    assert newest["action"] == "admin_token.refused"
    protected("audit", "verify", check=0)


def test_the_token_comes_by_environment_or_file(protected: Cli):
    file = protected.cwd / "token"
    file.write_text(TOKEN + "\n")

    protected("mint", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)
    protected("mint", "--admin-token-file", file, check=0)
    protected("--admin-token-file", file, "mint", check=0)


def test_the_token_comes_by_a_file_that_a_variable_names(protected: Cli):
    file = protected.cwd / "token"
    file.write_text(TOKEN + "\n")

    protected("mint", env={"KEYCTL_ADMIN_TOKEN_FILE": str(file)}, check=0)
    file.write_text(OTHER)
    protected("mint", env={"KEYCTL_ADMIN_TOKEN_FILE": str(file)}, check=7)


@pytest.mark.sqlite
def test_the_option_comes_before_the_variables_and_two_variables_are_one_too_many(protected: Cli):
    right, wrong = protected.cwd / "right", protected.cwd / "wrong"
    right.write_text(TOKEN)
    wrong.write_text(OTHER)
    variables = {"KEYCTL_ADMIN_TOKEN": OTHER, "KEYCTL_ADMIN_TOKEN_FILE": str(wrong)}

    protected("mint", "--admin-token-file", right, env=variables, check=0)
    refused(protected, "mint", env=variables, code=2, says="are both set")
    for empty in variables:
        protected("mint", env=variables | {"KEYCTL_ADMIN_TOKEN": TOKEN, empty: ""}, check=0 if "FILE" in empty else 7)


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff\xfe not text at all"])
def test_a_file_without_a_token_is_named_and_changes_nothing(protected: Cli, content: bytes | None):
    file = protected.cwd / "token"
    if content is not None:
        file.write_bytes(content)

    refused(protected, "mint", env={"KEYCTL_ADMIN_TOKEN_FILE": str(file)}, code=2, says=str(file))


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
    execute(protected, "delete from settings where name = 'admin_token'")

    assert "admin_token was altered" in protected("audit", "verify", check=9).err


def test_the_development_default_is_warned_about(store: Cli):
    minted = store("mint", env={"KEYCTL_ADMIN_TOKEN": "dev-admin-token"}, check=0)

    assert "development default" in minted.err
    assert minted.out.startswith("kc_live_")


def test_a_token_that_is_not_needed_is_not_used_and_that_is_said(store: Cli):
    assert "requires no admin token" in store("mint", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0).err


# ── a new store ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", [["init", *CHEAP], ["mint", "--init"]], ids=["init", "mint"])
def test_a_store_that_is_created_with_a_token_requires_it_from_the_first_event_on(empty: Cli, command: list[str]):
    created = empty(*command, env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)

    first = empty("audit", "list", "--json", check=0).json["events"][-1]
    assert first["action"] == "store.created"
    assert "admin_token" in first["detail"]["settings"]
    assert TOKEN not in created.out + created.err + str(dump(empty))
    empty("mint", env={"KEYCTL_ADMIN_TOKEN": OTHER}, check=7)
    empty("mint", "--init", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)
    empty("audit", "verify", check=0)


def test_init_says_that_the_token_is_required(empty: Cli):
    assert empty("init", *CHEAP, "--json", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0).json["admin_token"] == "set"
    assert empty("init", "--json", check=0).json["admin_token"] == "set"


@pytest.mark.parametrize("command", [["init"], ["mint", "--init"]], ids=["init", "mint"])
def test_a_token_that_is_too_short_makes_no_store(empty: Cli, command: list[str]):
    refused(empty, *command, env={"KEYCTL_ADMIN_TOKEN": "too short"}, code=2, says="at least 12")

    assert dump(empty) is None
    assert not [path for path in empty.home.rglob("*") if path.is_file()]


# ── guessing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.torture
def test_guesses_at_once_are_looked_at_one_by_one_and_the_right_token_soon_after(
    protected: Cli, rounds: Callable[[int, int], int], figure: Callable[[str, object], None], database: str
):
    guesses, wait = rounds(8, 60), rounds(1, 30)
    start = time.monotonic()
    running = [
        protected.spawn("mint", "--wait", f"{wait}s", env={"KEYCTL_ADMIN_TOKEN": f"a wrong token {number}"})
        for number in range(guesses)
    ]

    results = [process.wait(120) for process in running]

    elapsed = time.monotonic() - start
    looked_at = [result for result in results if result.code == 7]
    late = [result for result in results if result.code == 5]
    # One at once, then after 1, 2 and again and again 4 seconds.
    assert 1 <= len(looked_at) <= 3 + max(0, elapsed - 3) / 4
    assert len(looked_at) + len(late) == guesses
    assert all("after wrong admin tokens, the next one is looked at in" in result.err for result in late)
    assert all(result.out == "" for result in results)
    start = time.monotonic()
    protected("mint", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)
    delay = time.monotonic() - start
    assert delay < 5
    events = [event["action"] for event in protected("audit", "list", "--json", check=0).json["events"]]
    assert events.count("admin_token.refused") <= 1 + len(looked_at) // 15
    assert events.count("admin_token.accepted") == (len(looked_at) > 1)
    figure(f"wrong admin tokens, {database}", f"{len(looked_at)} of {guesses} looked at in {elapsed:.0f} s")
    figure(f"the right admin token after them, {database}", f"{delay:.1f} s")


def test_wrong_tokens_of_one_user_delay_no_other(protected: Cli):
    for _ in range(2):
        protected("mint", env={"KEYCTL_ADMIN_TOKEN": OTHER}, check=7)

    refused(protected, "mint", "--wait", "1s", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, code=5, says="--wait 30s")
    protected("mint", "--wait", "1s", env={"KEYCTL_ADMIN_TOKEN": TOKEN, "SUDO_USER": "jo"}, check=0)


def test_commands_without_a_token_neither_wait_nor_fill_the_log_nor_keep_the_right_one_waiting(protected: Cli):
    for _ in range(6):
        assert "is missing" in protected("mint", "--wait", "1s", check=7).err

    protected("mint", "--wait", "1s", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)
    events = [event["action"] for event in protected("audit", "list", "--json", check=0).json["events"]]
    assert events.count("admin_token.refused") == 1


def test_of_two_first_tokens_at_once_one_is_set(store: Cli):
    running = [store.spawn("admin-token", "set", stdin=token) for token in (TOKEN, OTHER)]

    codes = [process.wait().code for process in running]

    assert sorted(codes) == [0, 4]
    store("mint", env={"KEYCTL_ADMIN_TOKEN": (TOKEN, OTHER)[codes.index(0)]}, check=0)


def test_refusals_that_were_altered_lock_no_one_out(protected: Cli):
    protected("mint", env={"KEYCTL_ADMIN_TOKEN": OTHER}, check=7)

    for value in ("", "{", "[]", '{"a": 1}', '{"a": [1e999, 1]}', "[" * 100_000):
        execute(protected, "update settings set value = :value where name = 'admin_token_refusals'", value=value)
        protected("mint", "--wait", "1s", env={"KEYCTL_ADMIN_TOKEN": TOKEN}, check=0)


def test_no_refusal_makes_a_verifier_look_everything_up_again(protected: Cli):
    with closing(Verifier.from_store(location(protected))) as verifier:
        keyring = verifier._engine.keyring
        protected("mint", env={"KEYCTL_ADMIN_TOKEN": OTHER}, check=7)

        assert not keyring.refresh(datetime.now(UTC))
