"""One application for each ASGI framework: it answers with what it sees of a request.

The frameworks read the annotations, so these are not texts here.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from keyctl import Verifier
from keyctl.asgi import KeyAuth
from keyctl.decision import Decision

App = Callable[[Any, Any, Any], Awaitable[None]]

OWN = {"X-Own": "1", "Vary": "Accept", "X-Platform": "the application's"}


def seen(headers: list[tuple[str, str]], decision: Decision) -> dict[str, Any]:
    prefix = decision.record.key.prefix if decision.record else None
    return {"headers": headers, "code": str(decision.code), "prefix": prefix}


def starlette(verifier: Verifier) -> App:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.websockets import WebSocket

    async def show(request: Request) -> JSONResponse:
        return JSONResponse(seen(request.headers.items(), request.scope["keyctl"]), headers=OWN)

    async def stream(socket: WebSocket) -> None:
        await socket.accept(headers=[(b"x-own", b"1")])
        await socket.send_json(seen(socket.headers.items(), socket.scope["keyctl"]))
        await socket.close()

    methods = ["GET", "POST", "OPTIONS"]
    routes = [
        Route("/v1/health", show, methods=methods),
        Route("/v1/orders/{id}", show, methods=methods),
        WebSocketRoute("/v1/stream/{id}", stream),
        Mount("/v1/mounted", routes=[Route("/orders/{id}", show)]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(KeyAuth, verifier=verifier)])


def fastapi(verifier: Verifier) -> App:
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.responses import JSONResponse

    from keyctl.fastapi import protect

    app, mounted = FastAPI(), FastAPI()
    protect(app, verifier)

    @app.api_route("/v1/health", methods=["GET", "POST", "OPTIONS"])
    @app.api_route("/v1/orders/{id}", methods=["GET", "HEAD", "POST"])
    @mounted.get("/orders/{id}")
    async def show(request: Request) -> JSONResponse:
        return JSONResponse(seen(request.headers.items(), request.scope["keyctl"]), headers=OWN)

    @app.websocket("/v1/stream/{id}")
    async def stream(socket: WebSocket) -> None:
        await socket.accept(headers=[(b"x-own", b"1")])
        await socket.send_json(seen(socket.headers.items(), socket.scope["keyctl"]))
        await socket.close()

    app.mount("/v1/mounted", mounted)
    return app


def litestar(verifier: Verifier) -> App:
    from litestar import Litestar, Request, Response, WebSocket, asgi, route, websocket
    from litestar.enums import HttpMethod
    from litestar.types import Receive, Scope, Send

    @route(["/v1/health", "/v1/orders/{id:str}"], http_method=[HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST])
    async def show(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        shown = seen(list(request.headers.multi_items()), request.scope["keyctl"])  # type: ignore[typeddict-item]
        return Response(shown, headers=OWN, status_code=200)

    @websocket("/v1/stream/{id:str}")
    async def stream(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept(headers={"x-own": "1"})
        shown = seen(list(socket.headers.multi_items()), socket.scope["keyctl"])  # type: ignore[typeddict-item]
        await socket.send_json(shown)
        await socket.close()

    @asgi("/v1/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await plain(scope, receive, send)  # type: ignore[arg-type]

    return KeyAuth(Litestar([show, stream, mounted], openapi_config=None), verifier)


def quart(verifier: Verifier) -> App:
    from quart import Quart, Response, jsonify, request, websocket

    app = Quart(__name__)

    @app.route("/v1/health", methods=["GET", "POST", "OPTIONS"])
    @app.route("/v1/orders/<id>", methods=["GET", "POST"])
    @app.route("/v1/mounted/orders/<id>")
    async def show(id: str = "") -> Response:  # noqa: A002 - the framework passes it by this name
        response = jsonify(seen(list(request.headers.items()), request.scope["keyctl"]))  # type: ignore[typeddict-item]
        response.headers.update(OWN)
        return response

    @app.websocket("/v1/stream/<id>")
    async def stream(id: str) -> None:  # noqa: A002
        await websocket.accept(headers={"x-own": "1"})
        decision = websocket.scope["keyctl"]  # type: ignore[typeddict-item]
        await websocket.send_json(seen(list(websocket.headers.items()), decision))

    return KeyAuth(app, verifier)


async def plain(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    body = json.dumps(seen(headers, scope["keyctl"])).encode()
    own = [(name.lower().encode(), value.encode()) for name, value in OWN.items()]
    await send({"type": "http.response.start", "status": 200, "headers": own})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


FRAMEWORKS: dict[str, Callable[[Verifier], App]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "litestar": litestar,
    "quart": quart,
}
