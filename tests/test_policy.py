from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl import policy
from keyctl.errors import Refused, UsageError
from keyctl.models import Owner
from keyctl.profiles.model import Profile
from keyctl.text import LONGEST_REASON, checked_text
from tests.samples import NOW, document, owner, profile

TAGGED = document()["key"] | {"template": "{brand}_{scope}_{prefix}{secret}{checksum}"}
PROFILE = profile(
    key=TAGGED,
    defaults={"scopes": ["billing:read"], "environment": "test", "plan": "free"},
    scopes={
        "list": {
            "billing:read": {"tag": "br"},
            "billing:write": {"tag": "bw"},
            "reports": {"tag": "re", "plans": ["pro", "ultra"]},
            "fleet": {"tag": "fl", "owner_kinds": ["agency"]},
            "untagged": {},
        }
    },
    owners={
        "default_kind": "user",
        "kinds": {
            "agency": {
                "attributes": {
                    "seats": {"type": "integer", "required": True},
                    "origins": {"type": "list", "default": ["https://a.example"]},
                    "vip": {"type": "boolean"},
                    "region": {},
                }
            },
            "client": {"parent": "agency"},
            "user": {},
            "account": {"parent": "account"},
        },
    },
    plans={"free": {}, "pro": {}, "ultra": {}},
)
PLAIN = profile()
FOLLOWING = profile(
    scopes={"assign": "owner_kind", "list": {"A": {"owner_kinds": ["agency"]}, "C": {"owner_kinds": ["client"]}}},
    owners={"kinds": {"agency": {}, "client": {"parent": "agency"}}},
)


# ── text that people supply ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "a name",
        "[bold]x[/x]",
        "Zoë 名前 שלום",
        "👩\u200d💻",
        "x" * 200,
        " padded ",
        "{brand} %s $HOME `id` \"quoted\" 'too'",
        "\u200bzero width",
    ],
)
def test_a_text_is_kept_as_it_was_given(value: str):
    assert checked_text("name", value) == value


@pytest.mark.parametrize("value", ["", " ", "\n", "\t \u3000", "\u2003"])
def test_an_empty_text_is_refused(value: str):
    with pytest.raises(UsageError) as error:
        checked_text("name", value)

    assert error.value.message == "the name is empty"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a\nb", "U+000A"),
        ("a\n", "U+000A"),
        ("a\rb", "U+000D"),
        ("a\tb", "U+0009"),
        ("a\0b", "U+0000"),
        ("\x1b[31mred", "U+001B"),
        ("\x9b31m", "U+009B"),
        ("\x7f", "U+007F"),
        ("a\u2028b", "U+2028"),
        ("a\u2029b", "U+2029"),
        ("\u202egnp", "U+202E"),
        ("a\u200fb", "U+200F"),
        ("a\u2066b", "U+2066"),
        ("caf\udce9", "U+DCE9"),
    ],
)
def test_what_could_act_on_a_terminal_is_refused_by_its_number(value: str, told: str):
    with pytest.raises(UsageError) as error:
        checked_text("name", value)

    assert error.value.message == f"the name holds the character {told}"


def test_a_long_text_is_refused_by_its_length():
    with pytest.raises(UsageError) as error:
        checked_text("name", "x" * 10_000)

    assert error.value.message == "the name has 10,000 characters: at most 200"
    assert checked_text("reason", "x" * 500, longest=LONGEST_REASON)


@pytest.mark.parametrize("value", ["acme", "jane@acme.com", "a", "0", "A.b_c-d:e+f", "x" * 200])
def test_a_handle_is_kept(value: str):
    assert policy.handle(value) == value


@pytest.mark.parametrize(
    "value", ["", " ", "a b", " a", "a\n", "-a", ".a", "@a", "a/b", "a,b", "ä", "ａ", "x" * 201, "[a]", "a\x1b[31m"]
)
def test_a_handle_that_needs_quoting_somewhere_is_refused(value: str):
    with pytest.raises(UsageError) as error:
        policy.handle(value)

    assert "is not a valid owner handle" in error.value.message
    assert error.value.message.isprintable()


def test_metadata_is_read():
    assert policy.metadata(["team=billing", "a.b/c-d_e=x=y", "empty=", "team=ops"]) == {
        "team": "ops",
        "a.b/c-d_e": "x=y",
        "empty": "",
    }
    assert policy.metadata([]) == {}


