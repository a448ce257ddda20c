"""A user's own profile, for a platform that looks like none of the built-in ones, is as good as a preset."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.platforms.conformance import Platform, Response
from tests.runner import Cli

TEAPOT = """
name = "teahouse"

[key]
template = "{brand}~{env}.{prefix}:{secret}-{checksum}"
brand = "tea"
environments = { g = "garden", k = "kitchen", t = "table" }
fields.prefix = { alphabet = "base58", length = 9 }
fields.secret = { alphabet = "base58", length = 24 }
fields.checksum = { alphabet = "base58", length = 6 }

[ids]
key = "serial"

[defaults]
environment = "kitchen"

[scopes]
list."brew:green" = {}
list."brew:black" = {}
list."brew:rare" = { plans = ["gold"] }
list."pour:cup" = {}
list.brewer = { implies = ["brew:*"] }
list.host = { implies = ["*"], owner_kinds = ["house"] }

[owners]
isolation = "subtree"
kinds.room.parent = "house"
kinds.room.attributes.windows = { type = "list" }
kinds.house.attributes.windows = { type = "list" }

[plans.tin]
limits = [{ requests = 3, per = "10s" }]
[plans.gold]

[http]
credentials = [{ header = "Tea-Key", scheme = "Leaf" }]
unmatched = "key"

[[http.routes]]
match = "GET /"
public = true
[[http.routes]]
match = "BREW /pots/{pot}"
scopes = ["brew:{pot}"]
[[http.routes]]
match = "* /pots/{pot}/cups/{cup}"
scopes = ["brew:{pot}", "pour:cup"]
[[http.routes]]
match = "GET /pots/**"
scopes = ["pour:cup|host"]

[http.cors]
methods = ["BREW"]
headers = ["Tea-Key"]
origins_from = "windows"

[http.identity]
Tea-House = "${owner.name}"
Tea-Serial = "${key.id}"

[http.responses.KEY_REVOKED]
status = 418
headers = { Tea-Reason = "short and stout: ${key.name}", content-type = "application/problem+json" }
body = '{"type": "teapot", "name": ${key.name}, "text": "${key.name}", "who": "${owner.name}", "scopes": ${scopes}}'

[http.responses.FORBIDDEN_SCOPE]
body = '{"lacks": ${missing_scope}, "id": ${key.id}}'

[http.responses."INVALID_API_KEY.checksum"]
status = 422
body = '{"hint": "a typing error"}'

[http.responses.minted]
status = 201
headers = { Location = "/keys/${key.id}" }
body = '{"id": ${key.id}, "leaf": "${key.text}", "ends": ${key.expires_at}}'

