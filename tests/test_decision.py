from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.decision import Code, Decision, Request, decide, scopes_in_force
from keyctl.models import KeyRecord
from keyctl.times import format_time
from tests.samples import NOW, owner, profile, record

SECOND = timedelta(seconds=1)
ALLOWED = Request()

SCOPES = {
    "list": {
        "calls:read": {},
        "calls:write": {"implies": ["calls:read"]},
        "billing:read": {},
        "billing:write": {},
        "billing": {"implies": ["billing:*"]},
        "reports": {"plans": ["pro", "ultra"]},
        "secrets": {"plans": ["ultra"], "implies": ["reports"]},
        "fleet": {"owner_kinds": ["agency"], "implies": ["calls:*"]},
        "root": {"implies": ["*"]},
        "ring:a": {"implies": ["ring:b"]},
        "ring:b": {"implies": ["ring:c"]},
        "ring:c": {"implies": ["ring:a", "calls:write"]},
    }
}
OWNERS = {"kinds": {"agency": {}, "client": {"parent": "agency"}}}
PLANS: dict[str, Any] = {"free": {}, "pro": {}, "ultra": {}}
PROFILE = profile(scopes=SCOPES, owners=OWNERS, plans=PLANS)
STRICT = profile(scopes=SCOPES | {"required": True}, owners=OWNERS, plans=PLANS)


def code(one: KeyRecord, request: Request = ALLOWED, **more: Any) -> Code:
    return decide(PROFILE, one, request, **({"now": NOW} | more)).code


# ── the order ────────────────────────────────────────────────────────────────────────────────────────────────────────

# What breaks each rule, in the order in which the rules are asked.
BREAKS: list[tuple[Code, dict[str, Any], dict[str, Any]]] = [
    (Code.KEY_REVOKED, {"revoked_at": NOW - SECOND, "revoked_reason": "leaked"}, {}),
    (Code.KEY_EXPIRED, {"expires_at": NOW}, {}),
    (Code.KEY_LOCKED, {"locked_at": NOW - SECOND}, {}),
    (Code.OWNER_INACTIVE, {"owner": {"disabled_at": NOW - SECOND}}, {}),
    (Code.FORBIDDEN_ENVIRONMENT, {}, {"environment": "test"}),
    (Code.INVALID_API_KEY, {"scopes": ("no:longer:listed",)}, {}),
    (Code.FORBIDDEN_IP, {"allowed_ips": ("192.0.2.0/24",)}, {"ip": "198.51.100.1"}),
    (Code.FORBIDDEN_OWNER, {}, {"resource_owner": "nobody"}),
    (Code.FORBIDDEN_SCOPE, {}, {"scopes": ("billing:write",)}),
]


def judge(*broken: tuple[Code, dict[str, Any], dict[str, Any]]) -> Decision:
    key_changes: dict[str, Any] = {"scopes": ("calls:read",)}
    asked: dict[str, Any] = {}
    for _, changes, request in broken:
        key_changes |= changes
        asked |= request
    holder = owner(kind="client", **key_changes.pop("owner", {}))
    return decide(STRICT, record(holder, **key_changes), Request(**asked), now=NOW)


def test_a_key_that_breaks_no_rule_is_allowed():
    decision = judge()

    assert decision.code is Code.VALID
    assert decision.reason is None
    assert decision.record is not None
    assert bool(decision) is True


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken[0])
def test_a_key_that_breaks_one_rule_is_refused_by_it(broken: tuple[Code, dict[str, Any], dict[str, Any]]):
    decision = judge(broken)

    assert decision.code is broken[0]
    assert decision.reason
    assert bool(decision) is False


@pytest.mark.parametrize("i", range(len(BREAKS) - 1), ids=lambda i: f"{BREAKS[i][0]} before {BREAKS[i + 1][0]}")
def test_of_two_rules_broken_the_first_is_the_answer(i: int):
    assert judge(BREAKS[i], BREAKS[i + 1]).code is BREAKS[i][0]
    assert judge(BREAKS[i + 1], BREAKS[i]).code is BREAKS[i][0]


@pytest.mark.parametrize("i", range(len(BREAKS)), ids=lambda i: BREAKS[i][0])
def test_of_all_rules_from_one_on_broken_it_is_the_answer(i: int):
    assert judge(*BREAKS[i:]).code is BREAKS[i][0]


