"""`keyctl.asgi.KeyAuth` under every ASGI framework, on uvicorn, by requests over sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyctl import Limiter, Verifier
from keyctl.asgi import KeyAuth
from keyctl.bundles.signing import SigningKey
from keyctl.codes import Code
from keyctl.decision import Request
from keyctl.errors import KeyctlError, ProfileInvalid, UsageError, VerifierBusy
from keyctl.times import utc_now
from tests.bundle_files import export
from tests.cluster import free_port
from tests.frameworks.asgi_apps import FRAMEWORKS, plain
from tests.frameworks.cases import CASES, KEY_SPELLINGS, SPOOFED
from tests.frameworks.exchange import Reply, shake_hands
from tests.frameworks.serving import uvicorn
from tests.frameworks.shop import Shop
from tests.stores import new_store

ORIGIN = "https://app.example"


class Served:
    """An application on its server, and the store of its keys."""

    def __init__(self, shop: Shop, port: int) -> None:
        self.shop = shop
        self.port = port

    def ask(self, line: str, *headers: tuple[str, str]) -> Reply:
        return self.shop.ask(self.port, line, list(headers))


@pytest.fixture(scope="module", params=FRAMEWORKS)
def served(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Served]:
    with Verifier.from_store(shop.url) as verifier, uvicorn(FRAMEWORKS[request.param](verifier)) as port:
        yield Served(shop, port)


def test_every_request_is_answered_as_the_profile_says(served: Served):
    for name, case in CASES.items():
        reply = served.ask(case.line, *case.headers)

        assert (name, reply.status) == (name, case.status)
        if reply.status < 400:
            continue
        assert isinstance(case.code, dict) or reply.body == b"" or reply.code == case.code, name
        assert not isinstance(case.code, dict) or reply.json == case.code, name
        assert reply.values("x-platform") == (["shop"] if case.code != "FORBIDDEN_ORIGIN" else []), name
        assert reply.values("www-authenticate") == (["Bearer"] if case.code in ("MISSING_API_KEY", None) else []), name


@pytest.mark.parametrize("line", ["GET /v1/orders/7", "GET /v1/health"])
def test_the_application_sees_who_the_key_is_for_and_nothing_that_a_client_claims(served: Served, line: str):
    claims = [(name, "evil") for name in (*SPOOFED, *KEY_SPELLINGS)]

    shown = served.ask(line, ("X-Api-Key", "KEY"), *claims, ("X-Owner", "kept")).json

    seen = {(name.lower(), value) for name, value in shown["headers"]}
    public = line.endswith("health")
    identity = set() if public else {("x-owner-name", "acme"), ("x-key-prefix", served.shop.prefix)}
    assert "evil" not in {value for _, value in seen}
    assert {one for one in seen if one[0] not in ("host", "connection", "remote-addr")} == identity | {
        ("x-owner", "kept")
    }
    assert (shown["code"], shown["prefix"]) == ("VALID", None if public else served.shop.prefix)


@pytest.mark.parametrize("line", ["GET /v1/orders/7", "GET /v1/health"])
@pytest.mark.parametrize(
    "headers", [[("X-Api-Key", "KEY"), ("Authorization", "Basic eDp5")], [("aUTHORIZATION", "bEARER KEY")]]
)
def test_the_application_does_not_see_the_key(served: Served, line: str, headers: list[tuple[str, str]]):
    reply = served.ask(line, *headers)

    assert reply.status == 200
    assert served.shop.key not in reply.body.decode()
    seen = {name.lower(): value for name, value in reply.json["headers"]}
    assert seen.get("authorization") == ("Basic eDp5" if len(headers) > 1 else None)


@pytest.mark.parametrize(
    ("line", "origin", "allowed"),
    [
        ("GET /v1/orders/7", ORIGIN, True),
        ("GET /v1/orders/7", "https://evil.example", False),
        ("POST /v1/orders/7", ORIGIN, True),
        ("GET /v1/health", ORIGIN, False),
    ],
)
def test_a_response_is_open_to_the_origins_of_the_owner(served: Served, line: str, origin: str, allowed: bool):
    reply = served.ask(line, ("X-Api-Key", "KEY"), ("Origin", origin))

    assert reply.status == (403 if line.startswith("POST") else 200)
    assert reply.values("access-control-allow-origin") == ([origin] if allowed else [])
    assert "Origin" in reply.values("vary")


def test_the_applications_own_response_has_the_headers_of_the_platform(served: Served):
    reply = served.ask("GET /v1/orders/7", ("X-Api-Key", "KEY"), ("Origin", ORIGIN))

    assert reply.values("x-own") == ["1"]
    assert reply.values("x-platform") == ["shop"]
    assert reply.values("vary") == ["Accept", "Origin"]
    assert reply.values("content-type") == ["application/json"]


def test_a_preflight_is_answered_without_the_application(served: Served):
    reply = served.ask("OPTIONS /v1/orders/7", ("Origin", ORIGIN), ("Access-Control-Request-Method", "POST"))

    assert (reply.status, reply.body, reply.values("content-length")) == (204, b"", [])
    assert reply.values("access-control-allow-origin") == [ORIGIN]
    assert reply.values("access-control-allow-methods") == ["GET, POST"]
    assert reply.values("x-own") == []


def test_a_refusal_of_a_head_request_has_the_length_of_its_body_and_no_body(served: Served):
    bodies = {method: served.ask(f"{method} /v1/orders/7") for method in ("GET", "HEAD")}

    assert bodies["HEAD"].body == b""
    assert bodies["HEAD"].values("content-length") == [str(len(bodies["GET"].body))]


def test_a_mounted_application_is_verified_by_the_whole_path(served: Served):
    assert served.ask("GET /v1/mounted/orders/7", ("X-Api-Key", "KEY")).json["prefix"] == served.shop.prefix
    assert served.ask("GET /v1/mounted/orders/7").code == "MISSING_API_KEY"


# ── WebSockets ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_handshake_of_a_websocket_is_verified(served: Served):
    reply, shown = shake_hands(
        served.port, "/v1/stream/7", ("X-Api-Key", served.shop.key), ("X_Owner.Name", "evil"), ("Origin", ORIGIN)
    )

    seen = {name.lower(): value for name, value in shown["headers"]}
    assert (seen["x-owner-name"], shown["prefix"]) == ("acme", served.shop.prefix)
    assert served.shop.key not in json.dumps(shown)
    assert "evil" not in json.dumps(shown)
    assert reply.values("x-own") == ["1"]
    assert reply.values("x-platform") == ["shop"]


@pytest.mark.parametrize(
    ("target", "headers", "status", "body"),
    [
        ("/v1/stream/7", [], 401, "MISSING_API_KEY"),
        ("/v1/stream/7", [("X-Api-Key", "nonsense")], 401, "INVALID_API_KEY"),
        ("/v1/stream/7?key=KEY", [], 401, "INVALID_API_KEY"),
        ("/v1/nothing", [("X-Api-Key", "KEY")], 404, "NO_ROUTE"),
    ],
)
def test_a_websocket_is_refused_before_it_is_accepted(
    served: Served, target: str, headers: list[tuple[str, str]], status: int, body: str
):
    filled = [(name, value.replace("KEY", served.shop.key)) for name, value in headers]

    reply, message = shake_hands(served.port, target.replace("KEY", served.shop.key), *filled)

    assert (reply.status, reply.code, message) == (status, body, None)


# ── without a server: what servers do not all do ─────────────────────────────────────────────────────────────────────

Message = MutableMapping[str, Any]


def call(app: Callable[..., Awaitable[None]], *received: Message, **scope: Any) -> list[Message]:
    """Return what an application sends."""
    sent: list[Message] = []
    unread = list(received)

    async def receive() -> Message:
        return unread.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"type": "http", "method": "GET", "path": "/v1/orders/7", "headers": [], "query_string": b""} | scope
    asyncio.run(app(given, receive, send))  # type: ignore[arg-type]
    return sent


def status(sent: list[Message]) -> int:
    return int(sent[0]["status"])


@pytest.fixture
def verifier(shop: Shop) -> Iterator[Verifier]:
    with Verifier.from_store(shop.url) as verifier:
        yield verifier


def credential(shop: Shop) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", shop.key.encode())]


def test_a_websocket_is_closed_where_the_server_cannot_answer_otherwise(verifier: Verifier):
    sent = call(KeyAuth(plain, verifier), {"type": "websocket.connect"}, type="websocket", path="/v1/stream/7")

    assert sent == [{"type": "websocket.close"}]


def test_a_client_that_leaves_before_the_handshake_is_not_answered(verifier: Verifier):
    assert call(KeyAuth(plain, verifier), {"type": "websocket.disconnect"}, type="websocket") == []


def test_the_lifespan_is_the_applications(verifier: Verifier):
    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        assert scope["type"] == "lifespan"
        await send({"type": f"{(await receive())['type']}.complete"})

    assert call(KeyAuth(app, verifier), {"type": "lifespan.startup"}, type="lifespan") == [
        {"type": "lifespan.startup.complete"}
    ]


def test_a_connection_of_an_unknown_type_does_not_reach_the_application(verifier: Verifier):
    with pytest.raises(ValueError, match="webtransport"):
        call(KeyAuth(plain, verifier), type="webtransport")


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"path": "/v1/orders/7", "raw_path": b"/v1/orders/7"}, 200),
        ({"path": "/v1/orders/7", "raw_path": b"/v1/orders%2F7"}, 400),
        ({"path": "/v1/orders/7", "raw_path": None}, 200),
        ({"path": "/v1/orders/7"}, 200),
        ({"path": "/v1/orders/é", "raw_path": "/v1/orders/é".encode()}, 400),
        ({"path": "/v1/orders/é"}, 200),
        ({"path": "/v1/orders/\ufffd", "raw_path": b"/v1/orders/%ff"}, 400),
        ({"path": "/v1/orders/a;b"}, 400),
        ({"path": "/v1/orders/%37"}, 400),
        ({"path": "/v1/health/../orders/7"}, 400),
        # a middleware rewrote the path: the application routes by the new one
        ({"path": "/v1/orders/7", "raw_path": b"/v1/health"}, 200),
        ({"path": "/v1/nothing", "raw_path": b"/v1/health"}, 404),
        # mounted: with the root in the path, and as it was in older frameworks
        ({"path": "/v1/orders/7", "root_path": "/v1", "raw_path": b"/v1/orders/7"}, 200),
        ({"path": "/v1/orders/7", "root_path": "/v1"}, 200),
        ({"path": "/orders/7", "root_path": "/v1", "raw_path": b"/v1/orders/7"}, 200),
        ({"path": "/orders/7", "root_path": "/v1"}, 200),
        ({"path": "/v1/health", "root_path": "/admin"}, 404),
        ({"path": "/v1/orders/7", "root_path": "/v"}, 404),
    ],
)
def test_the_path_that_counts_is_the_one_that_the_application_serves(
    shop: Shop, verifier: Verifier, scope: dict[str, Any], expected: int
):
    assert status(call(KeyAuth(plain, verifier), headers=credential(shop), **scope)) == expected


def test_only_a_trusted_proxy_says_where_a_request_comes_from(shop: Shop, verifier: Verifier):
    [minted] = shop.opened.mint(owner="acme", scopes=("orders:read",), allowed_ips=("192.0.2.0/24",))
    app = KeyAuth(plain, verifier, trusted_proxies=["10.0.0.0/8"])
    key = (b"x-api-key", minted.text.encode())

    def ask(peer: str | None, forwarded: bytes) -> int:
        client = (peer, 1) if peer else None
        return status(call(app, headers=[key, (b"x-forwarded-for", forwarded)], client=client))

    assert ask("10.1.2.3", b"192.0.2.7") == 200
    assert ask("10.1.2.3", b"192.0.2.7, 203.0.113.9") == 403
    assert ask("203.0.113.9", b"192.0.2.7") == 403
    assert ask("192.0.2.7", b"203.0.113.9") == 200
    assert ask(None, b"192.0.2.7") == 403


@pytest.mark.parametrize("peer", [None, ("", 0)])
def test_a_proxy_on_a_unix_socket_is_trusted_if_that_is_asked_for(shop: Shop, verifier: Verifier, peer: Any):
    [minted] = shop.opened.mint(owner="acme", scopes=("orders:read",), allowed_ips=("192.0.2.0/24",))
    app = KeyAuth(plain, verifier, trusted_proxies=["unix"])
    key = (b"x-api-key", minted.text.encode())

    def ask(client: Any, *forwarded: bytes) -> int:
        return status(call(app, headers=[key, *((b"x-forwarded-for", one) for one in forwarded)], client=client))

    assert ask(peer, b"192.0.2.7") == 200
    assert ask(peer, b"192.0.2.7, 203.0.113.9") == 403
    assert ask(peer) == 403
    assert ask(("127.0.0.1", 1), b"192.0.2.7") == 403


@pytest.mark.parametrize(("scheme", "expected"), [("http", 403), ("ws", 403), ("https", 200), ("wss", 200)])
def test_https_is_required_where_the_profile_says_so(tmp_path: Path, scheme: str, expected: int):
    opened = new_store(tmp_path / "keys.db")
    [minted] = opened.mint()
    opened.store.close()

    with Verifier.from_store(opened.path, clock=opened.clock) as verifier:
        headers = [(b"authorization", b"Bearer " + minted.text.encode())]
        assert status(call(KeyAuth(plain, verifier), scheme=scheme, path="/any/where", headers=headers)) == expected


def test_what_is_asked_of_every_request_is_required_too(shop: Shop, verifier: Verifier):
    app = KeyAuth(plain, verifier, asked=Request(environment="test"))

    assert status(call(app, headers=credential(shop))) == 403
    assert status(call(app, path="/v1/health")) == 200


def test_an_application_whose_rules_have_faults_does_not_start(verifier: Verifier):
    with pytest.raises(UsageError, match='unknown scope "orders:raed"'):
        KeyAuth(plain, verifier, asked=Request(("orders:raed",)))
    with pytest.raises(UsageError, match="unknown environment"):
        KeyAuth(plain, verifier, asked=Request(environment="production"))
    with pytest.raises(TypeError, match="several networks"):
        KeyAuth(plain, verifier, trusted_proxies="10.0.0.0/8")
    with pytest.raises(UsageError, match="is not a network"):
        KeyAuth(plain, verifier, trusted_proxies=["10.0.0.1/8"])
    with pytest.raises(TypeError, match="a Verifier is needed after the application, not function"):
        KeyAuth(verifier, plain)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="asked must be a Request"):
        KeyAuth(plain, verifier, asked="orders:read")  # type: ignore[arg-type]


@pytest.mark.parametrize("answers", [True, False])
def test_a_request_that_was_refused_inside_is_answered_once_whatever_the_application_sends(
    shop: Shop, verifier: Verifier, answers: bool
):
    async def app(scope: Message, receive: Any, send: Any) -> None:
        refused = replace(scope["keyctl"], code=Code.FORBIDDEN_SCOPE, missing_scope="reports:read")
        scope["keyctl.refuse"](refused)
        if answers:
            await plain(scope, receive, send)

    sent = call(KeyAuth(app, verifier), headers=credential(shop))

    assert (status(sent), sent[1:]) == (
        403,
        [{"type": "http.response.body", "body": b'{"lacks": "reports:read"}'}],
    )


# ── it is unknown whether the key is valid ───────────────────────────────────────────────────────────────────────────


def test_a_store_that_is_away_is_a_503_until_it_is_back(shop: Shop, caplog: pytest.LogCaptureFixture):
    with Verifier.from_store(shop.url, wait=0.1) as verifier, uvicorn(KeyAuth(plain, verifier)) as port:
        headers = [("X-Api-Key", "KEY")]
        assert shop.ask(port, "GET /v1/orders/7", headers).status == 200

        with away(shop.opened.path):
            verifier.invalidate()
            reply = shop.ask(port, "GET /v1/orders/7", headers)
            head = shop.ask(port, "HEAD /v1/orders/7", headers)
            handshake, _ = shake_hands(port, "/v1/stream/7", ("X-Api-Key", shop.key))
        verifier.invalidate()
        after = shop.ask(port, "GET /v1/orders/7", headers)

    assert (reply.status, reply.code, reply.values("retry-after")) == (503, "UNAVAILABLE", ["1"])
    assert (reply.values("x-platform"), reply.values("content-type")) == (["shop"], ["application/json"])
    assert (head.status, head.body) == (503, b"")
    assert (handshake.status, handshake.code) == (503, "UNAVAILABLE")
    assert after.status == 200
    assert "a key could not be verified: " in caplog.text
    assert shop.key not in caplog.text


def test_a_store_that_is_locked_is_a_503(shop: Shop):
    with Verifier.from_store(shop.url, wait=0.1) as verifier, closing(sqlite3.connect(shop.url)) as other:
        other.execute("begin exclusive")

        sent = call(KeyAuth(plain, verifier), headers=credential(shop))

    assert status(sent) == 503


def test_a_verifier_that_is_busy_is_a_503(shop: Shop, verifier: Verifier, monkeypatch: pytest.MonkeyPatch):
    async def busy(*_: object, **__: object) -> None:
        raise VerifierBusy("no core was free for 2 s")

    monkeypatch.setattr(verifier, "averify_request", busy)

    assert status(call(KeyAuth(plain, verifier), headers=credential(shop))) == 503


def test_a_bundle_that_is_too_old_is_a_503(shop: Shop, tmp_path: Path):
    signer = SigningKey.create(tmp_path / "signing.key")
    export(shop.opened, tmp_path / "keys.bundle", signer)
    now = [shop.opened.clock.now]

    with Verifier.from_bundle(tmp_path / "keys.bundle", [signer.public_text], clock=lambda: now[0]) as verifier:
        app = KeyAuth(plain, verifier)
        before = call(app, headers=credential(shop))
        now[0] += timedelta(days=400)
        after = call(app, headers=credential(shop))

    assert (status(before), status(after)) == (200, 503)
    assert (b"retry-after", b"1") in after[0]["headers"]
    assert json.loads(after[1]["body"])["error"]["code"] == "UNTRUSTED_BUNDLE"


def test_what_is_not_expected_is_not_swallowed(shop: Shop, verifier: Verifier, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("of the application")

    with pytest.raises(ZeroDivisionError, match="of the application"):
        call(KeyAuth(broken, verifier), headers=credential(shop))
    app = KeyAuth(plain, verifier)

    async def invalid(*_: object, **__: object) -> None:
        raise ProfileInvalid("profile shop", ["http: is broken"])

    monkeypatch.setattr(verifier, "averify_request", invalid)
    with pytest.raises(ProfileInvalid):
        call(app, headers=credential(shop))


@contextmanager
def away(path: Path) -> Iterator[None]:
    path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        path.with_suffix(".away").rename(path)


# ── rate limits ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[tuple[Path, list[tuple[bytes, bytes]]]]:
    """Return a store whose keys have 100 requests a minute, and the headers with one."""
    opened = new_store(tmp_path / "keys.db", "voxpria")
    opened.clock.now = utc_now()
    [minted] = opened.mint(owner="acme", scopes=("calls:read",))
    yield opened.path, [(b"x-api-key", minted.text.encode())]
    opened.store.close()


CALLS = {"path": "/api/v1/calls", "scheme": "https"}


def test_every_response_has_the_rate_limit_of_the_key(limited: tuple[Path, list[tuple[bytes, bytes]]]):
    path, headers = limited
    with Verifier.from_store(path, limiter=Limiter("memory://")) as verifier:
        app = KeyAuth(plain, verifier)
        replies = [call(app, headers=headers, **CALLS) for _ in range(101)]

    shown = [dict(reply[0]["headers"]) for reply in replies]
    assert [status(reply) for reply in replies] == [200] * 100 + [429]
    assert [int(one[b"x-ratelimit-remaining"]) for one in shown[:3]] == [99, 98, 97]
    assert b"x-own" in shown[0]
    assert int(shown[-1][b"retry-after"]) <= 60


def test_a_limiter_that_is_out_of_reach_is_a_503(limited: tuple[Path, list[tuple[bytes, bytes]]]):
    path, headers = limited
    with Verifier.from_store(path, limiter=Limiter(f"redis://127.0.0.1:{free_port()}")) as verifier:
        sent = call(KeyAuth(plain, verifier), headers=headers, **CALLS)

    assert status(sent) == 503


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_log_has_a_key_in_it(shop: Shop, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    secret = shop.key.removeprefix(shop.prefix)
    with Verifier.from_store(shop.url) as verifier, uvicorn(KeyAuth(plain, verifier)) as port:
        for line in ("GET /v1/orders/7", "GET /v1/orders/7?key=KEY", "GET /v1/orders/KEY", "GET /v1/health?a=1&b=KEY"):
            for headers in ([], [("X-Api-Key", "KEY")], [("Authorization", "Bearer KEY")], [("X-Api-Key", "KEYx")]):
                shop.ask(port, line, headers)
        shop.ask(port, "POST /v1/orders/7", [("X-Api-Key", "KEY")])

    assert "GET /v1/orders/7 HTTP/1.1" in caplog.text
    assert "GET /v1/health?key-removed HTTP/1.1" in caplog.text
    assert f"refused {shop.prefix}: FORBIDDEN_SCOPE (missing scope orders:write)" in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize(
    "error", [VerifierBusy("no core was free for 2 s"), ProfileInvalid("profile shop", ["http: is broken"])], ids=type
)
def test_a_server_logs_no_key_where_it_could_not_be_verified(
    error: KeyctlError, shop: Shop, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
):
    async def fails(*_: object, **__: object) -> None:
        raise error

    async def receive() -> Message:
        return {}

    async def send(_: Message) -> None:
        logged.append(str(scope))  # as uvicorn does

    monkeypatch.setattr(verifier, "averify_request", fails)
    path, logged = f"/v1/orders/{shop.key}", []
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}
    scope["query_string"] = f"key={shop.key}".encode()
    with suppress(ProfileInvalid):
        asyncio.run(KeyAuth(plain, verifier)(scope, receive, send))

    logged.append(str(scope))
    assert not [text for text in logged if shop.key in text]
