"""The global options: on either side of the command, and where a setting comes from when several places name it."""

from __future__ import annotations

import pytest

from tests.cli.helpers import CHEAP, config_file, mint, refused
from tests.runner import Cli


@pytest.fixture
def stores(cli: Cli) -> Cli:
    """Five stores, each with one key, named after where a setting would come from."""
    for name in ("flag", "environment", "file", "default", "named"):
        place = [] if name == "default" else ["--store", f"{cli.home}/{name}.db"]
        cli("init", *CHEAP, *place, check=0)
        cli("mint", "--name", name, *place, check=0)
    return cli


def used(cli: Cli, *args: str, **how: object) -> str:
    [line] = cli(*args, **how, check=0).out.splitlines()
    return line.split("\t")[1]


# ── where the store comes from ───────────────────────────────────────────────────────────────────────────────────────


def test_flag_before_environment_before_file_before_default(stores: Cli):
    flag, env = ["--store", f"{stores.home}/flag.db"], {"KEYCTL_STORE": f"{stores.home}/environment.db"}

    assert used(stores, "list") == "default"
    config_file(stores, f'store = "{stores.home}/file.db"')
    assert used(stores, "list") == "file"
    assert used(stores, "list", env=env) == "environment"
    assert used(stores, "list", *flag, env=env) == "flag"
    assert used(stores, "list", env={"KEYCTL_STORE": ""}) == "file"


def test_a_store_may_be_a_name_a_file_or_a_url(stores: Cli):
    config_file(stores, f'store = "main"\n[stores]\nmain = "{stores.home}/file.db"\nlab = "{stores.home}/named.db"\n')

    assert used(stores, "list") == "file"
    assert used(stores, "list", "--store", "lab") == "named"
    assert used(stores, "list", env={"KEYCTL_STORE": "lab"}) == "named"
    assert used(stores, "list", "--store", f"sqlite:///{stores.home}/flag.db") == "flag"
    assert used(stores, "list", "--store", "~/flag.db") == "flag"
    assert used(stores, "list", "--store", "flag.db", cwd=stores.home) == "flag"
    assert used(stores, "list", "--store", "./flag.db", cwd=stores.home) == "flag"
    refused(stores, "list", "--store", "lba", code=2, says=['unknown store "lba"', 'did you mean "lab"?'])


def test_the_configuration_may_be_elsewhere(stores: Cli):
    config_file(stores, f'store = "{stores.home}/default.db"')
    for name in ("file", "named"):
        (stores.cwd / f"{name}.toml").write_text(f'store = "{stores.home}/{name}.db"')

    env = {"KEYCTL_CONFIG": str(stores.cwd / "file.toml")}

    assert used(stores, "list", env=env) == "file"
    assert used(stores, "list", "--config", "named.toml", env=env) == "named"


def test_xdg_folders_are_respected(cli: Cli):
    folders = {"XDG_DATA_HOME": str(cli.home / "data"), "XDG_CONFIG_HOME": str(cli.home / "conf")}

    facts = cli("config", "show", "--json", env=folders, check=0).json

    assert facts["store"] == f"{cli.home}/data/keyctl/keyctl.db"
    assert f"{cli.home}/conf/keyctl/config.toml" in cli("config", "show", env=folders, check=0).out


def test_nothing_is_read_from_the_working_directory(store: Cli):
    mint(store, "--name", "mine")
    bait = store.cwd
    for name in ("config.toml", "keyctl.toml", ".keyctl.toml", "keyctl/config.toml", ".config/keyctl/config.toml"):
        (bait / name).parent.mkdir(parents=True, exist_ok=True)
        (bait / name).write_text('store = "/nowhere/evil.db"')
    (bait / ".env").write_text("KEYCTL_STORE=/nowhere/evil.db")
    (bait / "pyproject.toml").write_text('[tool.keyctl]\nstore = "/nowhere/evil.db"')
    (bait / "standard").write_text("not a profile")
    (bait / "keyctl.db").write_text("not a store")
    (bait / "typer.py").write_text("raise SystemExit('imported from the working directory')")

    assert used(store, "list") == "mine"
    assert used(store, "list", env={"PWD": str(bait)}) == "mine"
    assert store("profile", "check", "standard", check=0)
    assert store.shell("keyctl list").out.split("\t")[1] == "mine"


# ── either side ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_are_accepted_on_either_side(store: Cli):
    store("mint", "--store", "./other.db", "--init", check=0)
    flag = ["--store", "./other.db"]
    for command in (["list"], ["audit", "list"], ["db", "status"]):
        expected = store(*command, *flag, "--json", check=0).out

        assert expected.startswith("{")
        assert expected != store(*command, "--json", check=0).out
        assert store(*flag, "--json", *command, check=0).out == expected
        assert store("--json", command[0], *flag, *command[1:], check=0).out == expected


def test_the_side_nearer_to_the_command_wins(stores: Cli):
    named, flag = (["--store", f"{stores.home}/{name}.db"] for name in ("named", "flag"))

    assert used(stores, *named, "list", *flag) == "flag"
    assert used(stores, *flag, *named, "list") == "named"


def test_quiet_leaves_out_notes_but_no_answer_and_no_error(store: Cli):
    prefix = mint(store)["prefix"]
    store("revoke", prefix, check=0)

    for args in (["--quiet", "revoke", prefix], ["revoke", prefix, "-q"]):
        assert (store(*args, check=0).out, store(*args).err) == (f"unchanged {prefix}\n", "")
    assert "no key" in store("show", "nope1234", "-q", check=3).err
    assert store.tty("mint", "-q", pipe_stdout=True, check=0).err == ""


@pytest.mark.parametrize("args", [["--json", "show", "nope"], ["show", "nope", "--json"]])
def test_errors_are_json_too(store: Cli, args: list[str]):
    result = store(*args, check=3)

    assert result.out == ""
    assert result.err == ('{"error":{"code":"NOT_FOUND","message":"no key \\"nope\\"","hint":"see: keyctl list"}}\n')


def test_usage_errors_are_json_too(store: Cli):
    for args in (["list", "--json", "--nope"], ["--json", "nonsense"], ["--json", "list", "--limit", "x"]):
        result = store(*args, check=2)
        assert (result.out, result.err.startswith('{"error":{"code":"USAGE",')) == ("", True)


def test_wait_comes_from_flag_environment_and_file(cli: Cli):
    def wait(*args: str, **env: str) -> float:
        return cli("config", "show", "--json", *args, env=env, check=0).json["wait_seconds"]

    assert wait() == 5
    config_file(cli, 'wait = "2m"')
    assert wait() == 120
    assert wait(KEYCTL_WAIT="30s") == 30
    assert wait("--wait", "1", KEYCTL_WAIT="30s") == 1


def test_a_password_in_a_url_is_never_shown(cli: Cli):
    config_file(cli, '[stores]\nteam = "postgresql://me:hunter2@db/keys"\n')

    for args in (["config", "show"], ["list", "--store", "team"], ["list", "--store", "mysql://me:hunter2@db/keys"]):
        result = cli(*args)
        assert "hunter2" not in result.out + result.err


def test_the_version(cli: Cli):
    assert cli("--version", check=0).out.split()[0] == "keyctl"
