"""`keyctl.fastapi` in real applications, on uvicorn, by requests over sockets."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Security, WebSocket
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyCookie

from keyctl import Decision, Recorder, Verifier
from keyctl.asgi import KeyAuth
from keyctl.fastapi import protect, require
from tests.frameworks.exchange import shake_hands
from tests.frameworks.serving import uvicorn
from tests.frameworks.shop import Shop

KEY = [("X-Api-Key", "KEY")]


@pytest.fixture(scope="module")
def verifier(shop: Shop) -> Iterator[Verifier]:
    with Verifier.from_store(shop.url) as verifier:
        yield verifier


def application(verifier: Verifier) -> FastAPI:
    app = FastAPI()
    protect(app, verifier)

    @app.get("/v1/orders/{number}", dependencies=[Depends(require("orders:read"))])
    def read(number: str) -> str:
        return number

    @app.get("/v1/extra/decision")
    def decision(decision: Annotated[Decision, Depends(require())]) -> str:
        assert decision.record
        return decision.record.key.prefix

    @app.get("/v1/extra/reports", dependencies=[Depends(require("reports:read"))])
    def report() -> None: ...

    @app.get("/v1/extra/either", dependencies=[Depends(require("reports:read|orders:read"))])
    def either() -> None: ...

    @app.get("/v1/extra/security")
    def security(_: Annotated[Decision, Security(require("orders:read"), scopes=["reports:read"])]) -> None: ...

    @app.get("/v1/health", dependencies=[Depends(require())])
    def health() -> None: ...

    @app.websocket("/v1/stream/{number}", dependencies=[Depends(require("reports:read"))])
    async def stream(socket: WebSocket, number: str) -> None:
        await socket.accept()
        await socket.close()

    return app


@pytest.fixture(scope="module")
def port(verifier: Verifier) -> Iterator[int]:
    app = application(verifier)

    @app.exception_handler(HTTPException)
    async def handle(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"the application's": error.status_code}, 200)

    with uvicorn(app) as port:
        yield port


@pytest.mark.parametrize(
    ("line", "status", "body"),
    [
        ("GET /v1/orders/7", 200, b'"7"'),
        ("GET /v1/extra/either", 200, b"null"),
        ("GET /v1/extra/reports", 403, b'{"lacks": "reports:read"}'),
        ("GET /v1/extra/security", 403, b'{"lacks": "reports:read"}'),
    ],
)
def test_a_dependency_requires_scopes_besides_those_of_the_route(
    shop: Shop, port: int, line: str, status: int, body: bytes
):
    reply = shop.ask(port, line, KEY)

    assert (reply.status, reply.body) == (status, body)
    assert (reply.values("x-platform"), reply.values("content-type")) == (["shop"], ["application/json"])


def test_a_dependency_returns_the_decision(shop: Shop, port: int):
    assert shop.ask(port, "GET /v1/extra/decision", KEY).json == shop.prefix


def test_a_public_route_of_the_profile_has_no_key_for_a_dependency(shop: Shop, port: int):
    reply = shop.ask(port, "GET /v1/health", KEY)

    assert (reply.status, reply.code, reply.values("www-authenticate")) == (401, "MISSING_API_KEY", ["Bearer"])


def test_a_websocket_is_refused_as_the_profile_says(shop: Shop, port: int, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "keyctl")

    reply, message = shake_hands(port, "/v1/stream/7", ("X-Api-Key", shop.key))

    assert message is None
    assert (reply.status, reply.body) == (403, b'{"lacks": "reports:read"}')
    assert f"refused {shop.prefix}: FORBIDDEN_SCOPE (missing scope reports:read)" in caplog.text


def test_the_documentation_shows_the_headers_of_the_profile_and_the_scopes(shop: Shop, port: int):
    document = shop.ask(port, "GET /openapi.json", []).json

    assert document["components"]["securitySchemes"] == {
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "authorization-bearer": {"type": "http", "scheme": "bearer"},
    }
    operations = {path: path_item["get"] for path, path_item in document["paths"].items()}
    assert {path: operation["security"] for path, operation in operations.items()} == {
        path: [{"x-api-key": scopes}, {"authorization-bearer": scopes}]
        for path, scopes in {
            "/v1/orders/{number}": ["orders:read"],
            "/v1/extra/decision": [],
            "/v1/extra/reports": ["reports:read"],
            "/v1/extra/either": ["reports:read|orders:read"],
            "/v1/extra/security": ["reports:read", "orders:read"],
            "/v1/health": [],
        }.items()
    }
    assert operations["/v1/orders/{number}"]["responses"].keys() == {"200", "401", "403", "422", "429", "503"}


def test_what_an_application_documents_itself_is_kept(verifier: Verifier):
    app = FastAPI()

    @app.get(
        "/a",
        dependencies=[Depends(APIKeyCookie(name="session")), Depends(require())],
        responses={401: {"description": "mine"}},
    )
    def a() -> None: ...

    @app.get("/b")
    def b() -> None: ...

    protect(app, verifier)  # afterwards is as good
    document = app.openapi()

    assert document is app.openapi()
    assert [*document["components"]["securitySchemes"]] == ["APIKeyCookie", "x-api-key", "authorization-bearer"]
    assert document["paths"]["/a"]["get"]["security"] == [
        {"x-api-key": []},
        {"authorization-bearer": []},
        {"APIKeyCookie": []},
    ]
    assert document["paths"]["/a"]["get"]["responses"]["401"] == {"description": "mine"}
    assert "security" not in document["paths"]["/b"]["get"]
    assert document["paths"]["/b"]["get"]["responses"].keys() == {"200"}


def test_an_application_without_dependencies_has_no_security_in_its_documentation(verifier: Verifier):
    app = FastAPI()
    protect(app, verifier)

    assert "securitySchemes" not in app.openapi().get("components", {})


# ── at the start ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def on_its_own() -> None: ...


def in_a_route(app: FastAPI) -> None:
    app.get("/a", dependencies=[Depends(require("orders:raed"))])(on_its_own)


def in_the_application(app: FastAPI) -> None:
    app.router.dependencies.append(Depends(require("orders:raed")))


def in_a_router(app: FastAPI) -> None:
    router = APIRouter(dependencies=[Depends(require("orders:raed"))])
    router.get("/a")(on_its_own)
    app.include_router(router)


def where_a_router_is_included(app: FastAPI) -> None:
    router = APIRouter()
    router.get("/a")(on_its_own)
    app.include_router(router, dependencies=[Depends(require("orders:raed"))])


def in_a_route_of_a_router(app: FastAPI) -> None:
    inner, outer = APIRouter(), APIRouter()
    inner.get("/a", dependencies=[Depends(require("orders:raed"))])(on_its_own)
    outer.include_router(inner)
    app.include_router(outer)


def in_a_mounted_application(app: FastAPI) -> None:
    mounted = FastAPI()
    in_a_route(mounted)
    app.mount("/mounted", mounted)


def below_another_dependency(app: FastAPI) -> None:
    def nested(_: Annotated[Decision, Depends(require("orders:raed"))]) -> None: ...

    app.get("/a", dependencies=[Depends(nested)])(on_its_own)


def of_a_websocket(app: FastAPI) -> None:
    app.websocket("/a", dependencies=[Depends(require("orders:raed"))])(on_its_own)


@pytest.mark.parametrize(
    "place",
    [
        in_a_route,
        in_the_application,
        in_a_router,
        where_a_router_is_included,
        in_a_route_of_a_router,
        in_a_mounted_application,
        below_another_dependency,
        of_a_websocket,
    ],
    ids=lambda place: place.__name__,
)
def test_an_application_that_requires_an_unknown_scope_does_not_start(
    verifier: Verifier, place: Any, caplog: pytest.LogCaptureFixture
):
    app = FastAPI()
    protect(app, verifier)
    place(app)

    with pytest.raises(AssertionError, match="does not start"), uvicorn(app):
        pass

    assert 'unknown scope "orders:raed"' in caplog.text


def test_the_lifespan_of_the_application_runs_as_before(shop: Shop, verifier: Verifier):
    seen = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        seen.append("starts")
        yield {"mine": "state"}
        seen.append("ends")

    app = FastAPI(lifespan=lifespan)
    protect(app, verifier)

    @app.get("/v1/orders/{number}")
    def read(request: Request) -> str:
        return str(request.state.mine)

    with uvicorn(app) as port:
        assert shop.ask(port, "GET /v1/orders/7", KEY).json == "state"
    assert seen == ["starts", "ends"]


def test_an_unknown_scope_that_was_not_found_at_the_start_is_an_error_at_the_first_request(
    shop: Shop, verifier: Verifier
):
    app = FastAPI()
    protect(app, verifier)
    app.get("/v1/orders/{number}", dependencies=[Depends(require("orders:raed"))])(on_its_own)

    with uvicorn(app, lifespan="off") as port:
        assert shop.ask(port, "GET /v1/orders/7", KEY).status == 500


def test_without_protect_nothing_is_allowed(shop: Shop, verifier: Verifier):
    app = FastAPI()
    app.get("/v1/orders/{number}", dependencies=[Depends(require("orders:read"))])(on_its_own)

    with uvicorn(app) as port:
        assert shop.ask(port, "GET /v1/orders/7", KEY).status == 500


def test_key_auth_around_an_application_answers_for_its_dependencies_too(shop: Shop, verifier: Verifier):
    app = FastAPI()
    app.get("/v1/extra/reports", dependencies=[Depends(require("reports:read"))])(on_its_own)

    with uvicorn(KeyAuth(app, verifier)) as port:
        reply = shop.ask(port, "GET /v1/extra/reports", KEY)

    assert (reply.status, reply.body) == (403, b'{"lacks": "reports:read"}')
    assert app.openapi()["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_faults_are_found_where_they_are_written(verifier: Verifier, tmp_path: Any):
    with pytest.raises(TypeError, match="scopes must be texts"):
        require(["orders:read"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="several networks"):
        protect(FastAPI(), verifier, trusted_proxies="10.0.0.0/8")


def test_a_refusal_by_a_dependency_is_recorded(shop: Shop, tmp_path: Path):
    recorder = Recorder.to_file(tmp_path / "usage.jsonl")
    with Verifier.from_store(shop.url, recorder=recorder) as verifier, uvicorn(application(verifier)) as port:
        assert shop.ask(port, "GET /v1/extra/reports", KEY).status == 403
        recorder.close()

    (use,) = json.loads((tmp_path / "usage.jsonl").read_text())["keys"].values()
    assert list(use["hours"].values()) == [{"FORBIDDEN_SCOPE": 1, "VALID": 1}]