[http.responses.revoked]
status = 204
"""


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("teahouse"))
    Platform(cli, profile(cli.home, TEAPOT))
    cli.close()
    return cli.home


@pytest.fixture
def teahouse(cli: Cli, _home: Path) -> Platform:
    return Platform.copied(cli, _home)


def profile(folder: Path, text: str) -> Path:
    file = folder / "teahouse.toml"
    file.write_text(text)
    return file


def leaf(key: dict[str, str]) -> dict[str, str]:
    return {"Tea-Key": f"leaf {key['key']}"}


def test_its_file_has_no_faults(cli: Cli):
    assert cli("profile", "check", profile(cli.home, TEAPOT), check=0).out.startswith("teahouse: no faults")


@pytest.mark.parametrize(("env", "tag"), [("garden", "g"), ("kitchen", "k"), ("table", "t")])
def test_keys_are_made_for_three_environments_and_recognised(teahouse: Platform, env: str, tag: str):
    key = teahouse.mint("--env", env)

    base58 = "[1-9A-HJ-NP-Za-km-z]"
    assert re.fullmatch(rf"tea~{tag}\.{base58}{{9}}:{base58}{{24}}-{base58}{{6}}", key["key"])
    assert (key["environment"], key["id"]) == (env, "1")
    assert teahouse.decide("GET", "/menu", leaf(key))["key"]["environment"] == env
    for other in {"garden", "kitchen", "table"} - {env}:
        assert teahouse.send("GET", "/menu", leaf(key), "--env", other).code == 18


def test_a_key_may_begin_with_none_of_what_other_platforms_use(teahouse: Platform):
    key = teahouse.mint()["key"]

    for headers in ({"Tea-Key": key}, {"Authorization": f"Bearer {key}"}, {"api-key": key}, {"Tea-Key": f"Bag {key}"}):
        assert teahouse.code("GET", "/menu", headers) == "MISSING_API_KEY"
    assert teahouse.code("GET", "/menu", {"TEA-KEY": f"LEAF  {key}"}) == "VALID"


def test_a_typing_error_is_distinguished_from_an_unknown_key(teahouse: Platform):
    key = teahouse.mint()["key"]
    typo = key[:20] + ("2" if key[20] != "2" else "3") + key[21:]

    assert teahouse.request("GET", "/menu", leaf({"key": typo})) == Response(
        "422 Unprocessable Content", {"Content-Type": "application/json"}, '{"hint": "a typing error"}', 11
    )
    assert teahouse.request("GET", "/menu", leaf({"key": key[:-1]})).status == "401 Unauthorized"


def test_a_revoked_key_is_a_teapot_and_names_are_text_in_json_and_in_headers(teahouse: Platform):
    teahouse.owner("inn", "--kind", "house", "--name", 'O\'Hara "&" Søn', "--plan", "tin")
    key = teahouse.mint("--owner", "inn", "--name", 'a "\\ {}${owner.name} ☕', "--scope", "host")
    teahouse.cli("revoke", key["prefix"], check=0)

    assert teahouse.request("GET", "/menu", leaf(key)) == Response(
        "418 I'm a Teapot",
        {
            "Tea-Reason": 'short and stout: a "\\ {}${owner.name} %E2%98%95',
            "content-type": "application/problem+json",
        },
        '{"type": "teapot", "name": "a \\"\\\\ {}${owner.name} ☕", "text": "a \\"\\\\ {}${owner.name} ☕", '
        '"who": "O\'Hara \\"&\\" Søn", "scopes": ["host", "brew:green", "brew:black", "pour:cup", "brewer"]}',
        12,
    )


def test_wildcard_scopes_include_what_they_match_as_far_as_the_plan_allows(teahouse: Platform):
    teahouse.owner("inn", "--kind", "house", "--plan", "tin")
    brewer, pourer = (teahouse.mint("--owner", "inn", "--scope", scope) for scope in ("brewer", "pour:cup"))

    assert teahouse.code("BREW", "/pots/green", leaf(brewer)) == "VALID"
    assert teahouse.request("BREW", "/pots/rare", leaf(brewer)).body == '{"lacks": "brew:rare", "id": 1}'
    assert teahouse.request("BREW", "/pots/green/cups/1", leaf(brewer)).body == '{"lacks": "pour:cup", "id": 1}'
    assert teahouse.request("BREW", "/pots/green", leaf(pourer)).body == '{"lacks": "brew:green", "id": 2}'
    assert teahouse.request("BREW", "/pots/*", leaf(pourer)).status == "403 Forbidden"
    teahouse.cli("owner", "update", "inn", "--plan", "gold", check=0)
    assert teahouse.code("BREW", "/pots/rare", leaf(brewer)) == "VALID"


def test_a_route_may_ask_for_one_of_several_scopes(teahouse: Platform):
    teahouse.owner("inn", "--kind", "house")
    for scope, code in [("pour:cup", "VALID"), ("host", "VALID"), ("brewer", "FORBIDDEN_SCOPE")]:
        assert teahouse.code("GET", "/pots/green/x", leaf(teahouse.mint("--owner", "inn", "--scope", scope))) == code


def test_an_address_without_a_route_needs_a_key_and_no_scope(teahouse: Platform):
    key = teahouse.mint()

    assert teahouse.code("GET", "/menu", leaf(key)) == "VALID"
    assert teahouse.code("GET", "/menu") == "MISSING_API_KEY"
    assert teahouse.code("GET", "/") == "VALID"
    assert teahouse.code("POST", "/") == "MISSING_API_KEY"


def test_keys_reach_what_belongs_to_owners_below(teahouse: Platform):
    teahouse.owner("inn", "--kind", "house")
    teahouse.owner("bar", "--kind", "room", "--parent", "inn")
    above, below = teahouse.mint("--owner", "inn"), teahouse.mint("--owner", "bar")

    assert teahouse.send("GET", "/menu", leaf(above), "--resource-owner", "bar").code == 0
    assert teahouse.send("GET", "/menu", leaf(below), "--resource-owner", "inn").code == 24


def test_a_gateway_gets_the_identity_in_printable_ascii(teahouse: Platform):
    teahouse.owner("inn", "--kind", "house", "--name", "Søn 100%")
    key = teahouse.mint("--owner", "inn")

    decision = teahouse.decide("GET", "/menu", leaf(key) | {"Tea-House": "me", "Tea_Serial": "7"})

    assert decision["identity"] == {
        "headers": {"Tea-House": "S%C3%B8n 100%25", "Tea-Serial": "1"},
        "drop": ["Tea-House", "Tea_House", "Tea-Serial", "Tea_Serial"],
        "drop_pattern": "tea[^0-9A-Za-z]house|tea[^0-9A-Za-z]serial",
    }
    nobody = teahouse.decide("GET", "/menu", leaf(teahouse.mint()))
    assert nobody["identity"]["headers"] == {"Tea-Serial": "2"}
    assert teahouse.decide("GET", "/")["identity"]["headers"] == {}


def test_browsers_are_answered_by_windows(teahouse: Platform):
    teahouse.owner("inn", "--kind", "house")
    teahouse.owner("bar", "--kind", "room", "--parent", "inn", "--attr", "windows=https://bar.example")
    asked = {"Origin": "https://bar.example", "Access-Control-Request-Method": "BREW"}

    assert teahouse.request("OPTIONS", "/pots/green", asked).headers["Access-Control-Allow-Methods"] == "BREW"
    teahouse.cli("owner", "disable", "inn", "--yes", check=0)  # disabling a parent stops an owner too
    assert teahouse.request("OPTIONS", "/pots/green", asked).status == "403 Forbidden"


def test_minting_and_revoking_have_the_platforms_own_answers(teahouse: Platform):
    minted = teahouse.answer("mint", "--expires", "2099-01-31T00:00:00Z")

    assert (minted.status, minted.headers["Location"]) == ("201 Created", "/keys/1")
    match = re.fullmatch(r'\{"id": 1, "leaf": "(tea~k\..*)", "ends": "2099-01-31T00:00:00Z"\}', minted.body)
    assert match
    assert teahouse.code("GET", "/menu", leaf({"key": match[1]})) == "VALID"
    assert teahouse.answer("revoke", "1") == Response("204 No Content", {}, "", 0)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("GET /pots/**", "BREW /pots/{which}", '"BREW /pots/{which}" matches the same requests as another route'),
        ("{prefix}:{secret}", "{secret}:{prefix}", "key.template: needs {prefix} before {secret}"),
        ("{prefix}:{secret}", "{prefix}", "key.template: needs {secret} exactly once"),
        ("~{env}.{prefix}", "{env}{prefix}", None),  # tags of one length can be distinguished anywhere
        ('plans = ["gold"]', 'plans = ["silver"]', 'scopes.list."brew:rare".plans: "silver" is not known'),
        ('implies = ["brew:*"]', 'implies = ["brewer"]', 'scopes.list.brewer.implies: "brewer" matches no other scope'),
        ('list."brew:green" = {}', 'list."brew:green" = { excludes = ["brew:green"] }', "excludes: unknown key"),
        ("[plans.tin]", '[plans.tin]\nscopes = ["nothing"]', "plans.tin.scopes: unknown key"),
        ('"brew:{pot}", "pour:cup"', '"brew:{kettle}"', '"brew:{kettle}" names a parameter that the path does not'),
        ('"pour:cup|host"', '"pour:cup|guest"', '"guest" is not a scope of this profile'),
        ("{pot}/cups/{cup}", "{pot}/cups/{pot}", "has two parameters of the same name"),
        ("GET /pots/**", "GET /pots/**/x", "is not METHOD /path"),
        ("GET /pots/**", "GET /pots/../x", "is not METHOD /path"),
        ("GET /pots/**", "get /pots/**", "is not METHOD /path"),
        ("GET /pots/**", "GET pots", "is not METHOD /path"),
        ('{"lacks": ${missing_scope}', '{"lacks" ${missing_scope}', "body: is not JSON after it is filled in"),
        ('{"lacks": ${missing_scope}', '{"lacks": ${missing.scope}', "${missing.scope} is not known"),
        ('"short and stout: ${key.name}"', '"short\\r\\nand: stout"', "must be printable ASCII"),
        ("Tea-Reason", '"Tea Reason"', '"Tea Reason" is not the name of a header'),
        ("Tea-Reason", '"X: y\\r\\nZ"', "is not the name of a header"),
        ('methods = ["BREW"]', 'methods = ["BREW\\r\\nX: y"]', "http.cors.methods: "),
        ("status = 418", "status = 99", "99 is less than 200"),
        ("status = 418", "status = 1000", "1000 is more than 599"),
        ("responses.revoked", "responses.KEY_STEEPED", "is not one of VALID, "),
        ('origins_from = "windows"', 'origins_from = "doors"', '"doors" is not a list among the attributes'),
        ('name = "teahouse"', 'name = "teahouse', "it is not TOML"),
    ],
)
def test_a_fault_in_its_file_is_reported_with_its_place(cli: Cli, before: str, after: str, fault: str | None):
    assert before in TEAPOT
    file = profile(cli.home, TEAPOT.replace(before, after, 1))

    result = cli("profile", "check", file)

    if fault is None:
        result.expect(0)
    else:
        assert fault in result.expect(6).err, result
        refused = cli("init", "--profile", file, check=6)
        assert refused.out == ""
        assert not list(cli.home.rglob("*.db"))


def test_a_template_that_cannot_be_parsed_by_position_is_a_fault(cli: Cli):
    text = TEAPOT.replace("{env}.", "{env}{scope}.").replace('g = "garden"', 'kk = "garden"')
    text = text.replace('list."brew:green" = {}', 'list."brew:green" = { tag = "kt" }')
    text = text.replace('list."pour:cup" = {}', 'list."pour:cup" = { tag = "t" }')  # k + kt = kk + t

    refused = cli("profile", "check", profile(cli.home, text), check=6)

    assert "key.template: cannot be parsed by position" in refused.err
