"""Rate limits as the last step of a verification, over a store in memory with a clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from keyctl import Code, Decision, Limiter, Verifier
from keyctl.errors import LimiterUnavailable, StoreUnavailable, UsageError
from keyctl.middleware import platform_rules
from keyctl.store.tables import owners
from keyctl.testing import MemoryStore
from keyctl.wsgi import KeyAuth
from tests.redis_server import RedisServer

IETF = 'headers = ["ratelimit"]'
PROFILE = """
name = "calls"
[key]
template = "ak_{{env}}_{{prefix}}_{{secret}}"
environments = {{ live = "live" }}
fields.prefix = {{ length = 12 }}
fields.secret = {{ length = 32 }}
[scopes.list]
read = {{}}
[owners]
required = true
kinds.account.attributes.limits = {{ type = "limits", bundle = true }}
[defaults]
plan = "free"
[plans.free]
limits = [{{ requests = 5, per = "1h" }}, {{ requests = 2, per = "1m" }}]
[plans.own]
limits_from = "owner"
[plans.open]
{open}
[limits]
{limits}
[http]
credentials = [{{ header = "x-api-key" }}]
[[http.routes]]
match = "GET /v1/public"
public = true
[[http.routes]]
match = "GET /v1/calls"
scopes = ["read"]
"""


@contextmanager
def made(
    folder: Path, limits: str = "", *, opened: str = "", limiter: Limiter | None = None
) -> Iterator[tuple[MemoryStore, Verifier]]:
    """A store with such rules, and a verifier with a limiter on the store's clock."""
    path = folder / "calls.toml"
    path.write_text(PROFILE.format(limits=limits, open=opened))
    with MemoryStore(path) as store:
        counting = limiter or Limiter(timer=store.clock.seconds)
        rules = {"clock": store.clock, "timer": store.clock.seconds, "limiter": counting}
        yield store, Verifier(store._store, **rules)
        counting.close()


def codes(verifier: Verifier, *keys: str) -> list[str]:
    return [str(verifier.verify(key).code) for key in keys]


def remaining(decision: Decision) -> list[int]:
    return [state.remaining for state in decision.limits]


# ── what is counted ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_limits_of_a_plan_hold_and_requests_leave_the_window(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme")
        found = []
        for _ in range(4):
            found += codes(verifier, key, key, key)
            store.clock.advance(seconds=61)

    assert (
        found
        == ["VALID", "VALID", "RATE_LIMITED"] * 2 + ["VALID", "RATE_LIMITED", "RATE_LIMITED"] + ["RATE_LIMITED"] * 3
    )


