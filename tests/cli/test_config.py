"""`keyctl config`, and what a broken configuration does to every command."""

from __future__ import annotations

import fcntl
import os

import pytest

from tests.cli.helpers import CHEAP, config_file, ordinarily, refused
from tests.runner import Cli


def test_show_reports_where_each_setting_comes_from(cli: Cli):
    file = config_file(
        cli, 'store = "team"\nwait = "30s"\n[stores]\nteam = "/srv/keys.db"\nlab = "sqlite:////lab.db"\n'
    )

    facts = cli("config", "show", "--json", check=0, env={"KEYCTL_ACTOR": "ci job 7"}).json

    assert (facts["store"], facts["store_from"]) == ("/srv/keys.db", str(file))
    assert (facts["config"], facts["wait_seconds"]) == (str(file), 30)
    assert facts["stores"] == {"team": "/srv/keys.db", "lab": "/lab.db"}
    assert "ci job 7" in facts["actor"]
    shown = cli("config", "show", check=0).out
    assert f"store\t/srv/keys.db ({file})\n" in shown


def test_show_needs_neither_store_nor_file(cli: Cli):
    facts = cli("config", "show", "--json", check=0).json

    assert (facts["config"], facts["store_from"], facts["stores"]) == (None, "default", {})
    assert "(does not exist)" in cli("config", "show", check=0).out
    assert not any(cli.home.iterdir())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("store = ", "is not a valid configuration: it is not TOML"),
        ("stroe = 'x'", ['unknown key "stroe"', 'did you mean "store']),
        ("store = 1", "store must be a string"),
        ("wait = 5", "wait must be a string"),
        ("stores = 'x'", "stores must be a table of strings"),
        ("[stores]\na = 1", "stores must be a table of strings"),
        ("[store]\na = 'x'", "store must be a string"),
        ("\x00", "it is not TOML"),
    ],
)
def test_a_broken_configuration_stops_every_command(store: Cli, content: str, says: list[str] | str):
    file = config_file(store, content)

    for command in (["list"], ["mint"], ["config", "show"], ["verify"]):
        refused(store, *command, stdin="x", code=6, says=[str(file), *([says] if isinstance(says, str) else says)])


def test_a_configuration_that_was_asked_for_must_be_there(store: Cli):
    refused(store, "list", "--config", "./missing.toml", code=6, says="configuration file missing.toml does not exist")
    refused(store, "list", env={"KEYCTL_CONFIG": "/nope"}, code=6, says="configuration file /nope does not exist")
    refused(store, "list", "--config", ".", code=6, says="cannot read the configuration file")


@pytest.mark.parametrize("wait", ["soon", "-1", "1.5", "never"])
def test_a_wait_that_is_no_time(store: Cli, wait: str):
    refused(store, "list", "--wait", wait, code=2, says="is not a duration")
    refused(store, "list", env={"KEYCTL_WAIT": wait}, code=2, says="is not a duration")


def test_a_claimed_actor_is_one_line(store: Cli):
    refused(store, "mint", env={"KEYCTL_ACTOR": "me\nroot@host"}, code=2, says=["KEYCTL_ACTOR", "U+000A"])


# ── names for stores ─────────────────────────────────────────────────────────────────────────────────────────────────

FILE = """\
# how I work
wait = "9s"

[stores]
team = "/srv/team.db"  # ours
lab = '/srv/lab.db'
"""


def test_a_store_that_was_chosen_is_used_from_then_on(cli: Cli):
    file = config_file(cli, FILE)

    assert cli("config", "use", "lab", check=0).out == "using lab: /srv/lab.db\n"

    assert file.read_text() == FILE.replace('wait = "9s"\n', 'wait = "9s"\nstore = "lab"\n')
    facts = cli("config", "show", "--json", check=0).json
    assert (facts["store"], facts["store_name"], facts["store_from"]) == ("/srv/lab.db", "lab", str(file))
    assert "store lab\t/srv/lab.db (in use)\n" in cli("config", "show", check=0).out
    assert cli("config", "list", check=0).out.splitlines()[1:] == ["team\t/srv/team.db\t", "lab\t/srv/lab.db\tin use"]
    assert cli("config", "use", "lab", check=0).out == "unchanged lab\n"


