"""API keys for FastAPI: every request is verified, and dependencies require scopes, which OpenAPI shows.

>>> from fastapi import Depends, FastAPI
>>> from keyctl import Verifier
>>> from keyctl.fastapi import protect, require
>>> app = FastAPI()
>>> protect(app, Verifier.from_store("./keys.db"))
>>> @app.get("/orders", dependencies=[Depends(require("orders:read"))])
... def orders(): ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Security
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.models import APIKey, HTTPBase, HTTPBearer
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2, SecurityScopes

from keyctl.asgi import KeyAuth
from keyctl.codes import Code
from keyctl.decision import Decision, Request
from keyctl.middleware import platform_rules
from keyctl.profiles.http import Credential, HttpRules, rules_of
from keyctl.verifier import Verifier

__all__ = ["protect", "require"]

_RESPONSES = {
    Code.MISSING_API_KEY: "No valid API key was sent",
    Code.FORBIDDEN_SCOPE: "The API key does not permit this",
    Code.RATE_LIMITED: "The rate limit of the API key is used up",
    Code.UNTRUSTED_BUNDLE: "API keys cannot be verified at the moment",
}
_MARK = "keyctl_scopes"  # by which the dependencies of `require` are found again


class _Key(OAuth2):
    """The scheme that `protect` replaces by those of the profile. Without it, keys are shown as bearer tokens.

    It is an OAuth2 by class alone: older releases of FastAPI show the scopes of no other scheme.
    """

    def __init__(self) -> None:  # not that of OAuth2, which would describe its flows
        self.scheme_name = "key"
        self.model = HTTPBearer(description="An API key.")

    async def __call__(self) -> None:  # type: ignore[override] # it needs nothing of the request
        """Verify nothing: `KeyAuth` has."""


_KEY = _Key()


def protect(
    app: FastAPI,
    verifier: Verifier,
    *,
    trusted_proxies: Iterable[str] = (),
    asked: Request = Request(),  # noqa: B008 - frozen
) -> None:
    """Verify every request to the application, as `keyctl.asgi.KeyAuth` does, and show in OpenAPI what keys need.

    The application does not start if a `require` has a scope that the profile does not have.

    Args:
        app: The application. Its routes may be declared before or afterwards.
        verifier: Verifies the keys. It is not closed here.
        trusted_proxies: Networks (CIDR) of the peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted;
            `unix` for a peer on a Unix socket.
        asked: What every request that is not to a public route requires, besides what its route requires.

    Raises:
        UsageError: The profile does not have a scope of `asked`, or one of `trusted_proxies` is not a network.
        ProfileInvalid: The profile has faults in its rules for HTTP.
    """
    KeyAuth(app, verifier, trusted_proxies=trusted_proxies, asked=asked)  # FastAPI would raise at the first request
    app.add_middleware(KeyAuth, verifier=verifier, trusted_proxies=trusted_proxies, asked=asked)
    lifespan, openapi = app.router.lifespan_context, app.openapi

    @asynccontextmanager
    async def checked_lifespan(started: Any) -> AsyncIterator[Any]:
        verifier.require(*_scopes_below(app))
        async with lifespan(started) as state:
            yield state

    def documented() -> dict[str, Any]:
        return _document(openapi(), rules_of(verifier.profile))

    app.router.lifespan_context = checked_lifespan
    app.openapi = documented  # type: ignore[method-assign] # as FastAPI's documentation has it


def require(*scopes: str) -> Callable[..., Awaitable[Decision]]:
    """Return a dependency, for `Depends` or `Security`, that requires scopes besides those of the profile's routes.

    A request without them is answered as the profile says. A request to a public route of the profile has no key, and
    is answered as one where it is missing.

    Args:
        scopes: Scopes that must all be in force; `read|write` requires one of the two. None requires just a key.

    Returns:
        A dependency whose value is the Decision.
    """
    if not all(isinstance(scope, str) for scope in scopes):
        raise TypeError("scopes must be texts")

    async def required(
        connection: HTTPConnection,
        asked: SecurityScopes,
        _key: None = Security(_KEY, scopes=[*scopes]),
    ) -> Decision:
        decision = connection.scope.get("keyctl")
        if not isinstance(decision, Decision):
            raise RuntimeError("keyctl.fastapi.require needs protect(app, verifier)")
        narrowed = platform_rules(decision).require(decision, (*scopes, *asked.scopes))
        if not narrowed:
            connection.scope["keyctl.refuse"](narrowed)
            raise HTTPException(narrowed.response().status)
        return narrowed

    required.__dict__[_MARK] = scopes
    return required


def _scopes_below(app: FastAPI) -> Iterator[str]:
    """Yield the scopes of every `require` in an application, and of those mounted in it.

    Releases of FastAPI keep dependencies in different places. What is not found is checked at its first request.
    """
    unexplored: list[Any] = [app.router]
    seen: dict[int, Any] = {}
    while unexplored:
        one = unexplored.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one  # kept, so that no other gets its id
        yield from getattr(one, _MARK, ())
        for name in ("routes", "dependencies"):
            unexplored += getattr(one, name, None) or ()
        unexplored += [
            getattr(one, name, None)
            for name in ("call", "dependency", "dependant", "original_router", "include_context")
        ]


def _document(document: dict[str, Any], rules: HttpRules) -> dict[str, Any]:
    """Show the headers of the profile in an OpenAPI document, in place of the scheme of `require`."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    if schemes.pop(_KEY.scheme_name, None) is None:
        return document
    own = {_scheme_name(credential): _scheme(credential) for credential in rules.credentials}
    schemes |= own
    for path in document.get("paths", {}).values():
        for operation in path.values():
            needs = [one for one in _security(operation) if _KEY.scheme_name in one]
            if not needs:
                continue
            others = [one for one in operation["security"] if one not in needs]
            scopes = [scope for one in needs for scope in one[_KEY.scheme_name]]
            operation["security"] = [*({name: scopes} for name in own), *others]
            for code, description in _RESPONSES.items():
                template = rules.responses.get(code)
                status = str(template.status if template else code.http_status)
                operation["responses"].setdefault(status, {"description": description})
    return document


def _security(operation: Any) -> list[dict[str, list[str]]]:
    return operation.get("security", []) if isinstance(operation, dict) else []


def _scheme_name(credential: Credential) -> str:
    return credential.header if credential.scheme is None else f"{credential.header}-{credential.scheme}"


def _scheme(credential: Credential) -> dict[str, Any]:
    if credential.header == "authorization" and credential.scheme is not None:
        model: SecurityBaseModel = HTTPBase(scheme=credential.scheme)
    else:
        described = {} if credential.scheme is None else {"description": f"{credential.scheme} and the key"}
        model = APIKey.model_validate({"in": "header", "name": credential.header, **described})
    return dict(jsonable_encoder(model, by_alias=True, exclude_none=True))