@pytest.mark.parametrize("pair", ["", "team", "=x", " team=x", "te am=x", "-team=x", "té=x", "x" * 64 + "=1", "\n=1"])
def test_metadata_without_a_name_is_refused(pair: str):
    with pytest.raises(UsageError) as error:
        policy.metadata(["ok=1", pair])

    assert "is not NAME=VALUE" in error.value.message
    assert error.value.message.isprintable()


@pytest.mark.parametrize("pair", ["team=a\nb", "team=\x1b[31m", "team=" + "x" * 1001])
def test_metadata_is_text_too(pair: str):
    with pytest.raises(UsageError) as error:
        policy.metadata([pair])

    assert "the value of team " in error.value.message


# ── environment, plan, kind ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_environment_is_the_profiles():
    assert policy.environment(PROFILE, None) == "test"
    assert policy.environment(PROFILE, "live") == "live"


@pytest.mark.parametrize(("name", "hint"), [("lvie", "live"), ("LIVE", ""), ("", ""), ("prod", ""), ("\x1b[31m", "")])
def test_an_unknown_environment_is_refused(name: str, hint: str):
    with pytest.raises(UsageError) as error:
        policy.environment(PROFILE, name)

    assert "environment" in error.value.message
    assert error.value.message.isprintable()
    assert hint in error.value.hint


def test_a_plan_is_the_profiles():
    assert policy.plan(PROFILE, None) == "free"
    assert policy.plan(PROFILE, "ultra") == "ultra"
    assert policy.plan(PLAIN, None) is None


@pytest.mark.parametrize(
    ("rules", "name", "hint"),
    [
        (PROFILE, "ulta", 'did you mean "ultra"?'),
        (PROFILE, "zz", "known: free, pro, ultra"),
        (PLAIN, "pro", "no plans"),
    ],
)
def test_an_unknown_plan_is_refused(rules: Profile, name: str, hint: str):
    with pytest.raises(UsageError) as error:
        policy.plan(rules, name)

    assert f'unknown plan "{name}"' in error.value.message
    assert hint in error.value.hint


def test_a_kind_of_owner_is_the_profiles():
    assert policy.owner_kind(PROFILE, None).name == "user"
    assert policy.owner_kind(PROFILE, "agency").name == "agency"


def test_an_unknown_kind_of_owner_is_refused():
    with pytest.raises(UsageError) as error:
        policy.owner_kind(PROFILE, "agancy")

    assert error.value.message == 'unknown kind of owner "agancy" in profile "standard"'
    assert 'did you mean "agency"?' in error.value.hint


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_scopes_keep_their_order_each_once():
    asked = ["billing:write", "billing:read", "billing:write"]

    assert policy.scopes(PROFILE, asked, None) == ("billing:write", "billing:read")


def test_a_key_that_asks_for_nothing_gets_the_defaults():
    assert policy.scopes(PROFILE, None, None) == ("billing:read",)
    assert policy.scopes(PLAIN, None, None) == ()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("billing:wirte", 'did you mean "billing:write"?'),
        ("BILLING:READ", "keyctl profile show"),
        ("*", "keyctl profile show"),
        ("", "keyctl profile show"),
        (" billing:read", 'did you mean "billing:read"?'),
        ("x" * 10_000, "keyctl profile show"),
        ("\x1b[31m", "keyctl profile show"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_an_unknown_scope_is_refused_with_the_nearest(name: str, hint: str):
    with pytest.raises(UsageError) as error:
        policy.scopes(PROFILE, ["billing:read", name], None)

    assert error.value.message.startswith('unknown scope "')
    assert error.value.message.endswith('in profile "standard"')
    assert error.value.message.isprintable()
    assert len(error.value.message) < 150
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("scope", "holder", "why"),
    [
        ("reports", None, "needs the plan pro or ultra, and the key has no owner"),
        ("reports", owner(plan=None), "and the owner has no plan"),
        ("reports", owner(plan="free"), "and the owner has the plan free"),
        ("fleet", None, "is not for a key without an owner: only for agency"),
        ("fleet", owner(kind="client"), "is not for a client: only for agency"),
        ("fleet", owner(kind="account"), "is not for an account: only for agency"),
        ("fleet", owner(kind="user"), "is not for a user: only for agency"),
    ],
)
def test_a_scope_beyond_plan_or_kind_is_refused(scope: str, holder: Owner | None, why: str):
    with pytest.raises(Refused) as error:
        policy.scopes(PROFILE, [scope], holder)

    assert error.value.message.startswith(f"scope {scope} ")
    assert why in error.value.message


