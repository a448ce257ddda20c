"""`keyctl profile …`."""

from __future__ import annotations

import re

import pytest

from tests.cli.helpers import refused, with_profile, write_profile
from tests.runner import Cli


def test_the_built_in_profiles_are_listed(cli: Cli):
    names = [line.split("\t")[0] for line in cli("profile", "list", check=0).out.splitlines()]

    assert "standard" in names
    assert [one["name"] for one in cli("profile", "list", "--json", check=0).json["profiles"]] == names
    assert "standard" in cli.tty("profile", "list", check=0).out
    assert not any(cli.home.iterdir())


def test_show_reports_what_the_stores_profile_says(empty: Cli):
    cli = with_profile(empty, '[scopes.list.bot]\ndescription = "bots"\n[lifetime]\ngrace = "2h"\n')

    facts = dict(line.split("\t") for line in cli("profile", "show", check=0).out.splitlines())

    assert (facts["profile"], facts["scope bot"], facts["grace period"]) == ("acme", "bots", "2h")
    assert facts["environments"] == "live, test"
    assert re.fullmatch(r"ak_live_[0-9a-f]{12}…", facts["keys look like"])
    document = cli("profile", "show", "--json", check=0).json
    assert document["scopes"] == {"list": {"bot": {"description": "bots"}}}


def test_show_needs_no_store_for_a_built_in_one_or_a_file(cli: Cli):
    file = write_profile(cli)

    assert cli("profile", "show", "standard", "--json", check=0).json["name"] == "standard"
    assert cli("profile", "show", file, check=0).out.startswith("profile\tacme\n")
    refused(cli, "profile", "show", code=5, says="keyctl init")


def test_check_passes_a_good_profile(cli: Cli):
    file = write_profile(cli)

    assert cli("profile", "check", file, check=0).out.startswith("acme: no faults; its keys look like ak_live_")
    answer = cli("profile", "check", file, "--json", check=0).json
    assert (answer["valid"], answer["name"]) == (True, "acme")


def test_check_reports_every_fault_at_once_with_its_path(cli: Cli):
    file = cli.cwd / "bad.toml"
    file.write_text(
        """
        name = "a b"
        descripton = "typo"
        [key]
        template = "k_{prefix}_{secret}"
        environments = {}
        fields.prefix = { alphabet = "hexx", length = 0 }
        fields.secret = { length = "long" }
        [scopes]
        list.a = { plans = ["nope"], implies = ["zz*"] }
        assign = "owner-kind"
        [owners]
        required = 1
        kinds.sub = { parent = "top" }
        [lifetime]
        default = "30x"
        maximum = "0"
        [defaults]
        scopes = ["b"]
        [verification]
        refresh_seconds = true
        [[services]]
        name = "api"
        """
    )

    result = refused(cli, "profile", "check", "./bad.toml", code=6, says="./bad.toml is not a valid profile")

    for path in (
        'name: "a b"',
        'descripton: unknown key: did you mean "description"?',
        "key.environments: ",
        'key.fields.prefix.alphabet: "hexx"',
        "key.fields.prefix.length: 0",
        'key.fields.secret.length: expected a whole number, got "long"',
        'scopes.list.a.plans: "nope"',
        'scopes.list.a.implies: "zz*"',
        'scopes.assign: "owner-kind" is not one of request, owner_kind: did you mean "owner_kind"?',
        "owners.required: expected true or false, got 1",
        'owners.kinds.sub.parent: "top"',
        'lifetime.default: "30x"',
        "lifetime.maximum: must be greater than zero",
        'defaults.scopes: "b"',
        "verification.refresh_seconds: expected a whole number, got true",
        "services[0].url: is missing",
    ):
        assert f"\n  {path}" in result.err, f"{path!r} is missing\n{result}"
    error = cli("profile", "check", "./bad.toml", "--json", check=6)
    assert '"code":"PROFILE_INVALID"' in error.err
    assert error.out == ""


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ('template = "ak_{secret}_{prefix}"', "needs {prefix} before {secret}"),
        ('template = "{prefix}_{secret}"', "two or more fixed characters"),
        ('template = "ak_{prefix}"', "needs {secret} exactly once"),
        ('template = "ak_{prefix}_{secret}_{nope}"', "unknown field {nope}"),
        ('template = "ak_{prefix} {secret}"', "only letters"),
        ('template = "ak_{prefix}_{secret}"\nfields.secret.length = 21', "at least 128"),
        ('template = "ak_{env}{prefix}_{secret}"\nenvironments = {a = "x", aa = "y"}', "at least"),
    ],
)
def test_a_key_format_that_would_not_work_is_a_fault(cli: Cli, key: str, says: str):
    file = cli.cwd / "bad.toml"
    defaults = {"environments": 'environments = { live = "live" }', "fields.secret": "fields.secret.length = 32"}
    lines = [line for name, line in defaults.items() if name not in key]
    file.write_text("\n".join(['name = "bad"', "[key]", key, "fields.prefix.length = 8", *lines]))

    result = cli("profile", "check", "./bad.toml")
    if "aa" in key:  # of different lengths: keys of the two are distinguished by position
        result.expect(0)
    else:
        refused(cli, "profile", "check", "./bad.toml", code=6, says=["key.template", says])


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b'name = "x\n', 6, "not TOML"),
        (b"\xff\xfe", 6, "not TOML"),
        (b"", 6, "name: is missing"),
        (b"a = " + b"[" * 5000, 6, "not TOML"),
        (b"#" * (1024 * 1024 + 1), 6, "larger than 1 MiB"),
        (b"key = 1\n", 6, "key: expected a table, got 1"),
        (None, 3, "No such file"),
    ],
)
def test_what_is_no_profile(cli: Cli, content: bytes | None, code: int, says: str):
    if content is not None:
        (cli.cwd / "p.toml").write_bytes(content)

    refused(cli, "profile", "check", "p.toml", code=code, says=[says, "p.toml"])
    refused(cli, "init", "--profile", "p.toml", code=code, says=says)


def test_an_unknown_name_is_suggested(cli: Cli):
    refused(cli, "profile", "show", "standrad", code=3, says=['no profile "standrad"', 'did you mean "standard"?'])
    refused(cli, "profile", "check", ".", code=3, says="no profile")
