from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from keyctl.codes import Code
from keyctl.decision import Decision
from keyctl.errors import UsageError
from keyctl.verification import platform_rules
from keyctl.verification.platform_rules import PlatformRules, RulesInForce
from tests.samples import owner, profile, record

IDENTITY = {"X-Who": "${owner.name}"}
SCOPES = {"list": {"a": {}, "b": {}, "c": {}}}


def test_the_headers_of_identity_are_those_of_what_was_last_looked_up():
    rules = PlatformRules(profile(http={"identity": IDENTITY}))
    before, after = record(owner(name="before")), record(owner(name="after"))

    assert rules.identity(Decision(Code.VALID, None, before)) == {"X-Who": "before"}
    assert rules.identity(Decision(Code.VALID, None, before)) == {"X-Who": "before"}
    assert rules.identity(Decision(Code.VALID, None, after)) == {"X-Who": "after"}
    assert rules.identity(Decision(Code.KEY_LOCKED, "locked", after)) == {}
    assert rules.identity(Decision(Code.VALID, "the route is public")) == {}


def test_a_caller_may_change_the_headers_that_it_gets():
    rules = PlatformRules(profile(http={"identity": IDENTITY}))
    one = Decision(Code.VALID, None, record(owner(name="a")))

    dict(rules.identity(one)).clear()
    rules.identity(one).pop("X-Who")  # type: ignore[attr-defined]

    assert rules.identity(one) == {"X-Who": "a"}


def test_no_more_headers_are_remembered_than_keys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform_rules, "_MOST_IDENTITIES", 10)
    rules = PlatformRules(profile(http={"identity": IDENTITY}))

    for number in range(100):
        assert rules.identity(Decision(Code.VALID, None, record(owner(name=f"{number}")))) == {"X-Who": f"{number}"}
        gc.collect(0)

    assert len(rules._identities) <= 10


@pytest.mark.parametrize(
    ("scopes", "missing"),
    [((), None), (("a",), None), (("a|c",), None), (("b", "a"), None), (("a", "c"), "c"), (("c|d",), "c")],
)
def test_more_scopes_can_be_required_of_a_decision(scopes: tuple[str, ...], missing: str | None):
    rules = PlatformRules(profile(scopes={"list": {**SCOPES["list"], "d": {}}}))
    decision = Decision(Code.VALID, None, record(scopes=("a", "b")), platform=rules)

    narrowed = rules.require(decision, scopes)

    expected = Code.VALID if missing is None else Code.FORBIDDEN_SCOPE
    assert (narrowed.code, narrowed.missing_scope) == (expected, missing)
    assert narrowed.record is decision.record


def test_a_refusal_stays_what_it_is_and_without_a_key_none_is_allowed():
    rules = PlatformRules(profile(scopes=SCOPES))
    locked = Decision(Code.KEY_LOCKED, "locked", record(), platform=rules)

    assert rules.require(locked, ("a",)) is locked
    assert rules.require(Decision(Code.VALID, "public", platform=rules), ()).code is Code.MISSING_API_KEY
    with pytest.raises(UsageError, match='unknown scope "d"'):
        rules.require(locked, ("d",))


def test_rules_are_made_again_only_if_the_profile_was_replaced():
    current = [profile()]
    rules = RulesInForce(lambda: current[0])
    first = rules()

    assert rules() is first
    current[0] = replace(current[0])
    assert rules() is not first