@given(st.sets(st.integers(0, len(BREAKS) - 1)))
def test_of_any_rules_broken_the_first_is_the_answer(broken: set[int]):
    decision = judge(*(BREAKS[i] for i in broken))

    assert decision.code is (BREAKS[min(broken)][0] if broken else Code.VALID)


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_codes_exit_and_answer_as_documented():
    codes = {str(one): (one.exit_code, one.http_status) for one in Code}

    assert {name: codes[name] for name in codes.keys() & DOCUMENTED.keys()}.items() <= DOCUMENTED.items()
    assert {one for one in DOCUMENTED if DOCUMENTED[one][0] <= 18} <= codes.keys()
    assert len({one.exit_code for one in Code}) == len(Code)
    assert not [one for one in Code if one is not Code.VALID and one.exit_code < 10]


DOCUMENTED = {
    "VALID": (0, 200),
    "MISSING_API_KEY": (10, 401),
    "INVALID_API_KEY": (11, 401),
    "KEY_REVOKED": (12, 401),
    "KEY_EXPIRED": (13, 401),
    "KEY_LOCKED": (14, 403),
    "OWNER_INACTIVE": (15, 403),
    "FORBIDDEN_SCOPE": (16, 403),
    "FORBIDDEN_IP": (17, 403),
    "FORBIDDEN_ENVIRONMENT": (18, 403),
    "RATE_LIMITED": (19, 429),
    "UNTRUSTED_BUNDLE": (20, 503),
    "INSECURE_TRANSPORT": (22, 403),
    "AMBIGUOUS_CREDENTIALS": (23, 401),
    "FORBIDDEN_OWNER": (24, 403),
}


@pytest.mark.parametrize("one", Code)
def test_only_valid_is_true(one: Code):
    assert bool(Decision(one)) is (one is Code.VALID)


# ── revoked, expired, locked ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_revocation_reports_when_and_why():
    decision = decide(PROFILE, record(revoked_at=NOW, revoked_reason="leaked"), ALLOWED, now=NOW)

    assert decision.reason == "revoked at 2026-07-01T12:00:00Z: leaked"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW - timedelta(milliseconds=1), Code.VALID),
        (NOW, Code.KEY_EXPIRED),
        (NOW + timedelta(milliseconds=1), Code.KEY_EXPIRED),
        (NOW + timedelta(days=9999), Code.KEY_EXPIRED),
    ],
)
def test_a_key_ends_at_the_exact_second(now: datetime, expected: Code):
    assert code(record(expires_at=NOW), now=now) is expected


@pytest.mark.parametrize("hours", [-12, -5, 0, 1, 14])
def test_an_expiry_is_the_same_instant_in_every_zone(hours: int):
    zone = timezone(timedelta(hours=hours))

    assert code(record(expires_at=NOW.astimezone(zone))) is Code.KEY_EXPIRED
    assert code(record(expires_at=(NOW + SECOND).astimezone(zone))) is Code.VALID
    assert code(record(expires_at=NOW), now=NOW.astimezone(zone)) is Code.KEY_EXPIRED
    assert code(record(expires_at=NOW), now=(NOW - SECOND).astimezone(zone)) is Code.VALID


def test_an_expiry_is_reported_in_utc():
    there = datetime(2026, 7, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))

    assert decide(PROFILE, record(expires_at=there), ALLOWED, now=NOW).reason == "expired at 2026-07-01T12:00:00Z"


@pytest.mark.parametrize("changes", [{"expires_at": NOW}, {"locked_at": NOW, "locked_until": NOW}])
def test_a_naive_clock_decides_nothing(changes: dict[str, Any]):
    with pytest.raises(TypeError):
        code(record(**changes), now=NOW.replace(tzinfo=None))


def test_a_naive_expiry_decides_nothing():
    with pytest.raises(TypeError):
        code(record(expires_at=(NOW + SECOND).replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (None, Code.KEY_LOCKED),
        (NOW + timedelta(milliseconds=1), Code.KEY_LOCKED),
        (NOW, Code.VALID),
        (NOW - SECOND, Code.VALID),
    ],
)
def test_a_lock_lasts_until_its_end_and_not_longer(until: datetime | None, expected: Code):
    decision = decide(PROFILE, record(locked_at=NOW - timedelta(days=1), locked_until=until), ALLOWED, now=NOW)

    assert decision.code is expected
    if not decision:
        assert decision.reason == f"locked until {format_time(until) if until else 'it is unlocked'}"


def test_a_key_in_its_grace_is_still_valid():
    assert code(record(replaced_by="key_next", expires_at=NOW + SECOND)) is Code.VALID


# ── owners ───────────────────────────────────────────────────────────────────────────────────────────────────────────

DISABLED = {"disabled_at": NOW}


@pytest.mark.parametrize(
    ("owners", "named"),
    [
        ((owner("client", **DISABLED), owner("agency")), "client"),
        ((owner("client"), owner("agency", **DISABLED)), "agency"),
        ((owner("client"), owner("middle", **DISABLED), owner("agency", **DISABLED)), "middle"),
    ],
)
def test_a_disabled_owner_anywhere_above_stops_the_key_and_is_named(owners: tuple[Any, ...], named: str):
    decision = decide(PROFILE, record(*owners), ALLOWED, now=NOW)

    assert (decision.code, decision.reason) == (Code.OWNER_INACTIVE, f"owner {named} is disabled")


