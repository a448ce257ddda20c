"""`keyctl db …`."""

from __future__ import annotations

import pytest

from tests.cli.helpers import changes_nothing, execute, location, refused
from tests.runner import Cli


def test_status_reports_the_schema(store: Cli):
    facts = store("db", "status", "--json", check=0).json

    assert facts["store"] == location(store)
    assert (facts["schema"], facts["state"]) == (facts["needed"], "current")
    assert "state\tcurrent" in store("db", "status", check=0).out


def test_an_upgrade_of_what_is_current_changes_nothing(store: Cli):
    result = changes_nothing(store, "db", "upgrade", says="up to date")

    assert result.out.startswith("schema ")
    facts = store("db", "upgrade", "--json", check=0).json
    assert facts["before"] == facts["after"]


def test_without_a_store_both_say_how_to_create_it(cli: Cli):
    for command in ("status", "upgrade"):
        refused(cli, "db", command, code=5, says="keyctl init")
    assert not any(cli.home.iterdir())


COMMANDS = [
    ["list"],
    ["mint"],
    ["verify"],
    ["verify", "--record"],
    ["show", "kc_live_x"],
    ["revoke", "kc_live_x", "--yes"],
    ["owner", "add", "x"],
    ["audit", "verify"],
    ["init"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_newer_schema_is_left_alone(store: Cli, command: list[str]):
    execute(store, "update alembic_version set version_num = '9999'")

    refused(store, *command, stdin="kc_live_x", code=6, says=["has schema 9999", "upgrade keyctl"])


def test_the_state_of_another_schema_is_reported(store: Cli):
    execute(store, "update alembic_version set version_num = '9999'")
    assert store("db", "status", "--json", check=0).json["state"] == "newer"
    refused(store, "db", "upgrade", code=6, says="9999")

    execute(store, "update alembic_version set version_num = '0000'")
    assert store("db", "status", "--json", check=0).json["state"] == "older"
    refused(store, "list", code=6, says=["has schema 0000", "keyctl db upgrade --store"])
