"""`keyctl config show`, and what a broken configuration does to every command."""

from __future__ import annotations

import pytest

from tests.cli.helpers import config_file, refused
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