def test_a_decision_has_what_is_left(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme")
        first, _, third = (verifier.verify(key) for _ in range(3))

    assert first
    assert remaining(first) == [4, 1]
    assert (third.code, third.reason) == (Code.RATE_LIMITED, "more than 2 in 1m")
    assert third.record
    assert [(state.remaining, state.exceeded, state.reset_seconds) for state in third.limits] == [
        (3, False, 3600),
        (0, True, 60),
    ]


@pytest.mark.parametrize(("count", "other"), [("owner", "RATE_LIMITED"), ("key", "VALID")])
def test_the_profile_says_whose_requests_count_together(count: str, other: str, tmp_path: Path):
    with made(tmp_path, f'count = "{count}"') as (store, verifier):
        one, two, stranger = store.mint(owner="acme"), store.mint(owner="acme"), store.mint(owner="globex")
        codes(verifier, one, one)

        assert codes(verifier, one, two, stranger) == ["RATE_LIMITED", other, "VALID"]


@pytest.mark.parametrize("count", ["owner", "key"])
def test_a_key_and_its_successors_share_one_count(count: str, tmp_path: Path):
    with made(tmp_path, f'count = "{count}"') as (store, verifier):
        old = store.mint(owner="acme")
        new = store.rotate(old, grace=timedelta(hours=1))
        newest = store.rotate(new, grace=timedelta(hours=1))
        codes(verifier, old, new)

        assert codes(verifier, old, new, newest) == ["RATE_LIMITED"] * 3


def test_a_request_may_cost_more(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme")

        assert remaining(verifier.verify(key, cost=2)) == [3, 0]
        store.clock.advance(minutes=2)
        refused = verifier.verify(key, cost=3)
        assert (refused.code, refused.reason) == (Code.RATE_LIMITED, "a cost of 3 exceeds 2 in 1m")
        assert remaining(refused) == [3, 2]
        with pytest.raises(UsageError):
            verifier.verify(key, cost=0)


def test_what_is_refused_for_another_reason_is_not_counted(tmp_path: Path):
    headers = {"x-api-key": ""}
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme", scopes=["read"])
        headers["x-api-key"] = key
        for _ in range(9):
            assert (
                verifier.verify(key, scopes=["read"], env="live", resource_owner="globex").code is Code.FORBIDDEN_OWNER
            )
            assert verifier.verify_request("GET", "/v1/nothing", headers).code is Code.NO_ROUTE
            assert verifier.verify_request("GET", "/v1/public", headers)
            assert not verifier.verify(key + "x")

        assert remaining(verifier.verify_request("GET", "/v1/calls", headers)) == [4, 1]


def test_an_owners_own_limits_hold(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        store.add_owner("big", plan="own", attributes={"limits": "3/1h"})
        key = store.mint(owner="big")

        assert codes(verifier, *[key] * 4) == ["VALID", "VALID", "VALID", "RATE_LIMITED"]


def test_a_plan_without_limits_is_not_limited_unless_the_profile_requires_limits(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        store.add_owner("free", plan="open")
        key = store.mint(owner="free")

        assert codes(verifier, *[key] * 20) == ["VALID"] * 20
        assert verifier.verify(key).limits == ()


def test_where_limits_are_required_a_key_without_them_is_refused(tmp_path: Path):
    with made(tmp_path, "required = true", opened='limits_from = "owner"') as (store, verifier):
        store.add_owner("big", plan="own", attributes={"limits": "3/1h"})
        key = store.mint(owner="big")
        record = key.record
        verifier._engine.keyring.find = lambda *_, **__: record._replace(  # type: ignore[method-assign]
            owners=(record.owners[0].__class__(**{**vars(record.owners[0]), "attributes": {}}),)
        )

        decision = verifier.verify(key)

        assert (decision.code, decision.limits) == (Code.RATE_LIMITED, ())
        assert decision.reason == "the owner has no rate limits, and the profile requires them"
        assert "Retry-After" not in decision.response().headers
        assert decision.response().status == 429


def test_without_a_limiter_nothing_is_counted(tmp_path: Path):
    with made(tmp_path) as (store, _):
        key = store.mint(owner="acme")

        assert all(store.verifier.verify(key) for _ in range(20))
        assert store.verifier.verify(key, cost=1_000).limits == ()


# ── responses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_headers_of_the_ietf_name_every_limit(tmp_path: Path):
    with made(tmp_path, IETF) as (store, verifier):
        key = store.mint(owner="acme")
        allowed, _, refused = (verifier.verify(key).response() for _ in range(3))

    assert allowed.headers == {
        "RateLimit-Policy": '"1h";q=5;w=3600, "1m";q=2;w=60',
        "RateLimit": '"1h";r=4;t=3600, "1m";r=1;t=60',
    }
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["RateLimit"] == '"1h";r=3;t=3600, "1m";r=0;t=60'


def test_retry_after_is_the_time_after_which_the_request_is_allowed(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme")
        verifier.verify(key)
        store.clock.advance(seconds=20.5)
        verifier.verify(key)
        refused = verifier.verify(key)

        seconds = int(refused.response().headers["Retry-After"])
        assert seconds == 40  # 39.5, rounded up
        store.clock.advance(seconds=seconds)
        assert verifier.verify(key)


def test_the_limit_that_refuses_longest_gives_the_time(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme")
        for _ in range(3):
            codes(verifier, key, key)
            store.clock.advance(seconds=61)
        refused = verifier.verify(key)

    assert refused.reason == "more than 5 in 1h"
    assert refused.response().headers["Retry-After"] == str(3600 - 3 * 61)


def test_the_headers_are_those_of_the_limit_that_refuses_or_else_of_the_one_with_the_fewest_left(tmp_path: Path):
    with made(tmp_path, 'headers = ["x-ratelimit"]') as (store, verifier):
        key = store.mint(owner="acme")

        def shown(times: int) -> list[tuple[str, str]]:
            answers = [verifier.verify(key).response().headers for _ in range(times)]
            store.clock.advance(seconds=61)
            return [(headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) for headers in answers]

        assert shown(3) == [("2", "1"), ("2", "0"), ("2", "0")]
        assert shown(1) == [("2", "1")]
        assert shown(1) == [("5", "1")]  # of both limits one is left, and of this one for longer
        assert shown(2) == [("5", "0"), ("5", "0")]


def test_a_response_of_the_profile_may_have_its_own_retry_after(tmp_path: Path):
    own = '[http.responses.RATE_LIMITED]\nheaders = {{ Retry-After = "120" }}\nbody = \'{{"wait": ${{retry_after}}}}\''
    with made(tmp_path) as (_, __):
        (tmp_path / "own.toml").write_text((tmp_path / "calls.toml").read_text() + own.format())
    with MemoryStore(tmp_path / "own.toml") as store, Limiter(timer=store.clock.seconds) as limiter:
        verifier = Verifier(store._store, clock=store.clock, timer=store.clock.seconds, limiter=limiter)
        key = store.mint(owner="acme")
        answer = [verifier.verify(key) for _ in range(3)][-1].response()

    assert answer.headers == {"Content-Type": "application/json", "Retry-After": "120"}
    assert answer.body == '{"wait": 60}'


@pytest.mark.parametrize("asked", ["", IETF])
def test_refusals_have_what_is_left_where_the_profile_asks_for_headers(asked: str, tmp_path: Path):
    with made(tmp_path, asked) as (store, verifier):
        key = store.mint(owner="acme")
        verifier.verify(key)
        refused = verifier.verify(key, scopes=["read"])

    assert refused.code is Code.FORBIDDEN_SCOPE
    assert remaining(refused) == ([4, 1] if asked else [])


# ── a limiter out of reach ───────────────────────────────────────────────────────────────────────────────────────────


def test_by_default_an_unknown_count_is_an_error_and_not_an_answer(tmp_path: Path):
    with Limiter("redis://127.0.0.1:1") as limiter, made(tmp_path, limiter=limiter) as (store, verifier):
        key = store.mint(owner="acme")

        with pytest.raises(LimiterUnavailable):
            verifier.verify(key)
        with pytest.raises(StoreUnavailable):
            asyncio.run(verifier.averify(key))


def test_a_profile_may_allow_requests_that_cannot_be_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "keyctl.limiter")
    with Limiter("redis://127.0.0.1:1") as limiter:
        with made(tmp_path, 'on_failure = "allow"\nheaders = ["ratelimit"]', limiter=limiter) as (store, verifier):
            key = store.mint(owner="acme")
            decisions = [verifier.verify(key) for _ in range(20)]
            wrong = verifier.verify(key[:-1] + ("a" if key[-1] != "a" else "b"))
            store.revoke(key)
            verifier.invalidate()
            revoked = verifier.verify(key)

        assert all(decisions)
        assert decisions[0].response().headers == {"RateLimit-Policy": '"1h";q=5;w=3600, "1m";q=2;w=60'}
        assert (wrong.code, revoked.code) == (Code.INVALID_API_KEY, Code.KEY_REVOKED)
        assert limiter.failures == 21
    assert len(caplog.records) == 1


def test_a_refusal_stays_a_refusal_while_the_limiter_is_away(tmp_path: Path):
    with Limiter("redis://127.0.0.1:1") as limiter, made(tmp_path, IETF, limiter=limiter) as (store, verifier):
        decision = verifier.verify(store.mint(owner="acme"), scopes=["read"])

    assert (decision.code, decision.limits) == (Code.FORBIDDEN_SCOPE, ())


# ── event loops, bundles ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_in_an_event_loop_requests_are_counted_alike(kind: str, tmp_path: Path, redis_server: RedisServer):
    url = "memory://" if kind == "memory" else redis_server.unix_url

    async def all_at_once(verifier: Verifier, key: str) -> list[Decision]:
        headers = {"x-api-key": key}
        first = [await verifier.averify_request("GET", "/v1/calls", headers), await verifier.averify(key, cost=2)]
        many = await asyncio.gather(*(verifier.averify_request("GET", "/v1/calls", headers, cost=1) for _ in range(8)))
        return [*first, *many]

    with Limiter(url, wait=10) as limiter, made(tmp_path, limiter=limiter) as (store, verifier):
        decisions = asyncio.run(all_at_once(verifier, store.mint(owner="acme", scopes=["read"])))

    assert sorted(str(one.code) for one in decisions) == ["RATE_LIMITED"] * 8 + ["VALID"] * 2
    assert remaining(decisions[0]) == [4, 1]
    assert decisions[1].code is Code.RATE_LIMITED


def test_a_closed_verifier_leaves_its_limiter_open(tmp_path: Path):
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme")
        with closing(Verifier(store._store, clock=store.clock, limiter=verifier._engine._limiter)) as other:
            other.verify(key)

        assert verifier._engine._limiter
        assert verifier._engine._limiter.count("any", [])[0]


# ── in front of an application ───────────────────────────────────────────────────────────────────────────────────────


def test_an_application_behind_key_auth_is_limited_and_its_responses_have_the_headers(tmp_path: Path):
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("204 No Content", [("X-Own", "1")])
        return []

    answers: list[tuple[str, dict[str, str]]] = []
    with made(tmp_path, IETF) as (store, verifier):
        key = store.mint(owner="acme", scopes=["read"])
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/calls", "wsgi.url_scheme": "https", "HTTP_X_API_KEY": key}
        for _ in range(3):
            KeyAuth(app, verifier)(dict(environ), lambda status, headers, *_: answers.append((status, dict(headers))))

    assert [status[:3] for status, _ in answers] == ["204", "204", "429"]
    assert answers[0][1] | {"RateLimit-Policy": ""} == {
        "X-Own": "1",
        "RateLimit-Policy": "",
        "RateLimit": '"1h";r=4;t=3600, "1m";r=1;t=60',
    }
    assert (answers[2][1]["Retry-After"], answers[2][1]["RateLimit"]) == ("60", '"1h";r=3;t=3600, "1m";r=0;t=60')


def test_while_the_limiter_is_away_key_auth_answers_503(tmp_path: Path):
    answers: list[str] = []
    with Limiter("redis://127.0.0.1:1") as limiter, made(tmp_path, limiter=limiter) as (store, verifier):
        key = store.mint(owner="acme", scopes=["read"])
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/calls", "wsgi.url_scheme": "https", "HTTP_X_API_KEY": key}
        KeyAuth(lambda *_: [], verifier)(environ, lambda status, *_: answers.append(status))

    assert answers == ["503 Service Unavailable"]


def test_a_scope_that_is_asked_for_later_does_not_hide_what_is_left(tmp_path: Path):
    with made(tmp_path, IETF) as (store, verifier):
        decision = verifier.verify(store.mint(owner="acme"))
        narrowed = platform_rules(decision).require(decision, ("read",))

    assert narrowed.code is Code.FORBIDDEN_SCOPE
    assert remaining(narrowed) == [4, 1]


@pytest.mark.parametrize("limits", ['"5/1m"', "5", "null", "[5]", '["often"]', "[[]]"])
def test_limits_of_an_owner_that_cannot_be_read_are_no_answer(tmp_path: Path, limits: str):
    with made(tmp_path) as (store, verifier):
        key = store.mint(owner="acme")
        store.update_owner("acme", plan="own", attributes={"limits": "9/1m"})
        changed = update(owners).values(attributes=f'{{"limits": {limits}}}')
        store._store.write(lambda connection: connection.execute(changed))

        with pytest.raises(StoreUnavailable, match="the rate limits of owner acme cannot be read"):
            verifier.verify(key)
