from __future__ import annotations

import re

import pytest

from keyctl.http.application_headers import drop_pattern, headers_to_drop, read_alike, withheld
from keyctl.profiles.http import HttpRules, rules_of
from tests.samples import profile

SPELLINGS = [f"X{mark}User{other}Id" for mark in "-_.!#$%&'*+^`|~" for other in "-_.!#$%&'*+^`|~"]


def rules(**http: object) -> HttpRules:
    return rules_of(profile(http=http))


IDENTITY = rules(identity={"X-User-Id": "${owner.id}", "Plain": "x"})
CREDENTIALS = [{"header": "api-key"}, {"header": "authorization", "scheme": "Bearer"}]


@pytest.mark.parametrize("spelling", [*SPELLINGS, "x-user-id", "X_USER_ID", "Plain", "plAIN"])
def test_a_header_of_identity_is_withheld_in_every_spelling_that_some_server_reads_alike(spelling: str):
    assert withheld(IDENTITY).holds(spelling.encode(), b"1")
    assert re.fullmatch(drop_pattern(IDENTITY) or "", spelling, re.IGNORECASE)


@pytest.mark.parametrize("name", ["X-User", "X-User-Id-2", "XUser-Id", "X--User-Id", "X-User-Idé", "", "Host"])
def test_other_headers_are_not(name: str):
    assert not withheld(IDENTITY).holds(name.encode("latin-1"), b"1")
    assert not re.fullmatch(drop_pattern(IDENTITY) or "", name, re.IGNORECASE)


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("api-key", "K", True),
        ("API_KEY", "", True),
        ("api.key", "K", True),
        ("x-api-key", "K", False),
        ("authorization", "Bearer K", True),
        ("Authorization", "bearer", True),
        ("authorization", "BEARER\tK", True),
        ("authorization", "  Bearer K", True),
        ("authorization", "Basic eDp5, Bearer K", True),
        ("authorization", "Basic eDp5", False),
        ("authorization", "BearerK", False),
        ("authorization", "", False),
        ("proxy-authorization", "Bearer K", False),
    ],
)
def test_a_header_with_a_key_is_withheld_and_other_schemes_are_not(name: str, value: str, held: bool):
    assert withheld(rules(credentials=CREDENTIALS)).holds(name.encode(), value.encode()) is held


@pytest.mark.parametrize("credentials", [CREDENTIALS[1:], [{"header": "authorization"}, *CREDENTIALS]])
def test_a_header_that_holds_a_key_with_and_without_a_scheme_is_withheld_whole(credentials: list[dict[str, str]]):
    whole = len(credentials) > 1
    for order in (credentials, credentials[::-1]):
        assert withheld(rules(credentials=order)).holds(b"authorization", b"Basic eDp5") is whole


def test_a_header_with_several_schemes_is_withheld_with_each():
    both = withheld(rules(credentials=[CREDENTIALS[1], {"header": "authorization", "scheme": "ApiKey"}]))

    assert both.holds(b"authorization", b"apikey K")
    assert both.holds(b"authorization", b"Bearer K")
    assert not both.holds(b"authorization", b"Basic K")


def test_without_identity_there_is_nothing_to_drop():
    assert (drop_pattern(rules()), headers_to_drop(rules())) == (None, ())


def test_a_gateway_that_has_no_patterns_drops_the_common_spellings():
    dropped = headers_to_drop(IDENTITY)

    assert sorted(dropped) == sorted(["X-User-Id", "X_User_Id", "X-User_Id", "X_User-Id", "Plain"])


def test_names_are_compared_as_the_least_exact_server_reads_them():
    assert read_alike(b"X_User.Id~2") == b"x-user-id-2"
    assert read_alike(bytes(range(128, 256))) == b"-" * 128