def test_a_key_without_an_owner_has_none_that_is_inactive():
    assert code(record()) is Code.VALID


AGENCY, CLIENT, OTHER, BELOW = owner("agency"), owner("client"), owner("other"), owner("below")


@pytest.mark.parametrize(
    ("holder", "resource_owners", "exact", "subtree"),
    [
        ((CLIENT, AGENCY), (CLIENT, AGENCY), True, True),
        ((AGENCY,), (CLIENT, AGENCY), False, True),
        ((AGENCY,), (BELOW, CLIENT, AGENCY), False, True),
        ((CLIENT, AGENCY), (AGENCY,), False, False),
        ((CLIENT, AGENCY), (OTHER, AGENCY), False, False),
        ((CLIENT, AGENCY), (OTHER,), False, False),
        ((CLIENT, AGENCY), (), False, False),
        ((), (CLIENT, AGENCY), False, False),
        ((), (), False, False),
    ],
)
def test_a_key_reaches_its_owners_resources_and_in_a_subtree_those_below(
    holder: tuple[Any, ...], resource_owners: tuple[Any, ...], *, exact: bool, subtree: bool
):
    for isolation, reached in (("exact", exact), ("subtree", subtree)):
        rules = profile(owners={"isolation": isolation})
        request = Request(resource_owner="the handle")

        decision = decide(rules, record(*holder), request, now=NOW, resource_owners=resource_owners)

        assert decision.code is (Code.VALID if reached else Code.FORBIDDEN_OWNER)
        assert reached or decision.reason == "the key does not reach what belongs to the handle"


def test_an_owner_of_the_same_handle_in_another_store_is_another_owner():
    twin = replace(CLIENT, id="own_another")

    decision = decide(PROFILE, record(CLIENT), Request(resource_owner="client"), now=NOW, resource_owners=(twin,))

    assert decision.code is Code.FORBIDDEN_OWNER


def test_no_resource_owner_asked_none_is_judged():
    assert code(record(CLIENT), resource_owners=(OTHER,)) is Code.VALID


# ── environment and address ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, Code.VALID),
        ("live", Code.VALID),
        ("test", Code.FORBIDDEN_ENVIRONMENT),
        ("LIVE", Code.FORBIDDEN_ENVIRONMENT),
        ("", Code.FORBIDDEN_ENVIRONMENT),
    ],
)
def test_a_key_is_for_its_environment(asked: str | None, expected: Code):
    assert code(record(environment="live"), Request(environment=asked)) is expected


@pytest.mark.parametrize(
    ("allowed", "ip", "expected"),
    [
        ((), None, Code.VALID),
        ((), "203.0.113.9", Code.VALID),
        ((), "no address", Code.VALID),
        (("192.0.2.0/24",), "192.0.2.200", Code.VALID),
        (("198.51.100.7/32", "192.0.2.0/24"), "192.0.2.200", Code.VALID),
        (("192.0.2.0/24",), "::ffff:192.0.2.200", Code.VALID),
        (("2001:db8::/32",), "2001:db8::7", Code.VALID),
        (("192.0.2.0/24",), "192.0.3.1", Code.FORBIDDEN_IP),
        (("192.0.2.0/24",), "::ffff:192.0.3.1", Code.FORBIDDEN_IP),
        (("192.0.2.0/24",), "2001:db8::7", Code.FORBIDDEN_IP),
        (("2001:db8::/32",), "192.0.2.1", Code.FORBIDDEN_IP),
        (("0.0.0.0/0", "::/0"), None, Code.FORBIDDEN_IP),
        (("0.0.0.0/0", "::/0"), "", Code.FORBIDDEN_IP),
        (("0.0.0.0/0", "::/0"), "192.0.2.1, 192.0.2.2", Code.FORBIDDEN_IP),
        (("0.0.0.0/0", "::/0"), "unknown", Code.FORBIDDEN_IP),
    ],
)
def test_an_allow_list_is_kept_to(allowed: tuple[str, ...], ip: str | None, expected: Code):
    assert code(record(allowed_ips=allowed), Request(ip=ip)) is expected


