"""`keyctl limits`, and `keyctl verify --limiter`."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.helpers import execute, mint, refused, with_profile, write_profile
from tests.redis_server import RedisServer
from tests.runner import Cli

RULES = """
[owners]
kinds.account.attributes.limits = {{ type = "limits", bundle = true }}
[plans.pro]
limits = [{{ requests = 1500, per = "1h" }}, {{ requests = 3, per = "1m" }}]
[plans.own]
limits_from = "owner"
[limits]
count = "{count}"
headers = ["x-ratelimit", "ratelimit"]
"""


def limited(cli: Cli, count: str = "key") -> Cli:
    with_profile(cli, RULES.format(count=count))
    cli("owner", "add", "acme", "--plan", "pro", check=0)
    return cli


@pytest.fixture
def cli_limited(empty: Cli, redis_server: RedisServer) -> Cli:
    """A store whose owner acme has 1,500 requests an hour and 3 a minute for each key; a server counts."""
    empty.env["KEYCTL_LIMITER"] = redis_server.url
    return limited(empty)


# ── verify ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_verification_of_a_valid_key_uses_up_one_request(cli_limited: Cli):
    key = mint(cli_limited, "--owner", "acme")["key"]

    results = [cli_limited("verify", stdin=key) for _ in range(4)]
    wrong = cli_limited("verify", stdin=key[:-1] + ("a" if key[-1] != "a" else "b"))

    assert [(one.code, one.out.split()[0]) for one in results] == [(0, "VALID")] * 3 + [(19, "RATE_LIMITED")]
    assert results[3].out.rstrip().endswith("(more than 3 in 1m)")
    assert wrong.code == 11


@pytest.mark.sqlite
def test_json_has_what_is_left_and_the_response_its_headers(cli_limited: Cli):
    key = mint(cli_limited, "--owner", "acme")["key"]

    decisions = [cli_limited("verify", "--json", stdin=key).json for _ in range(4)]

    [hour, minute] = decisions[3]["limits"]
    assert (hour["requests"], hour["seconds"], hour["remaining"]) == (1500, 3600, 1497)
    assert (minute["requests"], minute["seconds"], minute["remaining"]) == (3, 60, 0)
    assert 0 < minute["reset_seconds"] <= 60
    http = decisions[3]["http"]
    assert http["status"] == 429
    assert json.loads(http["body"])["error"] == {"code": "RATE_LIMITED", "message": "Too many requests"}
    assert 0 < int(http["headers"]["Retry-After"]) <= 60
    assert http["headers"]["X-RateLimit-Limit"] == "3"
    assert http["headers"]["RateLimit-Policy"] == '"1h";q=1500;w=3600, "1m";q=3;w=60'
    assert re.fullmatch(r'"1h";r=1497;t=\d+, "1m";r=0;t=\d+', http["headers"]["RateLimit"])
    cli_limited.env.pop("KEYCTL_LIMITER")
    unknown = {"remaining": None, "reset_seconds": None}
    assert cli_limited("verify", "--json", stdin=key).json["limits"] == [
        {"requests": 1500, "seconds": 3600, **unknown},
        {"requests": 3, "seconds": 60, **unknown},
    ]


@pytest.mark.sqlite
def test_the_limiter_is_an_option_a_variable_or_in_the_configuration(cli_limited: Cli, redis_server: RedisServer):
    cli = cli_limited
    away, there = "redis://127.0.0.1:1", redis_server.url
    key = mint(cli, "--owner", "acme")["key"]

    for option, variable, setting, code in [
        (there, away, away, 0),
        (None, there, away, 0),
        (None, None, there, 0),
        (away, there, there, 5),
        (None, None, None, 0),
    ]:
        (cli.cwd / "c.toml").write_text(f'limiter = "{setting}"\n' if setting else "")
        given = ["--limiter", option] if option else []
        cli("verify", "--config", "c.toml", *given, stdin=key, env={"KEYCTL_LIMITER": variable}, check=code)


@pytest.mark.sqlite
def test_a_limiter_out_of_reach_is_unknown_and_not_a_refusal(cli_limited: Cli):
    key = mint(cli_limited, "--owner", "acme")["key"]

    result = cli_limited("verify", "--json", "--limiter", "redis://127.0.0.1:1", stdin=key, check=5)

    assert result.out == ""
    error = json.loads(result.err)["error"]
    assert error["code"] == "LIMITER_UNAVAILABLE"
    assert error["message"] == "the limiter redis://127.0.0.1:1 is not available: Connection refused"


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://me:s3cret@h", 'unsupported limiter URL scheme "mysql://"'),
        ("redis://:s3cret@h/x", "must be a number"),
        ("localhost:6379", "is not a URL"),
    ],
)
def test_a_limiter_that_cannot_be_one_is_refused_and_counts_nothing(cli_limited: Cli, url: str, says: str):
    key = mint(cli_limited, "--owner", "acme")["key"]

    for how in ({"args": ["--limiter", url], "env": {}}, {"args": [], "env": {"KEYCTL_LIMITER": url}}):
        result = cli_limited("verify", *how["args"], stdin=key, env=how["env"], check=2)
        assert says in result.err
        assert "s3cret" not in result.err


@pytest.mark.sqlite
def test_a_password_in_the_option_is_warned_about_and_never_printed(cli_limited: Cli, redis_server: RedisServer):
    cli = cli_limited
    key = mint(cli, "--owner", "acme")["key"]
    url = f"redis://:s3cret@127.0.0.1:{redis_server.port}"

    warned = cli("verify", "--limiter", url, stdin=key)
    silent = cli("verify", stdin=key, env={"KEYCTL_LIMITER": url})
    shown = cli("config", "show", env={"KEYCTL_LIMITER": url}, check=0)

    assert "the password in --limiter is visible to every process on this machine" in warned.err
    assert "password in --limiter" not in silent.err
    assert f"limiter\tredis://127.0.0.1:{redis_server.port}\n" in shown.out
    assert not any("s3cret" in one.out + one.err for one in (warned, silent, shown))


@pytest.mark.sqlite
def test_requests_verified_by_a_bundle_count_with_the_others(cli_limited: Cli):
    cli = cli_limited
    key = mint(cli, "--owner", "acme")["key"]
    signer = cli("bundle", "key", "--create", check=0).out.strip()
    cli("bundle", "export", "b", check=0)

    codes = [
        cli("verify", *(["--bundle", "b", "--trust", signer] if i % 2 else []), stdin=key).out.split()[0]
        for i in range(4)
    ]

    assert codes == ["VALID", "VALID", "VALID", "RATE_LIMITED"]


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_used_and_left_is_shown_and_nothing_counted(cli_limited: Cli):
    key = mint(cli_limited, "--owner", "acme")
    for _ in range(2):
        cli_limited("verify", stdin=key["key"], check=0)

    for selector in (key["prefix"], key["id"]):
        shown = cli_limited("limits", selector, check=0).out
        assert re.fullmatch(r"1500\t3600\t2\t1498\t\d+\.\d{3}\n3\t60\t2\t1\t\d+\.\d{3}\n", shown)
    found = cli_limited("limits", key["prefix"], "--json", check=0).json
    assert found | {"limits": None} == {
        "prefix": key["prefix"],
        "owner": "acme",
        "count": "key",
        "reset": False,
        "limits": None,
    }
    assert [(limit["used"], limit["remaining"]) for limit in found["limits"]] == [(2, 1498), (2, 1)]


@pytest.mark.sqlite
def test_on_a_terminal_it_is_a_table(cli_limited: Cli):
    key = mint(cli_limited, "--owner", "acme")
    cli_limited("verify", stdin=key["key"], check=0)

    result = cli_limited.tty("limits", key["prefix"], columns=80, check=0)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", result.out).splitlines()

    rows = [re.split(r"\s{2,}", line.strip()) for line in shown]
    assert [row[:4] for row in rows] == [
        ["REQUESTS", "PER", "USED", "LEFT"],
        ["1,500", "1h", "1", "1,499"],
        ["3", "1m", "1", "2"],
    ]
    assert [bool(re.fullmatch("MORE|in (1h|1m|[5-6][0-9][ms].*)", row[4])) for row in rows] == [True] * 3


def test_reset_counts_from_zero_and_a_dry_run_does_not(cli_limited: Cli):
    key, other = mint(cli_limited, "--owner", "acme"), mint(cli_limited, "--owner", "acme")
    for text in (key["key"], other["key"]):
        cli_limited("verify", stdin=text, check=0)

    def used(prefix: str, *args: str) -> list[int]:
        return [limit["used"] for limit in cli_limited("limits", prefix, "--json", *args, check=0).json["limits"]]

    assert used(key["prefix"], "--reset", "--dry-run") == [1, 1]
    assert used(key["prefix"], "--reset") == [0, 0]
    assert used(key["prefix"]) == [0, 0]
    assert used(other["prefix"]) == [1, 1]
    assert f"counting the requests of {key['prefix']} from zero" in cli_limited("limits", key["prefix"], "--reset").err


@pytest.mark.sqlite
def test_where_owners_are_counted_all_keys_of_one_share_what_is_shown(empty: Cli, redis_server: RedisServer):
    empty.env["KEYCTL_LIMITER"] = redis_server.url
    cli = limited(empty, "owner")
    one, two = (mint(cli, "--owner", "acme") for _ in range(2))
    cli("verify", stdin=one["key"], check=0)

    found = cli("limits", two["prefix"], "--json", check=0).json

    assert (found["count"], [limit["used"] for limit in found["limits"]]) == ("owner", [1, 1])
    assert "the requests of all keys of acme" in cli("limits", two["prefix"], "--reset", check=0).err


@pytest.mark.sqlite
def test_a_key_without_limits_has_nothing_to_show(cli_limited: Cli):
    key = mint(cli_limited)

    result = cli_limited("limits", key["prefix"], check=0)

    assert (result.out, "the key has no rate limits" in result.err) == ("", True)
    assert cli_limited("limits", key["prefix"], "--json", check=0).json["limits"] == []


@pytest.mark.sqlite
def test_what_cannot_be_shown_is_refused_with_the_reason(cli_limited: Cli):
    prefix = mint(cli_limited, "--owner", "acme")["prefix"]

    refused(cli_limited, "limits", prefix, "--limiter", "memory://", code=2, says="counts in one process")
    refused(cli_limited, "limits", prefix, "--dry-run", code=2, says="--dry-run requires --reset")
    refused(cli_limited, "limits", "nothing", code=3, says="no key")
    refused(cli_limited, "limits", prefix, "--limiter", "redis://127.0.0.1:1", code=5, says="Connection refused")
    cli_limited.env.pop("KEYCTL_LIMITER")
    refused(cli_limited, "limits", prefix, code=2, says=["no limiter is given", "--limiter redis://"])


# ── plans without limits ─────────────────────────────────────────────────────────────────────────────────────────────

REQUIRED = """
[owners]
required = true
kinds.account.attributes.limits = { type = "limits", bundle = true }
[plans.pro]
limits = [{ requests = 9, per = "1h" }]
[plans.own]
limits_from = "owner"
[limits]
required = true
"""


def test_where_limits_are_required_no_owner_escapes_them(empty: Cli):
    cli = with_profile(empty, REQUIRED)
    cli("owner", "add", "acme", "--plan", "pro", check=0)
    cli("owner", "add", "own", "--plan", "own", "--attr", "limits=5/1h", check=0)

    without_plan = "an owner without a plan has no rate limits"
    without_own = "the plan own has no rate limits of its own"
    for words, says in [
        (["owner", "add", "new"], without_plan),
        (["owner", "add", "new", "--plan", "own"], without_own),
        (["mint", "--owner", "new", "--create-owner"], without_plan),
        (["owner", "update", "acme", "--plan", "own"], without_own),
        (["owner", "update", "acme", "--plan", ""], without_plan),
        (["owner", "update", "own", "--attr", "limits="], without_own),
    ]:
        refused(cli, *words, code=4, says=says)
    cli("owner", "update", "acme", "--plan", "own", "--attr", "limits=5/1h", check=0)
    cli("owner", "update", "own", "--name", "Own", check=0)


def test_owners_of_earlier_times_are_found_and_stop_the_profile_that_requires_limits(empty: Cli):
    cli = with_profile(empty, REQUIRED)
    cli("owner", "add", "acme", "--plan", "pro", check=0)
    cli("owner", "add", "own", "--plan", "own", "--attr", "limits=5/1h", check=0)
    key = mint(cli, "--owner", "own")["key"]
    execute(cli, "update owners set attributes = '{}' where handle = 'own'")
    execute(cli, "update owners set plan = null where handle = 'acme'")

    results = {one["name"]: one for one in cli("doctor", "--json", check=9).json["checks"]}

    assert [(one["value"], one["fix"]) for one in results["limits"]["findings"]] == [
        ("acme", "keyctl owner update acme --plan PLAN"),
        ("own", "keyctl owner update own --attr limits=5000/1h"),
    ]
    decision = cli("verify", "--limiter", "memory://", stdin=key, check=19).out
    assert "the owner has no rate limits, and the profile requires them" in decision


@pytest.mark.sqlite
def test_a_profile_that_requires_limits_is_not_applied_while_an_owner_has_none(empty: Cli):
    cli = with_profile(empty, REQUIRED.replace("[limits]\nrequired = true", ""))
    for handle in ("acme", "own"):
        cli("owner", "add", handle, check=0)
    strict = write_profile(cli, REQUIRED)

    refused(cli, "profile", "apply", strict, code=4, says=["requires rate limits, and the owner acme has none"])
    cli("owner", "update", "acme", "--plan", "pro", check=0)
    refused(cli, "profile", "apply", strict, code=4, says=["and the owner own has none", "keyctl owner update own"])
    cli("owner", "update", "own", "--plan", "own", "--attr", "limits=5/1h", check=0)
    cli("profile", "apply", strict, check=0)


@pytest.mark.sqlite
def test_a_request_that_is_allowed_uncounted_is_warned_about(empty: Cli):
    cli = with_profile(empty, RULES.format(count="key") + 'on_failure = "allow"')
    key = mint(cli, "--owner", "acme", "--create-owner")["key"]
    cli("owner", "update", "acme", "--plan", "pro", check=0)

    result = cli("verify", "--limiter", "redis://127.0.0.1:1", stdin=key, check=0)

    assert result.err == (
        "keyctl: warning: the request was not counted: "
        "the limiter redis://127.0.0.1:1 is not available: Connection refused\n"
    )
