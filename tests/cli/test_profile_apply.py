"""`keyctl profile apply`: another profile for a live store."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.helpers import dump
from tests.runner import Cli

PROFILE = """
name = "acme"
[key]
template = "ac_{env}_{prefix}_{secret}"
environments = {live = "live", test = "test"}
fields.prefix = {alphabet = "hex", length = 8}
fields.secret = {alphabet = "hex", length = 40}
[scopes.list]
read = {}
write = {}
[owners.kinds.customer.attributes.region]
[owners.kinds.reseller]
[plans.free]
[plans.pro]
"""


@pytest.fixture
def acme(cli: Cli) -> Cli:
    profile(cli, PROFILE)
    cli("init", "--profile", "acme.toml", "--argon2", "m=8,t=1,p=1", check=0)
    return cli


def profile(cli: Cli, text: str) -> Path:
    file = cli.cwd / "acme.toml"
    file.write_text(text)
    return file


def test_a_scope_a_plan_and_a_route_are_added_to_a_live_store(acme: Cli):
    key = acme("mint", "--scope", "read", check=0).out.strip()
    profile(
        acme,
        PROFILE.replace("write = {}", "write = {}\ninvoices = {}")
        + '[plans.ultra]\n[[http.routes]]\nmatch = "GET /v1/invoices"\nscopes = ["invoices"]\n',
    )

    answer = acme("profile", "apply", "./acme.toml", "--reason", "invoices", check=0)

    assert "+ scopes.list.invoices = {}" in answer.out.splitlines()
    assert "+ plans.ultra = {}" in answer.out.splitlines()
    assert '+ http.routes[0].match = "GET /v1/invoices"' in answer.out.splitlines()
    acme("mint", "--scope", "invoices", check=0)
    acme("verify", stdin=key, check=0)
    newest = acme("audit", "list", "--action", "profile.applied", "--json", check=0).json["events"][0]
    assert (newest["reason"], len(newest["detail"]["differences"])) == ("invoices", len(answer.out.splitlines()))
    acme("audit", "verify", check=0)


def test_keys_of_an_earlier_format_keep_verifying(acme: Cli):
    first = acme("mint", check=0).out.strip()
    profile(acme, PROFILE.replace("ac_{env}_", "acme-{env}-"))
    acme("profile", "apply", "./acme.toml", check=0)
    second = acme("mint", check=0).out.strip()
    profile(acme, PROFILE.replace("length = 8", "length = 10"))
    acme("profile", "apply", "./acme.toml", check=0)
    third = acme("mint", check=0).out.strip()

    for key in (first, second, third):
        assert acme("verify", stdin=key, check=0).out.startswith("VALID ")
        assert "an argument contains a key" in acme("show", key, check=2).err
    assert (first[:8], second[:10], len(third)) == ("ac_live_", "acme-live-", len(first) + 2)
    acme("audit", "verify", check=0)


REMOVED = [
    ("write = {}", "", "no scope write, and a live key holds it"),
    (', test = "test"', "", "no environment test, and a live key is for it"),
    ("[owners.kinds.reseller]", "", "no kind of owner reseller, and an owner is of it"),
    ("[plans.pro]", "", "no plan pro, and an owner has it"),
    (".attributes.region]", "]", "no attribute region, and an owner has it"),
]


@pytest.mark.parametrize(("old", "new", "refusal"), REMOVED)
def test_what_live_keys_or_owners_have_is_not_removed(acme: Cli, old: str, new: str, refusal: str):
    acme("owner", "add", "a", "--plan", "pro", "--attr", "region=eu", check=0)
    acme("owner", "add", "b", "--kind", "reseller", check=0)
    acme("mint", "--scope", "write", "--env", "test", check=0)
    before = dump(acme)
    profile(acme, PROFILE.replace(old, new))

    refused = acme("profile", "apply", "./acme.toml", check=4)

    assert refusal in refused.err
    assert (refused.out, dump(acme)) == ("", before)


def test_what_only_revoked_keys_had_may_go(acme: Cli):
    acme("mint", "--scope", "write", check=0)
    prefix = acme("list", "--json", check=0).json["keys"][0]["prefix"]
    acme("revoke", prefix, check=0)
    profile(acme, PROFILE.replace("write = {}", ""))

    assert acme("profile", "apply", "./acme.toml", check=0).out.strip() == "- scopes.list.write = {}"


def test_a_dry_run_prints_the_differences_and_changes_nothing(acme: Cli):
    before = dump(acme)
    profile(acme, PROFILE.replace("read = {}", 'read = {description = "look"}'))

    answer = acme("profile", "apply", "./acme.toml", "--dry-run", check=0)

    assert re.findall(r"^[-+] .*", answer.out, re.MULTILINE) == [
        "- scopes.list.read = {}",
        '+ scopes.list.read.description = "look"',
    ]
    assert dump(acme) == before


def test_the_same_profile_again_changes_nothing(acme: Cli):
    before = dump(acme)

    answer = acme("profile", "apply", "./acme.toml", check=0)

    assert "nothing was changed" in answer.err
    assert (answer.out, dump(acme)) == ("", before)


def test_a_profile_with_faults_is_not_applied(acme: Cli):
    before = dump(acme)
    profile(acme, PROFILE.replace("read = {}", "read = {tga = 1}"))

    refused = acme("profile", "apply", "./acme.toml", check=6)

    assert "scopes.list.read.tga: unknown key" in refused.err
    assert dump(acme) == before


def test_a_list_becomes_one_of_origins_only_if_every_owners_is(acme: Cli):
    lists = PROFILE + '[owners.kinds.customer.attributes.sites]\ntype = "list"\n'
    origins = lists + '[http.cors]\norigins_from = "sites"\n'
    acme("profile", "apply", str(profile(acme, lists)), check=0)
    acme("owner", "add", "one", "--attr", "sites=https://one.example,HTTPS://Two.example/", check=0)
    acme("owner", "add", "two", "--attr", "sites=three.example", check=0)
    before = dump(acme)
    file = profile(acme, origins)

    first = acme("profile", "apply", str(file), check=4)

    assert 'takes origins from sites, and owner one has "HTTPS://Two.example/" there: browsers send it otherwise' in (
        first.err
    )
    hint = "keyctl owner update one --attr sites=https://one.example,https://two.example"
    assert f"hint: first: {hint}" in first.err
    assert dump(acme) == before
    acme(*hint.split()[1:], check=0)
    second = acme("profile", "apply", str(file), check=4)
    assert 'owner two has "three.example" there: "three.example" is not an origin: it has no scheme' in second.err
    assert "hint: first: keyctl owner update two --attr sites=ORIGIN" in second.err
    acme("owner", "update", "two", "--attr", "sites=https://three.example", check=0)
    acme("profile", "apply", str(file), check=0)
    acme("owner", "update", "two", "--attr", "sites=three.example", check=2)