@pytest.mark.parametrize(
    ("scope", "holder"),
    [("reports", owner(plan="pro")), ("reports", owner(plan="ultra")), ("fleet", owner(kind="agency"))],
)
def test_a_scope_within_plan_and_kind_is_given(scope: str, holder: Owner):
    assert policy.scopes(PROFILE, [scope], holder) == (scope,)


def test_an_exclusive_scope_is_the_only_one():
    rules = profile(scopes={"exclusive": True, "list": {"a": {}, "b": {}}})

    assert policy.scopes(rules, ["a"], None) == ("a",)
    with pytest.raises(Refused) as error:
        policy.scopes(rules, ["a", "b"], None)
    assert error.value.message == "a key can have only one scope in this profile, not 2"


@pytest.mark.parametrize("asked", [None, []])
def test_a_required_scope_cannot_be_left_out(asked: list[str] | None):
    rules = profile(scopes={"required": True, "list": {"a": {}, "b": {}}})

    with pytest.raises(Refused) as error:
        policy.scopes(rules, asked, None)

    assert error.value.message == "a scope is required in this profile"
    assert error.value.hint == "add --scope: a, b"


@pytest.mark.parametrize("chosen", [[], ["untagged"], ["untagged", "billing:read"], ["no longer listed"]])
def test_a_scope_that_is_in_the_key_needs_a_tag(chosen: list[str]):
    with pytest.raises(Refused) as error:
        policy.check_scopes(PROFILE, chosen, None)

    assert "is part of the key's text" in error.value.message


def test_only_the_first_scope_is_in_the_key():
    policy.check_scopes(PROFILE, ["billing:read", "untagged"], None)


@pytest.mark.parametrize(
    ("kind", "asked", "given"), [("agency", None, "A"), ("client", None, "C"), ("client", ["C"], "C")]
)
def test_a_scope_may_follow_from_the_owners_kind(kind: str, asked: list[str] | None, given: str):
    assert policy.scopes(FOLLOWING, asked, owner(kind=kind)) == (given,)


@pytest.mark.parametrize("asked", [["A"], ["A", "C"], ["C", "A"], []])
def test_a_scope_that_follows_from_the_owners_kind_cannot_be_chosen(asked: list[str]):
    with pytest.raises(Refused) as error:
        policy.scopes(FOLLOWING, asked, owner(kind="client"))

    assert error.value.message == "the scope of a key for a client is C"


def test_a_scope_that_follows_from_no_owner_is_refused():
    with pytest.raises(Refused) as error:
        policy.scopes(FOLLOWING, None, None)

    assert error.value.hint == "add --owner HANDLE"


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────────────────

LIMITED = profile(lifetime={"default": "30d", "maximum": "90d"})
CREATED = NOW - timedelta(days=10)


@pytest.mark.parametrize(
    ("rules", "asked", "end"),
    [
        (PLAIN, None, None),
        (PLAIN, "never", None),
        (PLAIN, "1h", NOW + timedelta(hours=1)),
        (LIMITED, None, NOW + timedelta(days=30)),
        (LIMITED, "80d", NOW + timedelta(days=80)),  # to the second 90 days after it was made
        (LIMITED, "2026-09-19T14:00:00+02:00", CREATED + timedelta(days=90)),
    ],
)
def test_a_key_ends_when_asked_or_by_default(rules: Profile, asked: str | None, end: datetime | None):
    assert policy.expiry(rules, asked, created_at=CREATED, now=NOW) == end


@pytest.mark.parametrize(
    "asked", ["never", "6912001", "81d", "2026-09-19T12:00:00.001Z", "36500d", "9999-12-31T23:59:59Z"]
)
def test_a_life_beyond_the_profiles_maximum_is_refused(asked: str):
    with pytest.raises(Refused) as error:
        policy.expiry(LIMITED, asked, created_at=CREATED, now=NOW)

    assert error.value.message == f'"{asked}" exceeds the maximum lifetime in profile "standard": 90d'


@pytest.mark.parametrize(
    "asked", ["0", "-1d", "1e9d", "tomorrow", "2020-01-01T00:00:00Z", "2020-01-01", "1790000000", ""]
)
def test_an_expiry_that_is_no_time_to_come_is_refused(asked: str):
    with pytest.raises(UsageError):
        policy.expiry(PLAIN, asked, created_at=CREATED, now=NOW)


@given(st.integers(1, 10**10))
def test_no_expiry_is_later_than_the_maximum_allows(seconds: int):
    try:
        end = policy.expiry(LIMITED, f"{seconds}s", created_at=CREATED, now=NOW)
    except (Refused, UsageError):
        assert NOW + timedelta(seconds=seconds) > CREATED + timedelta(days=90)
    else:
        assert end == NOW + timedelta(seconds=seconds) <= CREATED + timedelta(days=90)


