"""`keyctl.wsgi.KeyAuth` under every WSGI framework, on gunicorn, by requests over sockets."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from keyctl import Verifier
from keyctl.bundles.signing import SigningKey
from keyctl.decision import Request
from keyctl.errors import KeyctlError, ProfileInvalid, StoreBusy, UsageError
from keyctl.wsgi import KeyAuth
from tests.bundle_files import export
from tests.frameworks.cases import CASES, KEY_SPELLINGS, SPOOFED
from tests.frameworks.exchange import Reply
from tests.frameworks.serving import gunicorn
from tests.frameworks.shop import Shop
from tests.frameworks.wsgi_plain import plain
from tests.stores import new_store

ORIGIN = "https://app.example"


class Served:
    """An application on gunicorn, and the store of its keys."""

    def __init__(self, shop: Shop, port: int, host: str) -> None:
        self.shop = shop
        self._port = port
        self._host = host

    def ask(self, line: str, *headers: tuple[str, str]) -> Reply:
        return self.shop.ask(self._port, line, list(headers), host=self._host)


@pytest.fixture(scope="module")
def port(shop: Shop) -> Iterator[int]:
    with gunicorn("tests.frameworks.wsgi_apps:dispatched", {"STORE": shop.url}, "--threads=2") as port:
        yield port


@pytest.fixture(params=["flask", "django", "plain"])
def served(shop: Shop, port: int, request: pytest.FixtureRequest) -> Served:
    return Served(shop, port, f"{request.param}.example")


def test_every_request_is_answered_as_the_profile_says(served: Served):
    for name, case in CASES.items():
        reply = served.ask(case.line, *case.headers)

        assert (name, reply.status) == (name, case.status)
        if reply.status < 400:
            continue
        assert isinstance(case.code, dict) or reply.body == b"" or reply.code == case.code, name
        assert not isinstance(case.code, dict) or reply.json == case.code, name


@pytest.mark.parametrize("line", ["GET /v1/orders/7", "GET /v1/health"])
def test_the_application_sees_who_the_key_is_for_and_nothing_that_a_client_claims(served: Served, line: str):
    claims = [(name, "evil") for name in (*SPOOFED, *KEY_SPELLINGS)]

    shown = served.ask(line, ("X-Api-Key", "KEY"), *claims, ("X-Owner", "kept")).json

    seen = {(name, value) for name, value in shown["headers"]}
    public = line.endswith("health")
    identity = set() if public else {("x-owner-name", "acme"), ("x-key-prefix", served.shop.prefix)}
    assert {one for one in seen if one[0] not in ("host", "connection")} == identity | {("x-owner", "kept")}
    assert (shown["code"], shown["prefix"]) == ("VALID", None if public else served.shop.prefix)


@pytest.mark.parametrize("line", ["GET /v1/orders/7", "GET /v1/health"])
@pytest.mark.parametrize(
    "headers", [[("X-Api-Key", "KEY"), ("Authorization", "Basic eDp5")], [("aUTHORIZATION", "bEARER KEY")]]
)
def test_the_application_does_not_see_the_key(served: Served, line: str, headers: list[tuple[str, str]]):
    reply = served.ask(line, *headers)

    assert reply.status == 200
    assert served.shop.key not in reply.body.decode()
    assert dict(reply.json["headers"]).get("authorization") == ("Basic eDp5" if len(headers) > 1 else None)


def test_the_applications_own_response_has_the_headers_of_the_platform(served: Served):
    reply = served.ask("GET /v1/orders/7", ("X-Api-Key", "KEY"), ("Origin", ORIGIN))

    assert (reply.values("x-own"), reply.values("x-platform")) == (["1"], ["shop"])
    assert reply.values("vary") == ["Accept", "Origin"]
    assert reply.values("access-control-allow-origin") == [ORIGIN]


def test_a_refusal_of_a_head_request_has_the_length_of_its_body_and_no_body(served: Served):
    bodies = {method: served.ask(f"{method} /v1/orders/7") for method in ("GET", "HEAD")}

    assert bodies["HEAD"].body == b""
    assert bodies["HEAD"].values("content-length") == [str(len(bodies["GET"].body))]


def test_no_log_has_a_key_in_it(shop: Shop, tmp_path: Path):
    log = tmp_path / "access.log"
    logged = "--access-logformat=%(r)s %(U)s %(q)s %({raw_uri}e)s %({http_x_api_key}e)s"
    secret = shop.key.removeprefix(shop.prefix)

    with gunicorn(
        "tests.frameworks.wsgi_apps:dispatched", {"STORE": shop.url}, f"--access-logfile={log}", logged
    ) as port:
        for line in ("GET /v1/orders/7?key=KEY", "GET /v1/orders/KEY", "GET /v1/health?a=1&b=KEY"):
            shop.ask(port, line, [], host="plain.example")

    assert log.read_text().count("key-removed") >= 3
    assert secret not in log.read_text()


@pytest.mark.parametrize(
    "error", [StoreBusy("the store did not answer"), ProfileInvalid("profile shop", ["http: is broken"])], ids=type
)
def test_a_server_logs_no_key_where_it_could_not_be_verified(
    error: KeyctlError, shop: Shop, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(verifier, "verify_request", fails)
    target = {"PATH_INFO": f"/v1/orders/{shop.key}", "QUERY_STRING": f"key={shop.key}"}
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": f"{target['PATH_INFO']}?{target['QUERY_STRING']}", **target}
    with suppress(ProfileInvalid):
        KeyAuth(plain, verifier)(environ, lambda *_: None)

    assert shop.key not in str(environ)


# ── without a server: what servers do not all do ─────────────────────────────────────────────────────────────────────


class Called:
    """What an application that is called by itself answers."""

    def __init__(self, app: Any, **environ: Any) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        given = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/v1/orders/7", "QUERY_STRING": ""}
        self.body = b"".join(app({**given, **environ}, self._start))

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        self.status, self.headers = status, dict(headers)


@pytest.fixture
def verifier(shop: Shop) -> Iterator[Verifier]:
    with Verifier.from_store(shop.url) as verifier:
        yield verifier


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "200 OK"),
        ({"RAW_URI": "/v1/orders/7"}, "200 OK"),
        ({"REQUEST_URI": "/v1/orders/7?a=b"}, "200 OK"),
        ({"RAW_URI": "/v1/orders%2F7"}, "400 Bad Request"),
        ({"REQUEST_URI": "/v1/orders/%37"}, "400 Bad Request"),
        ({"RAW_URI": "http://shop.example/v1/orders/7"}, "200 OK"),
        ({"PATH_INFO": "/v1/orders/\xc3\xa9"}, "200 OK"),
        ({"PATH_INFO": "/v1/orders/\xc3\xa9", "RAW_URI": "/v1/orders/\xc3\xa9"}, "400 Bad Request"),
        ({"PATH_INFO": "/v1/orders/\xff"}, "400 Bad Request"),
        ({"PATH_INFO": "/v1/orders/%37"}, "400 Bad Request"),
        ({"PATH_INFO": "/v1/orders/a;b"}, "400 Bad Request"),
        ({"PATH_INFO": "/v1/health/../orders/7"}, "400 Bad Request"),
        # a middleware rewrote the path: the application routes by the new one
        ({"RAW_URI": "/v1/health"}, "200 OK"),
        ({"PATH_INFO": "/v1/nothing", "RAW_URI": "/v1/health"}, "404 Not Found"),
        # mounted
        ({"SCRIPT_NAME": "/v1", "PATH_INFO": "/orders/7"}, "200 OK"),
        ({"SCRIPT_NAME": "/v1", "PATH_INFO": "/orders/7", "RAW_URI": "/v1/orders/7"}, "200 OK"),
        ({"SCRIPT_NAME": "/admin", "PATH_INFO": "/v1/health"}, "404 Not Found"),
    ],
)
def test_the_path_that_counts_is_the_one_that_the_application_serves(
    shop: Shop, verifier: Verifier, environ: dict[str, str], expected: str
):
    assert Called(KeyAuth(plain, verifier), HTTP_X_API_KEY=shop.key, **environ).status == expected


def test_an_application_in_a_mount_is_verified_by_the_whole_path(shop: Shop, verifier: Verifier):
    app = DispatcherMiddleware(plain, {"/v1": KeyAuth(plain, verifier)})

    assert Called(app, HTTP_X_API_KEY=shop.key).status == "200 OK"
    assert Called(app).status == "401 Unauthorized"
    assert Called(app, PATH_INFO="/v1/health").status == "200 OK"


@pytest.mark.parametrize("joint", [",", ", ", " , "])
@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("HTTP_X_API_KEY", ["KEY", "KEY"]),
        ("HTTP_X_API_KEY", ["KEY", ""]),
        ("HTTP_X_API_KEY", ["", "KEY"]),
        ("HTTP_AUTHORIZATION", ["Bearer KEY", "Bearer KEY"]),
        ("HTTP_AUTHORIZATION", ["Basic eDp5", "Bearer KEY"]),
        ("HTTP_AUTHORIZATION", ["Bearer KEY", "Basic eDp5"]),
    ],
)
def test_a_repeated_key_is_refused_however_the_server_joins_it(
    shop: Shop, verifier: Verifier, variable: str, values: list[str], joint: str
):
    called = Called(KeyAuth(plain, verifier), **{variable: joint.join(values).replace("KEY", shop.key)})

    assert called.status == "401 Unauthorized"
    assert b"AMBIGUOUS_CREDENTIALS" in called.body


def test_a_variable_that_a_server_left_as_it_was_spelt_is_withheld_too(shop: Shop, verifier: Verifier):
    spoofed = {f"HTTP_{name.upper().replace('-', '_')}": "evil" for name in SPOOFED}
    keys = {"HTTP_X_API_KEY": shop.key, "HTTP_X.API~KEY": shop.key}

    called = Called(KeyAuth(plain, verifier), **spoofed, **keys)

    assert called.status == "200 OK"
    assert b"evil" not in called.body
    assert shop.key.encode() not in called.body


def test_only_a_trusted_proxy_says_where_a_request_comes_from(shop: Shop, verifier: Verifier):
    [minted] = shop.opened.mint(owner="acme", scopes=("orders:read",), allowed_ips=("192.0.2.0/24",))
    app = KeyAuth(plain, verifier, trusted_proxies=["10.0.0.0/8"])

    def ask(peer: str, forwarded: str) -> str:
        environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded, "HTTP_X_API_KEY": minted.text}
        return Called(app, **environ).status[:3]

    assert ask("10.1.2.3", "192.0.2.7") == "200"
    assert ask("10.1.2.3", "192.0.2.7,203.0.113.9") == "403"
    assert ask("203.0.113.9", "192.0.2.7") == "403"
    assert ask("", "192.0.2.7") == "403"
    app = KeyAuth(plain, verifier, trusted_proxies=["unix"])
    assert ask("", "192.0.2.7") == "200"
    assert ask("10.1.2.3", "192.0.2.7") == "403"


@pytest.mark.parametrize(("scheme", "expected"), [("http", "403 Forbidden"), ("https", "200 OK")])
def test_https_is_required_where_the_profile_says_so(tmp_path: Path, scheme: str, expected: str):
    opened = new_store(tmp_path / "keys.db")
    [minted] = opened.mint()
    opened.store.close()

    with Verifier.from_store(opened.path, clock=opened.clock) as verifier:
        key = {"HTTP_AUTHORIZATION": f"Bearer {minted.text}"}
        assert Called(KeyAuth(plain, verifier), PATH_INFO="/a", **{"wsgi.url_scheme": scheme}, **key).status == expected


def test_a_store_that_is_locked_is_a_503(shop: Shop):
    with Verifier.from_store(shop.url, wait=0.1) as verifier, closing(sqlite3.connect(shop.url)) as other:
        other.execute("begin exclusive")

        called = Called(KeyAuth(plain, verifier), HTTP_X_API_KEY=shop.key)

    assert (called.status, called.headers["Retry-After"]) == ("503 Service Unavailable", "1")
    assert b"UNAVAILABLE" in called.body


def test_a_bundle_that_is_too_old_is_a_503(shop: Shop, tmp_path: Path):
    signer = SigningKey.create(tmp_path / "signing.key")
    export(shop.opened, tmp_path / "keys.bundle", signer)
    now = [shop.opened.clock.now]

    with Verifier.from_bundle(tmp_path / "keys.bundle", [signer.public_text], clock=lambda: now[0]) as verifier:
        app = KeyAuth(plain, verifier)
        before = Called(app, HTTP_X_API_KEY=shop.key)
        now[0] += timedelta(days=400)
        after = Called(app, HTTP_X_API_KEY=shop.key)

    assert (before.status, after.status) == ("200 OK", "503 Service Unavailable")
    assert after.headers["Retry-After"] == "1"


def test_what_is_not_expected_is_not_swallowed(shop: Shop, verifier: Verifier):
    def broken(*_: object) -> list[bytes]:
        raise ZeroDivisionError("of the application")

    with pytest.raises(ZeroDivisionError, match="of the application"):
        Called(KeyAuth(broken, verifier), HTTP_X_API_KEY=shop.key)


def test_an_application_whose_rules_have_faults_does_not_start(verifier: Verifier):
    with pytest.raises(UsageError, match='unknown scope "orders:raed"'):
        KeyAuth(plain, verifier, asked=Request(("orders:raed",)))
    with pytest.raises(TypeError, match="several networks"):
        KeyAuth(plain, verifier, trusted_proxies="10.0.0.0/8")


def test_keys_that_may_hold_a_comma_are_refused_at_the_start(tmp_path: Path):
    profile = Path(__file__).with_name("shop.toml").read_text()
    alphabet = 'fields.secret = { alphabet = "0123456789abcdef,", length = 40 }'
    (tmp_path / "commas.toml").write_text(
        profile.replace('fields.secret = { alphabet = "base62", length = 32 }', alphabet)
    )
    opened = new_store(tmp_path / "keys.db", str(tmp_path / "commas.toml"))
    opened.store.close()

    with Verifier.from_store(opened.path) as verifier, pytest.raises(UsageError, match="comma"):
        KeyAuth(plain, verifier)


def test_both_sides_keep_to_wsgi_on_a_server_that_passes_no_raw_path(shop: Shop, verifier: Verifier):
    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None: ...

    app = validator(KeyAuth(validator(plain), verifier))
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            key = [("X-Api-Key", "KEY")]
            replies = {
                line: shop.ask(server.server_port, line, headers).status
                for line, headers in [
                    ("GET /v1/orders/7", key),
                    ("GET /v1/orders%2F7", key),  # the application sees, and is asked for, the same as above
                    ("GET /v1/health%2F..%2Forders/7", []),
                    ("HEAD /v1/orders/7", []),
                    ("GET /v1/orders/7?q=1", [*key, *key]),
                ]
            }
        finally:
            server.shutdown()
            thread.join()

    assert list(replies.values()) == [200, 200, 400, 401, 401]