def test_the_default_store_can_be_used_again(cli: Cli):
    file = config_file(cli, 'store = "lab"\n' + FILE)

    used = cli("config", "use", "--default", "--json", check=0).json

    assert file.read_text() == FILE
    assert used == {
        "name": None,
        "store": str(cli.home / ".local/share/keyctl/keyctl.db"),
        "config": str(file),
    }
    listed = cli("config", "list", "--json", check=0).json["stores"]
    assert listed == [
        {"name": "team", "store": "/srv/team.db", "in_use": False},
        {"name": "lab", "store": "/srv/lab.db", "in_use": False},
    ]
    assert cli("config", "list", check=0).out.startswith(f"(default)\t{used['store']}\tin use\n")
    assert "nothing was changed" in cli("config", "use", "--default", check=0).err


def test_an_option_and_a_variable_come_before_the_store_that_was_chosen(cli: Cli):
    config_file(cli, FILE)

    chosen = cli("config", "use", "lab", check=0, env={"KEYCTL_STORE": "team"})

    assert "warning: KEYCTL_STORE is set, and takes precedence" in chosen.err
    with_variable = {"KEYCTL_STORE": "team"}
    assert cli("config", "show", "--json", env=with_variable).json["store_name"] == "team"
    assert cli("config", "show", "--json", "--store", "team").json["store_name"] == "team"
    elsewhere = cli("config", "list", "--store", "./x.db", check=0)
    assert "in use" not in elsewhere.out
    assert f"in use: {cli.cwd}/x.db (--store)" in elsewhere.err


def test_a_store_gets_a_name_and_loses_it(cli: Cli):
    added = cli("config", "add", "staging", "./staging.db", check=0)

    file = cli.home / ".config/keyctl/config.toml"
    assert added.out == "added staging\n"
    assert "keyctl init --store staging" in added.err
    assert file.read_text() == f'[stores]\nstaging = "{cli.cwd}/staging.db"\n'
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    cli("init", "--store", "staging", *CHEAP, check=0)
    cli("config", "use", "staging", check=0)
    cli("mint", "--name", "ci", check=0)
    assert "\tci\t" in cli("list", "--store", "staging", check=0).out
    assert cli("config", "add", "staging", f"sqlite:///{cli.cwd}/staging.db", check=0).out == "unchanged staging\n"
    refused(cli, "config", "add", "staging", "./b.db", code=4, says=["staging.db already", "config remove staging"])
    removed = cli("config", "remove", "staging", check=0)
    assert (removed.out, "the default store is in use from now on" in removed.err) == ("removed staging\n", True)
    assert file.read_text().strip() == "[stores]"
    assert (cli.cwd / "staging.db").exists()


@pytest.mark.parametrize("command", ["use", "remove"])
def test_an_unknown_store_is_not_found_and_a_known_one_is_suggested(cli: Cli, command: str):
    file = config_file(cli, FILE)

    refused(cli, "config", command, "taem", code=3, says=['unknown store "taem"', str(file), 'did you mean "team"?'])
    refused(cli, "config", command, "x", code=3, says="see: keyctl config list")

    assert file.read_text() == FILE


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a/b", "is a file, not a name"),
        ("./x", "is a file, not a name"),
        ("keys.db", "is a file, not a name"),
        ("sqlite:///x", "is a URL, not a name"),
        ("postgresql://jo:s3cret@h/d", "is a URL, not a name"),
        ("host=h password=s3cret", "seems to hold a password"),
    ],
)
def test_a_name_that_would_be_a_file_or_a_url_is_refused(cli: Cli, name: str, says: str):
    for command in (["use", name], ["remove", name], ["add", name, "./x.db"]):
        assert "s3cret" not in refused(cli, "config", *command, code=2, says=says).err
    assert not (cli.home / ".config").exists() or not any((cli.home / ".config/keyctl").iterdir())