# ── owners ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "above"),
    [("agency", None), ("user", None), ("client", "agency"), ("account", None), ("account", "account")],
)
def test_an_owner_may_have_the_parents_of_its_kind(kind: str, above: str | None):
    policy.parent(PROFILE, PROFILE.owners.kinds[kind], owner("acme", kind=above) if above else None)


@pytest.mark.parametrize(
    ("kind", "above", "why"),
    [
        ("agency", "agency", 'an agency cannot have a parent in profile "standard"'),
        ("user", "agency", 'a user cannot have a parent in profile "standard"'),
        ("client", None, "a client must belong to an agency"),
        ("client", "client", "a client must belong to an agency, and acme is a client"),
        ("account", "agency", "an account must belong to an account, and acme is an agency"),
    ],
)
def test_an_owner_cannot_have_another_parent(kind: str, above: str | None, why: str):
    with pytest.raises(Refused) as error:
        policy.parent(PROFILE, PROFILE.owners.kinds[kind], owner("acme", kind=above) if above else None)

    assert error.value.message == why


def attributes(*pairs: str, current: dict[str, Any] | None = None) -> dict[str, Any]:
    return policy.attributes(PROFILE.owners.kinds["agency"], pairs, current)


def test_attributes_are_read_by_their_types_and_defaults_are_given_once():
    assert attributes("seats=5") == {"seats": 5, "origins": ["https://a.example"]}
    assert attributes("seats=-5", "vip=yes", "region=eu=west", "origins= a, ,b ") == {
        "seats": -5,
        "vip": True,
        "region": "eu=west",
        "origins": ["a", "b"],
    }
    assert attributes("vip=no", current={"seats": 5}) == {"seats": 5, "vip": False}


def test_an_empty_value_removes_an_attribute():
    current = {"seats": 5, "region": "eu"}

    assert attributes("region=", "vip=", current=current) == {"seats": 5}
    assert current == {"seats": 5, "region": "eu"}


@pytest.mark.parametrize("pairs", [(), ("region=eu",), ("seats=",)])
def test_a_required_attribute_cannot_be_left_out(pairs: tuple[str, ...]):
    with pytest.raises(Refused) as error:
        attributes(*pairs)

    assert error.value.message == "an agency requires the attribute seats"
    assert error.value.hint == "add --attr seats=VALUE"


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        ("seats", '"seats" is not NAME=VALUE'),
        ("seats=five", 'attribute seats must be a whole number, not "five"'),
        ("seats=5.0", "must be a whole number"),
        ("seats=1e3", "must be a whole number"),
        ("seats= 5", "must be a whole number"),
        ("seats=５", "must be a whole number"),
        ("seats=" + "9" * 16, "must be a whole number"),
        ("vip=maybe", 'attribute vip must be true or false, not "maybe"'),
        ("vip=True", "must be true or false"),
        ("vip=1", "must be true or false"),
        ("region=a\nb", "the attribute region holds the character U+000A"),
        ("region=" + "x" * 1001, "the attribute region has 1,001 characters"),
        ("origins=a,b\x1b", "the attribute origins holds the character U+001B"),
        ("regon=eu", 'an agency has no attribute "regon"'),
        ("=x", 'an agency has no attribute ""'),
        ("\x1b=x", r'an agency has no attribute "\x1b"'),
    ],
)
def test_a_wrong_attribute_is_refused(pair: str, why: str):
    with pytest.raises(UsageError) as error:
        attributes("seats=1", pair)

    assert why in error.value.message
    assert error.value.message.isprintable()


def test_a_mistyped_attribute_suggests_the_nearest():
    with pytest.raises(UsageError) as error:
        attributes("seats=1", "regon=eu")

    assert 'did you mean "region"?' in error.value.hint


def test_the_list_from_which_origins_are_taken_holds_origins():
    kinds = {"account": {"attributes": {"sites": {"type": "list"}, "tags": {"type": "list"}}}}
    kind = profile(owners={"kinds": kinds}, http={"cors": {"origins_from": "sites"}}).owners.kinds["account"]

    values = policy.attributes(kind, ["sites=https://A.example:443,https://a.example/", "tags=*,A.example"])

    assert values == {"sites": ["https://a.example"], "tags": ["*", "A.example"]}
    with pytest.raises(UsageError, match="is not an origin: it has no scheme"):
        policy.attributes(kind, ["sites=https://b.example,a.example"])