def test_a_list_without_an_address_is_the_reason():
    assert decide(PROFILE, record(allowed_ips=("::/0",)), ALLOWED, now=NOW).reason == "no address was given"


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scopes", "holder", "in_force"),
    [
        ((), None, ()),
        (("calls:read",), None, ("calls:read",)),
        (("calls:write",), None, ("calls:write", "calls:read")),
        (("billing",), None, ("billing", "billing:read", "billing:write")),
        (("billing:write", "calls:read"), None, ("billing:write", "calls:read")),
        (("calls:read", "calls:write"), None, ("calls:read", "calls:write")),
        (("calls:read", "calls:read"), None, ("calls:read",)),
        # implied in turn, around a ring, and once each
        (("ring:a",), None, ("ring:a", "ring:b", "ring:c", "calls:write", "calls:read")),
        (("ring:c",), None, ("ring:c", "ring:a", "calls:write", "ring:b", "calls:read")),
        # as far as the plan goes
        (("reports",), None, ()),
        (("reports",), owner(plan=None), ()),
        (("reports",), owner(plan="free"), ()),
        (("reports",), owner(plan="pro"), ("reports",)),
        (("secrets",), owner(plan="pro"), ()),
        (("secrets",), owner(plan="ultra"), ("secrets", "reports")),
        # as far as the owner's kind goes
        (("fleet",), None, ()),
        (("fleet",), owner(kind="client"), ()),
        (("fleet",), owner(kind="agency"), ("fleet", "calls:read", "calls:write")),
        # what the profile no longer lists
        (("gone",), None, ()),
        (("gone", "calls:read"), None, ("calls:read",)),
        (("CALLS:READ",), None, ()),
        (("calls:*",), None, ()),
        (("*",), None, ()),
    ],
)
def test_scopes_in_force(scopes: tuple[str, ...], holder: Any, in_force: tuple[str, ...]):
    assert scopes_in_force(PROFILE, scopes, holder) == in_force


@pytest.mark.parametrize(
    ("holder", "missing"),
    [
        (None, {"reports", "secrets", "fleet"}),
        (owner(kind="client", plan="pro"), {"secrets", "fleet"}),
        (owner(kind="agency", plan="ultra"), set()),
    ],
)
def test_even_the_widest_scope_stays_within_plan_and_kind(holder: Any, missing: set[str]):
    in_force = scopes_in_force(PROFILE, ("root",), holder)

    assert set(PROFILE.scopes.catalogue) - set(in_force) == missing
    assert in_force[0] == "root"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), Code.VALID),
        (("calls:write",), Code.VALID),
        (("calls:read",), Code.VALID),
        (("calls:write", "calls:read"), Code.VALID),
        (("billing:read",), Code.FORBIDDEN_SCOPE),
        (("calls:read", "billing:read"), Code.FORBIDDEN_SCOPE),
        (("calls:*",), Code.FORBIDDEN_SCOPE),
        (("billing:read|calls:read",), Code.VALID),
        (("calls:read|billing:read", "billing:read"), Code.FORBIDDEN_SCOPE),
        (("billing:read|billing:write",), Code.FORBIDDEN_SCOPE),
        (("|",), Code.FORBIDDEN_SCOPE),
        (("no such scope",), Code.FORBIDDEN_SCOPE),
        (("",), Code.FORBIDDEN_SCOPE),
    ],
)
def test_every_scope_asked_for_must_be_in_force(asked: tuple[str, ...], expected: Code):
    assert code(record(scopes=("calls:write",)), Request(scopes=asked)) is expected


def test_the_first_scope_missing_is_named():
    request = Request(scopes=("calls:read", "billing:write", "billing:read"))

    decision = decide(PROFILE, record(scopes=("calls:read",)), request, now=NOW)

    assert decision.reason == "missing scope billing:write"


def test_a_change_of_plan_counts_at_once():
    request = Request(scopes=("reports",))

    assert code(record(owner(plan="pro"), scopes=("reports",)), request) is Code.VALID
    assert code(record(owner(plan="free"), scopes=("reports",)), request) is Code.FORBIDDEN_SCOPE


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ((), Code.INVALID_API_KEY),
        (("gone",), Code.INVALID_API_KEY),
        (("reports",), Code.INVALID_API_KEY),  # not in the plan
        (("calls:read",), Code.VALID),
    ],
)
def test_where_a_scope_is_required_one_must_be_in_force(scopes: tuple[str, ...], expected: Code):
    one = record(owner(kind="client", plan="free"), scopes=scopes)

    assert decide(STRICT, one, ALLOWED, now=NOW).code is expected
    assert decide(PROFILE, one, ALLOWED, now=NOW).code is Code.VALID


# ── what is reported ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("broken", [None, *BREAKS], ids=lambda broken: broken[0] if broken else "valid")
def test_no_decision_shows_the_stored_hash(broken: Any):
    decision = judge(broken) if broken else judge()

    assert decision.record is not None
    assert decision.record.key.phc not in f"{decision!r} {decision}"
    assert "argon2" not in f"{decision!r} {decision}"