@pytest.mark.parametrize("name", ["", "-", ".", "a b", "a\nb", "ä", "x" * 65, '"'])
def test_a_name_is_one_word_of_ascii(cli: Cli, name: str):
    refused(cli, "config", "add", "--", name, "./x.db", code=2, says="is not a name for a store")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["use"], "give the name of a store, or --default"),
        (["use", "team", "--default"], "give the name of a store, or --default"),
        (["add", "x", "keys"], ['"keys" is neither a URL nor a file', "./keys"]),
        (["add", "x", "mysql://h/d"], "unsupported store URL scheme"),
        (["add", "x", "-"], "must contain one line with a URL"),
        (["add", "x"], "missing argument"),
    ],
)
def test_what_gives_no_store_is_refused(cli: Cli, arguments: list[str], says: str | list[str]):
    refused(cli, "config", *arguments, code=2, says=says)


def test_a_password_in_an_argument_is_warned_about_and_never_printed(cli: Cli):
    url = "postgresql://jo:s3cret@127.0.0.1/keys"

    results = [
        cli("config", "add", "seen", url, check=0),
        cli("config", "add", "unseen", "-", stdin=f"{url}\n", check=0),
        cli("config", "use", "unseen", check=0),
        cli("config", "list", check=0),
        cli("config", "show", check=0),
        cli("config", "remove", "seen", check=0),
    ]

    assert ["visible to every process" in one.err for one in results] == [True, *[False] * 5]
    assert "s3cret" not in "".join(one.out + one.err for one in results)
    file = cli.home / ".config/keyctl/config.toml"
    assert f'unseen = "{url}"' in file.read_text()
    file.chmod(0o644)
    warned = cli("config", "add", "again", "-", stdin=url, check=0)
    assert f"{file} holds a password, and other users may read it: chmod 600" in warned.err
    assert file.stat().st_mode & 0o777 == 0o644  # as its owner made it


def test_a_link_to_a_configuration_stays_a_link(cli: Cli):
    file = config_file(cli, FILE)
    kept = cli.cwd / "dotfiles.toml"
    file.rename(kept)
    file.symlink_to(kept)

    cli("config", "use", "lab", check=0)

    assert file.is_symlink()
    assert 'store = "lab"' in kept.read_text()
    assert sorted(one.name for one in kept.parent.iterdir()) == ["dotfiles.toml"]


def test_a_configuration_that_cannot_be_edited_is_left_as_it_is(cli: Cli):
    text = "stores = { lab = '/srv/lab.db', team = '/srv/team.db' }\n"
    file = config_file(cli, text)

    refused(cli, "config", "remove", "lab", code=6, says=[f"cannot edit {file}", "by hand: remove lab from [stores]"])

    assert file.read_text() == text


def test_a_configuration_that_cannot_be_written_is_left_as_it_is(cli: Cli):
    file = config_file(cli, FILE)
    file.parent.chmod(0o500)
    try:
        result = ordinarily(cli, "keyctl config use lab")
    finally:
        file.parent.chmod(0o700)

    assert (result.code, result.out) == (6, "")
    assert f"cannot write {file}: Permission denied" in result.err
    assert file.read_text() == FILE


def test_commands_that_edit_at_once_lose_nothing(cli: Cli):
    adding = [cli.spawn("config", "add", f"s{number}", f"./s{number}.db") for number in range(8)]

    assert [one.wait().code for one in adding] == [0] * 8

    assert len(cli("config", "list", "--json", check=0).json["stores"]) == 8


def test_a_command_does_not_wait_without_end_for_another_one_that_edits(cli: Cli):
    file = config_file(cli, FILE)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        refused(cli, "config", "use", "lab", "--wait", "0", code=6, says=["another command is changing", "--wait 30s"])
    finally:
        os.close(folder)
    assert file.read_text() == FILE
