"""What an application may pass to a Verifier, and what its decisions have for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyctl import Code, Decision, Verifier
from keyctl.admin.profile import ProfileAdmin
from keyctl.errors import StoreUnavailable, UsageError
from keyctl.profiles.model import read_profile
from tests.stores import ACTOR, Opened, new_store


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = new_store(tmp_path / "keys.db")
    with contextlib.closing(made.store):
        yield made


@pytest.fixture
def verifier(opened: Opened) -> Iterator[Verifier]:
    with Verifier.from_store(opened.path, clock=opened.clock) as made:
        yield made


@pytest.fixture
def key(opened: Opened) -> str:
    return opened.mint(scopes=("read",), owner="acme")[0].text


def both_ways(verifier: Verifier, *args: Any, **options: Any) -> Decision:
    """Verify a key from a thread and from an event loop, which must agree."""
    decision = verifier.verify(*args, **options)
    assert asyncio.run(verifier.averify(*args, **options)) == decision
    return decision


@pytest.mark.parametrize("nothing", [None, "", b""])
def test_no_key_is_a_missing_key(verifier: Verifier, nothing: str | bytes | None):
    assert both_ways(verifier, nothing).code is Code.MISSING_API_KEY


def test_a_key_in_bytes_is_the_same_key(verifier: Verifier, key: str):
    assert both_ways(verifier, key.encode())
    assert both_ways(verifier, key.encode() + b"\xff").reason == "malformed"


@pytest.mark.parametrize("wrong", [7, ["a"], bytearray(b"kc_live_"), object()], ids=lambda value: type(value).__name__)
def test_what_is_no_text_is_no_key(verifier: Verifier, wrong: Any):
    with pytest.raises(TypeError, match="a key is a text, not"):
        verifier.verify(wrong)
    with pytest.raises(TypeError, match="a key is a text, not"):
        asyncio.run(verifier.averify(wrong))


def test_one_text_in_place_of_scopes_is_a_type_error(verifier: Verifier, key: str):
    with pytest.raises(TypeError, match=r"such as \['read'\], not one text"):
        verifier.verify(key, scopes="read")
    with pytest.raises(TypeError, match="scopes must be texts"):
        verifier.verify(key, scopes=[7])  # type: ignore[list-item]


@pytest.mark.parametrize("presented", ["the key", "nonsense", None])
@pytest.mark.parametrize("asked", [{"scopes": ["raed"]}, {"scopes": ["read|wirte"]}, {"env": "liev"}], ids=str)
def test_what_the_profile_does_not_have_is_an_error_whatever_the_key(
    verifier: Verifier, key: str, presented: str | None, asked: dict[str, Any]
):
    verifier.verify(key)

    for verify in (verifier.verify, lambda *args, **options: asyncio.run(verifier.averify(*args, **options))):
        with pytest.raises(UsageError, match=r'unknown (scope|environment) ".*" in profile "standard"') as error:
            verify(key if presented == "the key" else presented, **asked)
        assert error.value.hint is not None
        assert "did you mean" in error.value.hint


@pytest.mark.parametrize("cost", [0, -1, 1.5, "1", None])
def test_a_cost_is_checked_whether_or_not_there_is_a_limiter(verifier: Verifier, key: str, cost: Any):
    for call in (
        lambda: verifier.verify(key, cost=cost),
        lambda: verifier.verify_request("GET", "/", {}, cost=cost),
        lambda: asyncio.run(verifier.averify(key, cost=cost)),
        lambda: asyncio.run(verifier.averify_request("GET", "/", {}, cost=cost)),
    ):
        with pytest.raises(UsageError, match="the cost of a request must be a whole number of 1 or more"):
            call()


def test_a_list_of_scopes_is_checked_when_the_application_starts(verifier: Verifier):
    verifier.require("read", "read|write")

    with pytest.raises(UsageError, match='unknown scope "calls:read"'):
        verifier.require("read", "calls:read")


def test_a_scope_that_the_profile_gains_is_known_within_the_refresh_time(opened: Opened):
    ticks = iter(range(0, 1000, 10))
    key = opened.mint(scopes=("read",))[0].text
    with Verifier.from_store(opened.path, clock=opened.clock, timer=lambda: next(ticks)) as verifier:
        with pytest.raises(UsageError):
            verifier.verify(key, scopes=["audit"])
        document = opened.store.profile.document
        changed = {**document, "scopes": {**document["scopes"], "list": {**document["scopes"]["list"], "audit": {}}}}
        ProfileAdmin(opened.store, ACTOR, clock=opened.clock).apply(read_profile(changed, source="test"))

        assert verifier.verify(key, scopes=["audit"]).code is Code.FORBIDDEN_SCOPE


HEADERS: dict[str, Callable[[str], Any]] = {
    "a mapping": lambda key: {"Authorization": f"Bearer {key}", "Host": "api.example"},
    "a mapping of bytes": lambda key: {b"authorization": f"Bearer {key}".encode()},
    "pairs": lambda key: [("Authorization", f"Bearer {key}")],
    "pairs of bytes": lambda key: [(b"Authorization", f"Bearer {key}".encode()), (b"host", b"\xe9")],
    "lists": lambda key: [["authorization", f"Bearer {key}"]],
    "an iterator": lambda key: iter([(b"authorization", f"Bearer {key}".encode())]),
}


@pytest.mark.parametrize("form", HEADERS)
def test_headers_may_be_a_mapping_or_pairs_of_text_or_bytes(verifier: Verifier, key: str, form: str):
    assert verifier.verify_request("GET", "/v1/calls", HEADERS[form](key))
    assert asyncio.run(verifier.averify_request("GET", "/v1/calls", HEADERS[form](key)))


@pytest.mark.parametrize("wrong", [["authorization"], [("a", "b", "c")], [("a", 7)], {"a": ["b"]}, 7], ids=str)
def test_other_headers_are_a_type_error(verifier: Verifier, wrong: Any):
    with pytest.raises(TypeError):
        verifier.verify_request("GET", "/v1/calls", wrong)


def test_a_path_is_a_store_whatever_its_name(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    key = opened.mint()[0].text
    monkeypatch.chdir(opened.path.parent)
    opened.path.rename("team")

    with Verifier.from_store(Path("team")) as verifier:
        assert verifier.verify(key)


def test_one_text_in_place_of_trusted_signers_is_a_type_error(tmp_path: Path):
    with pytest.raises(TypeError, match="trust must be several public keys"):
        Verifier.from_bundle(tmp_path / "keys.bundle", trust="ed25519:AAAA")


def test_an_option_that_does_not_exist_is_a_type_error(opened: Opened):
    with pytest.raises(TypeError, match="cache_sise"):
        Verifier.from_store(opened.path, cache_sise=10)  # type: ignore[call-arg]


def test_a_closed_verifier_refuses_every_call_even_for_a_key_it_knows(opened: Opened, key: str):
    with Verifier.from_store(opened.path, clock=opened.clock) as verifier:
        assert both_ways(verifier, key)
        request = ("GET", "/v1/calls", {"Authorization": f"Bearer {key}"})
        assert verifier.verify_request(*request)

    calls: list[Callable[[], Any]] = [
        lambda: verifier.verify(key),
        lambda: verifier.verify(None),
        lambda: asyncio.run(verifier.averify(key)),
        lambda: verifier.verify_request(*request),
        lambda: asyncio.run(verifier.averify_request(*request)),
        lambda: asyncio.run(verifier.averify_request("GET", "/v1/calls", {})),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="the verifier is closed"):
            call()
    verifier.close()  # twice is once


def test_a_decision_has_the_response_and_the_identity_of_its_platform(tmp_path: Path):
    made = new_store(tmp_path / "vexa.db", "vexa")
    key = made.mint(scopes=("tx",), owner="jane@acme.com")[0].text
    with contextlib.closing(made.store), Verifier.from_store(made.path, clock=made.clock) as verifier:
        refused = verifier.verify_request("GET", "/bots", {"X-API-Key": key})
        missing = asyncio.run(verifier.averify_request("GET", "/bots", {}))
        allowed = verifier.verify_request("GET", "/transcripts", {"X-API-Key": key})

        assert refused.response()[::2] == (403, '{"detail": "Token scope not authorized"}')
        assert missing.response()[::2] == (401, '{"detail": "Missing API key"}')
        assert refused.identity == missing.identity == {}
        assert allowed.identity == {"X-User-Id": "1", "X-User-Email": "jane@acme.com", "X-User-Scopes": "tx"}
        assert verifier.verify(key, scopes=["bot"]).response().status == 403
        assert verifier.verify("vxa_nonsense").response().body == '{"detail": "Invalid API key"}'


def test_a_decision_made_by_hand_has_no_response():
    with pytest.raises(ValueError, match="only the decisions of a Verifier"):
        Decision(Code.VALID).response()


def test_a_known_key_is_answered_in_the_loop_and_a_new_one_in_a_thread(verifier: Verifier, key: str):
    threads: list[str] = []
    check = verifier._engine.secrets.check

    def watched(*args: Any) -> Any:
        import threading

        threads.append(threading.current_thread().name)
        return check(*args)

    verifier._engine.secrets.check = watched  # type: ignore[method-assign]
    assert asyncio.run(verifier.averify(key))
    assert len(threads) == 1
    assert threads[0].startswith("keyctl-verifier")

    assert asyncio.run(verifier.averify(key))
    assert len(threads) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limiter": "memory://"}, "limiter must be a Limiter, such as Limiter('memory://'), not str"),
        ({"recorder": "./keys.db"}, "recorder must be a Recorder, such as Recorder.to_store(url), not str"),
        ({"wait": "5s"}, "wait must be a number, not str"),
        ({"max_wait": None}, "max_wait must be a number, not NoneType"),
    ],
    ids=str,
)
def test_an_option_of_another_type_fails_before_the_first_key(opened: Opened, options: dict[str, Any], message: str):
    with pytest.raises(TypeError) as error:
        Verifier.from_store(opened.path, **options)

    assert str(error.value) == message


@pytest.mark.parametrize("name", ["wait", "max_wait", "cache_size"])
def test_a_negative_number_is_refused(opened: Opened, name: str):
    options: dict[str, Any] = {name: -1}
    with pytest.raises(UsageError, match=f"{name} must be 0 or more, not -1"):
        Verifier.from_store(opened.path, **options)


@pytest.mark.parametrize("presented", ["the key", "nonsense"])
@pytest.mark.parametrize("name", ["env", "ip", "resource_owner"])
def test_what_a_key_must_be_for_is_a_text_whatever_the_key(verifier: Verifier, key: str, name: str, presented: str):
    with pytest.raises(TypeError, match=f"{name} must be a text or None, not int"):
        both_ways(verifier, key if presented == "the key" else presented, **{name: 7})


def test_none_is_no_list_of_scopes(verifier: Verifier):
    with pytest.raises(TypeError, match=r"such as \['read'\], not None"):
        both_ways(verifier, "nonsense", scopes=None)


def test_trusted_proxies_are_several_networks(verifier: Verifier, key: str):
    headers, proxies = {"authorization": f"Bearer {key}"}, "10.0.0.0/8"
    with pytest.raises(TypeError, match="several networks"):
        verifier.verify_request("GET", "/", headers, "10.0.0.1", trusted_proxies=proxies)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match='"gateway" is not a network') as error:
        verifier.verify_request("GET", "/", headers, "10.0.0.1", trusted_proxies=("gateway",))
    assert error.value.hint is not None
