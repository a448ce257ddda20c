"""Verify every request to an ASGI application: Starlette, FastAPI, Litestar, Quart, Django, or one without a framework.

>>> from keyctl import Verifier
>>> from keyctl.asgi import KeyAuth
>>> app = KeyAuth(app, Verifier.from_store("./keys.db"))

`keyctl help frameworks` has this for each of them, and what the application sees of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from keyctl.answer import Answer
from keyctl.decision import Decision, Request
from keyctl.http.response_headers import complete, merge
from keyctl.http.target import path_as_sent
from keyctl.middleware import NO_ANSWER, REMOVED, Guard, platform_rules, refusal
from keyctl.verifier import Verifier

__all__ = ["KeyAuth"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Headers = list[tuple[bytes, bytes]]

_SCHEMES = {"ws": "http", "wss": "https"}  # of the handshake of a WebSocket
_STARTS = frozenset(("http.response.start", "websocket.accept", "websocket.http.response.start"))


class KeyAuth:
    """An ASGI application that verifies each request to another one, by the rules in the profile of the keys.

    Only allowed requests reach the application, and those to public routes. Everything else is answered as the profile
    says, and with 503 if it is unknown whether the key is valid. The handshake of a WebSocket is verified as a GET, and
    refused before it is accepted.

    The application finds the Decision in `scope["keyctl"]`, and the headers of `http.identity` in the profile among
    those of the request. It does not get the headers that hold a key, or a client's own headers of those names.

    Args:
        app: The application.
        verifier: Verifies the keys. It is not closed here.
        trusted_proxies: Networks (CIDR) of the peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted;
            `unix` for a peer on a Unix socket.
        asked: What every request that is not to a public route requires, besides what its route requires.

    Raises:
        UsageError: The profile does not have a scope of `asked`, or one of `trusted_proxies` is not a network.
        ProfileInvalid: The profile has faults in its rules for HTTP.
    """

    def __init__(
        self,
        app: Callable[[Any, Any, Any], Awaitable[None]],
        verifier: Verifier,
        *,
        trusted_proxies: Iterable[str] = (),
        asked: Request = Request(),  # noqa: B008 - frozen
    ) -> None:
        self._app = app
        self._guard = Guard(verifier, trusted_proxies, asked)

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Serve a connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"keyctl cannot verify a connection of the type {scope['type']}")
        if scope["type"] == "websocket" and (await receive())["type"] != "websocket.connect":
            return
        try:
            decision = await self._verify(scope)
        except NO_ANSWER as error:
            await _answer(self._guard.unavailable(error), scope, send)
            return
        if not decision or decision.preflight:
            await _answer(refusal(decision), scope, send)
            return
        reply = _Reply(self._guard, decision, scope, send)
        await self._app(_application_scope(scope, decision, reply), _connected(scope, receive), reply)
        await reply.finish()

    async def _verify(self, scope: MutableMapping[str, Any]) -> Decision:
        """Verify a request. Whatever comes of it, the server has no key in its path afterwards."""
        try:
            return await self._verify_as_sent(scope)
        finally:
            self._remove_key(scope)

    async def _verify_as_sent(self, scope: MutableMapping[str, Any]) -> Decision:
        client, scheme, guard = scope.get("client"), scope.get("scheme", "http"), self._guard
        return await guard.verifier.averify_request(
            scope.get("method", "GET"),  # a WebSocket has none
            _target(scope),
            scope["headers"],
            guard.peer(client[0] if client else None),
            scheme=_SCHEMES.get(scheme, scheme),
            trusted_proxies=guard.trusted_proxies,
            asked=guard.asked,
        )

    def _remove_key(self, scope: MutableMapping[str, Any]) -> None:
        """Remove a key from the path and the query, in the server's own scope: it writes them to its log."""
        if self._guard.exposes_key(scope.get("query_string", b"").decode("latin-1")):
            scope["query_string"] = REMOVED.encode()
        if self._guard.exposes_key(scope["path"]):
            scope["path"], scope["raw_path"] = f"/{REMOVED}", f"/{REMOVED}".encode()


class _Reply:
    """Sends what the application sends, with the headers that the profile adds; or a refusal in its place."""

    def __init__(self, guard: Guard, decision: Decision, scope: MutableMapping[str, Any], send: _Send) -> None:
        self._guard = guard
        self._decision = decision
        self._scope = scope
        self._send = send
        self._refused = False
        self._started = False

    def refuse(self, decision: Decision) -> None:
        """Answer with this decision, whatever the application sends. For `keyctl.fastapi`."""
        self._decision, self._refused = decision, True
        self._guard.verifier._record(decision)

    async def __call__(self, message: _Message) -> None:
        if self._refused:
            await self.finish()
        else:
            await self._pass_on(message)

    async def finish(self) -> None:
        """Send the refusal, if there is one. Some frameworks send nothing where a dependency refused a WebSocket."""
        if self._refused and not self._started:
            self._started = True
            await _answer(refusal(self._decision), self._scope, self._send)

    async def _pass_on(self, message: _Message) -> None:
        if message["type"] in _STARTS:
            self._started = True
            own = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            message = {**message, "headers": _encode(merge(own, self._decision.response()))}
        await self._send(message)


def _target(scope: MutableMapping[str, Any]) -> str:
    raw, root, path = scope.get("raw_path"), scope.get("root_path", ""), scope["path"]
    # A mounted application's path has the root in it by the specification, and in older frameworks had not.
    mounted = path == root or path.startswith(f"{root.rstrip('/')}/")
    paths = (path, root + path) if mounted else (root + path, path)
    query = scope.get("query_string", b"").decode("latin-1")
    sent = path_as_sent(raw.decode("utf-8", "replace") if raw is not None else None, paths, encoding="utf-8")
    return f"{sent}?{query}" if query else sent


def _application_scope(scope: MutableMapping[str, Any], decision: Decision, reply: _Reply) -> dict[str, Any]:
    rules = platform_rules(decision)
    headers = [(name, value) for name, value in scope["headers"] if not rules.withholds(name, value)]
    headers += _encode(decision.identity.items())
    return {**scope, "headers": headers, "keyctl": decision, "keyctl.refuse": reply.refuse}


def _connected(scope: MutableMapping[str, Any], receive: _Receive) -> _Receive:
    """Return what the application receives from: it still expects the connection of a WebSocket."""
    if scope["type"] != "websocket":
        return receive
    unread = [{"type": "websocket.connect"}]

    async def receive_again() -> _Message:
        return unread.pop() if unread else await receive()

    return receive_again


async def _answer(answer: Answer, scope: MutableMapping[str, Any], send: _Send) -> None:
    headers, body = complete(answer)
    prefix = "http."
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close"})  # before it is accepted: the server answers 403
            return
        prefix = "websocket.http."
    await send({"type": f"{prefix}response.start", "status": int(answer.status), "headers": _encode(headers)})
    without = scope.get("method") == "HEAD" or answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    await send({"type": f"{prefix}response.body", "body": b"" if without else body})


def _encode(headers: Iterable[tuple[str, str]]) -> _Headers:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
