"""What other tools call a command or an option is answered with what keyctl has, or not at all."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.cli.command_groups import LazyCommands
from keyctl.cli.commands import HELP_LINES, below
from keyctl.cli.global_options import global_options
from keyctl.cli.synonyms import COMMANDS, OPTIONS, UNANSWERED, near_miss, option_hint
from keyctl.cli.topics import topic_names
from tests.cli.helpers import refused
from tests.runner import Cli

GLOBAL = {name for option in global_options() for name in option.opts} | {"--version", "--help", "-h"}


def command(name: str):
    found, commands = None, LazyCommands()
    for word in name.split():
        found = commands[word]
        commands = getattr(found, "commands", {})
    return found


def options_of(name: str) -> set[str]:
    return {option for param in command(name).params for option in param.opts}


ALL_OPTIONS = {option for name in HELP_LINES for option in options_of(name)} | GLOBAL


@pytest.mark.parametrize("line", [line for lines in COMMANDS.values() for line in lines])
def test_every_answer_is_a_command_line_that_exists(cli: Cli, line: str):
    assert cli(*line.split(), "--help", check=0).out


@pytest.mark.parametrize("option", OPTIONS)
def test_every_answered_option_exists(option: str):
    assert option in ALL_OPTIONS


@pytest.mark.parametrize("group", COMMANDS)
def test_no_synonym_is_a_command_or_is_listed_twice(group: str):
    for words in COMMANDS[group].values():
        assert not set(words.split()) & set(below(group))
        assert len(set(words.split())) == len(words.split())


def test_every_synonym_of_an_option_is_answered_by_a_command():
    for option, words in OPTIONS.items():
        having = {name: options_of(name) | GLOBAL for name in HELP_LINES if option in options_of(name) | GLOBAL}
        for word in words.split():
            answers = [option_hint(name, word, known) or "" for name, known in having.items() if word not in known]
            assert any(option in answer for answer in answers), word


@pytest.mark.parametrize("name", UNANSWERED)
def test_what_is_not_answered_would_be(name: str):
    known = options_of(name) | GLOBAL

    for word in UNANSWERED[name].split():
        assert option_hint(name, word, known) is None
        assert option_hint("another", word, known)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("ls", "use: keyctl list"),
        ("new", "use: keyctl mint"),
        ("create --name x", "use: keyctl mint"),
        ("add", "use: keyctl mint or keyctl owner add"),
        ("rm kc_live_x", "use: keyctl revoke"),
        ("delete kc_live_x", "use: keyctl revoke"),
        ("remove kc_live_x", "use: keyctl revoke"),
        ("get kc_live_x", "use: keyctl show"),
        ("describe kc_live_x", "use: keyctl show"),
        ("info", "use: keyctl show"),
        ("disable kc_live_x", "use: keyctl lock or keyctl owner disable"),
        ("suspend kc_live_x", "use: keyctl lock or keyctl owner disable"),
        ("enable x", "use: keyctl unlock or keyctl owner enable"),
        ("pause x", "use: keyctl lock"),
        ("whoami", "use: keyctl config show"),
        ("migrate", "use: keyctl import or keyctl db upgrade or keyctl db copy"),
        ("dump", "use: keyctl export"),
        ("exec -- pytest", "use: keyctl run"),
        ("leaks .", "use: keyctl scan"),
        ("sync keys.toml", "use: keyctl apply"),
        ("gc", "use: keyctl prune"),
        ("stale", "use: keyctl report"),
        ("backup x.db", "use: keyctl db backup"),
        ("context", "use: keyctl config use"),
        ("config switch x", "use: keyctl config use"),
        ("renew", "use: keyctl rotate or keyctl expire"),
        ("roll", "use: keyctl rotate"),
        ("regenerate", "use: keyctl rotate"),
        ("validate", "use: keyctl verify"),
        ("check", "use: keyctl verify"),
        ("decode", "use: keyctl inspect"),
        ("status", "use: keyctl config show or keyctl db status"),
        ("logs", "use: keyctl audit list"),
        ("history", "use: keyctl audit list"),
        ("users", "use: keyctl owner list"),
        ("keys", "use: keyctl list"),
        ("LS", "use: keyctl list"),
        ("tour", "use: keyctl help tour"),
        ("exit-codes", "use: keyctl help exit-codes"),
        ("login", "see: keyctl --help"),
        ("owner ls", "use: keyctl owner list"),
        ("owner create x", "use: keyctl owner add"),
        ("owner rm x", "use: keyctl owner disable"),
        ("owner get x", "use: keyctl owner show"),
        ("profile validate x", "use: keyctl profile check"),
        ("db migrate", "use: keyctl db upgrade or keyctl db copy"),
        ("admin-token get", "see: keyctl admin-token --help"),
        ("mint --ttl 30d", "use: --expires"),
        ("mint --expires-in=30d", "use: --expires"),
        ("rotate x --ttl 30d", "use: --expires"),
        ("expire x --ttl 30d", "use: --to"),
        ("lock x --ttl 1h", "use: --for"),
        ("list --expires-in 7d", "use: --expires-within"),
        ("list --ttl 30d", "see: keyctl list --help"),
        ("list --since 1d", "use: --created-since"),
        ("revoke --before 2026-01-01", "use: --created-before"),
        ("list --csv", "use: --format"),
        ("audit list --csv", "use: --format"),
        ("mint --csv", "see: keyctl mint --help"),
        ("export --csv", "use: --output-format"),
        ("update x --title y", "use: --set-name"),
        ("update x --tag a=b", "use: --set-meta"),
        ("list --tag a=b", "use: --meta"),
        ("scope x --role admin", "see: keyctl scope --help"),
        ("list --filter x", "see: keyctl list --help"),
        ("list -o json", "use: --json or --format"),
        ("show --format json", "use: --json"),
        ("mint --output k", "use: --out or --json or --format"),
        ("mint -o k", "use: --out or --json or --format"),
        ("revoke x --force", "use: --yes"),
        ("list --help-all", "see: keyctl list --help"),
        ("mint --user acme", "use: --owner"),
        ("mint -n ci", "see: keyctl mint --help"),
        ("audit list --user jo", "use: --owner or --actor"),
        ("bundle export -o keys.bundle", "see: keyctl bundle export --help"),
        ("completion --output file", "see: keyctl completion --help"),
        ("scopes list", "use: keyctl scope or keyctl profile show"),
        ("verify --key x", "use: --key-file"),
        ("revoke x --key-file k", "use: --from"),
        ("revoke --key-file k", "use: --from"),
        ("revoke --file k", "use: --from"),
        ("list --db x", "use: --store"),
        ("--database x list", "use: --store"),
    ],
)
def test_a_word_of_another_tool_is_answered(cli: Cli, typed: str, hint: str):
    assert refused(cli, *shlex.split(typed), code=2).err.splitlines()[1:] == [f"keyctl: hint: {hint}"]


@pytest.mark.parametrize(("typed", "hint"), [("--timeout 5m", "see: keyctl run --help"), ("--var TOKEN", "use: --as")])
def test_an_option_of_run_is_answered_with_its_own_exit_code(cli: Cli, typed: str, hint: str):
    result = refused(cli, "run", *typed.split(), "--", "true", code=125)

    assert result.err.splitlines()[1:] == [f"keyctl: hint: {hint}"]


@pytest.mark.parametrize("word", ["rotate", "revoke", "list", "verify", "owner", "admin-token", "completion"])
def test_a_typing_error_is_found(word: str):
    known = below("")
    for i in range(1, len(word)):
        assert near_miss(word[:i] + word[i + 1 :], known) == word  # a letter is missing
        assert near_miss(word[:i] + word[i] + word[i:], known) == word  # doubled
        assert near_miss(word[:i] + "q" + word[i + 1 :], known) == word  # wrong
        assert near_miss(word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :], known) == word  # swapped


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("create", ["rotate"]),
        ("migrate", ["rotate"]),
        ("export", ["expire"]),
        ("block", ["lock"]),
        ("get", ["set"]),
        ("cd", ["db"]),
        ("lint", ["mint"]),
        ("log", ["lock"]),
        ("confirm", ["config"]),
        ("insert", ["inspect"]),
        ("allow", ["all"]),
        ("ttl", ["http"]),
        ("since", ["json"]),
        ("csv", ["env"]),
        ("key-file", ["admin-token-file"]),
        ("ver", ["verify", "version"]),  # more than one
        ("", ["db"]),
        ("x" * 100_000, ["db", "admin-token-file"]),
    ],
)
def test_what_only_looks_alike_is_not_suggested(word: str, known: list[str]):
    assert near_miss(word, known) is None


@given(st.text(max_size=12))
def test_no_text_is_too_strange_for_a_suggestion(word: str):
    for known in (list(below("")), list(below("owner")), topic_names()):
        assert near_miss(word, known) in [None, *known]


def test_no_word_of_the_tables_is_taken_for_a_typing_error():
    """Else its place in the table would hide that it is one."""
    for word in ("create", "migrate", "suspend", "whoami"):
        assert near_miss(word, below("")) is None
