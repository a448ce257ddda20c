"""The conditions that an HTTP request must meet before its key is verified: transport, path, route, credentials. Pure.

No identity is ever taken from the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from keyctl.codes import Code
from keyctl.decision import Decision
from keyctl.http.request import HttpRequest, PathRefused
from keyctl.keyformat import KeyFormat
from keyctl.networks import address_or_none, contain
from keyctl.profiles.http import Credential, HttpRules, Route


@dataclass(frozen=True)
class Connection:
    """How a request arrived: the scheme, the peer's address, and the networks of trusted proxies."""

    scheme: str = "https"
    peer: str | None = None
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Admitted:
    """A request that carries one key. `route` is None where none matches."""

    text: str = field(repr=False)
    route: Route | None
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Preflight:
    """A browser's request for whether a page of `origin` may send requests (Fetch, 4.8). It carries no key."""

    origin: str


def admit(
    rules: HttpRules, request: HttpRequest, connection: Connection, formats: Iterable[KeyFormat]
) -> Admitted | Preflight | Decision:
    """Return the key of a request with the scopes it needs; a Decision if it needs none, or is refused."""
    if rules.require_https and not is_secure(request, connection):
        return Decision(Code.INSECURE_TRANSPORT, "the request did not come over HTTPS")
    try:
        segments = request.path_segments
    except PathRefused as error:
        return Decision(Code.BAD_REQUEST, str(error))
    origin = request.values("origin")
    if rules.cors and request.method == "OPTIONS" and origin and request.values("access-control-request-method"):
        return Preflight(origin[0]) if len(origin) == 1 else Decision(Code.BAD_REQUEST, "several origins")
    route, scopes = _route(rules, request.method, segments)
    if (route is not None and route.public, scopes) != _lenient_requirements(rules, request.method, segments):
        return Decision(Code.BAD_REQUEST, "the path is that of another route but for case or a slash at its end")
    if route and route.public:
        return Decision(Code.VALID, "the route is public")
    if any(key_format.exposed_pattern.search(unquote(request.query)) for key_format in formats):
        return Decision(Code.INVALID_API_KEY, "key in the query string")
    if any(key_format.exposed_pattern.search(unquote("/".join(segments))) for key_format in formats):
        return Decision(Code.INVALID_API_KEY, "key in the path")
    presented = _presented(rules.credentials, request)
    if isinstance(presented, Decision):
        return presented
    if not presented:
        return Decision(Code.MISSING_API_KEY, "none given")
    if len(presented) > 1 and rules.when_several == "refuse":
        return Decision(Code.AMBIGUOUS_CREDENTIALS, "several headers hold a key")
    if not presented[0]:
        return Decision(Code.MISSING_API_KEY, "none given")
    return Admitted(presented[0], route, scopes)


def is_secure(request: HttpRequest, connection: Connection) -> bool:
    """Return whether a request came over HTTPS all the way. Only a trusted proxy's header counts."""
    schemes = [scheme.strip().lower() for value in request.values("x-forwarded-proto") for scheme in value.split(",")]
    if any(scheme != "https" for scheme in schemes):
        return False
    return connection.scheme == "https" or (bool(schemes) and _trusted(connection.peer, connection))


def client_address(request: HttpRequest, connection: Connection) -> str | None:
    """Return the client's address: the peer's, or behind trusted proxies the rightmost that is not one of them.

    None if that is not an IP address.
    """
    if not _trusted(connection.peer, connection):
        return connection.peer
    chain = [hop.strip() for value in request.values("x-forwarded-for") for hop in value.split(",")]
    hop = next((hop for hop in reversed(chain) if not _trusted(hop, connection)), connection.peer)
    return address_or_none(hop) if hop is not None else None


def _route(
    rules: HttpRules, method: str, segments: tuple[str, ...], *, ignore_case: bool = False
) -> tuple[Route | None, tuple[str, ...]]:
    for route in rules.routes:
        parameters = route.match(method, segments, ignore_case=ignore_case)
        if parameters is not None:
            return route, tuple(_fill(scope, parameters) for scope in route.scopes)
    return None, ()


def _lenient_requirements(rules: HttpRules, method: str, segments: tuple[str, ...]) -> tuple[bool, tuple[str, ...]]:
    """Return what the route requires on a server that ignores case in methods and paths, and a slash at the end."""
    shorter = segments[:-1] if len(segments) > 1 and not segments[-1] else segments
    route, scopes = _route(rules, method.upper(), shorter, ignore_case=True)
    return route is not None and route.public, scopes


def _fill(scope: str, parameters: Mapping[str, str]) -> str:
    """Fill in a path's parameters. Braces in their values are not filled in again."""
    return re.sub(r"\{([a-z_]+)\}", lambda match: parameters[match[1]], scope)


def _presented(credentials: Iterable[Credential], request: HttpRequest) -> list[str] | Decision:
    """Return the value of each header that may hold the key, in the profile's order."""
    presented = []
    for credential in credentials:
        values = request.values(credential.header)
        if len(values) > 1:
            return Decision(Code.AMBIGUOUS_CREDENTIALS, f"the header {credential.header} is repeated")
        for value in values:
            if credential.scheme is None:
                presented.append(value)
            elif value.partition(" ")[0].lower() == credential.scheme:
                presented.append(value.partition(" ")[2].lstrip(" "))
    return presented


def _trusted(address: str | None, connection: Connection) -> bool:
    return address is not None and contain(connection.trusted_proxies, address)
