"""The conditions that an HTTP request must meet before its key is verified: transport, path, route, credentials. Pure.

No identity is ever taken from the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from keyctl.codes import Code
from keyctl.decision import Decision
from keyctl.http.admitted import Admitted, Preflight
from keyctl.http.places import Places, holds_key
from keyctl.http.request import HttpRequest
from keyctl.networks import address_or_none, contain
from keyctl.profiles.http import Credential, HttpRules


class Connection(NamedTuple):
    """How a request arrived: the scheme, the peer's address, and the networks of trusted proxies."""

    scheme: str = "https"
    peer: str | None = None
    trusted_proxies: tuple[str, ...] = ()


def admit(
    rules: HttpRules, request: HttpRequest, connection: Connection, places: Places
) -> Admitted | Preflight | Decision:
    """Return the key of a request with the scopes it needs; a Decision if it needs none, or is refused.

    `places` are those of the same rules.
    """
    if rules.require_https and not is_secure(request, connection):
        return Decision(Code.INSECURE_TRANSPORT, "the request did not come over HTTPS")
    path, _, query = request.target.partition("?")
    place = places.find(request.method, path)
    if place.refused:
        return Decision(Code.BAD_REQUEST, place.refused)
    origin = request.values("origin")
    if rules.cors and request.method == "OPTIONS" and origin and request.values("access-control-request-method"):
        return Preflight(origin[0]) if len(origin) == 1 else Decision(Code.BAD_REQUEST, "several origins")
    if place.ambiguous:
        return Decision(Code.BAD_REQUEST, "the path is that of another route but for case or a slash at its end")
    if place.route and place.route.public:
        return Decision(Code.VALID, "the route is public")
    if query and holds_key(places.formats, query):
        return Decision(Code.INVALID_API_KEY, "key in the query string")
    if place.holds_key:
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
    return Admitted(presented[0], place.route, place.scopes)


def is_secure(request: HttpRequest, connection: Connection) -> bool:
    """Return whether a request came over HTTPS all the way. Only a trusted proxy's header counts."""
    forwarded = request.values("x-forwarded-proto")
    for value in forwarded:
        if value.lower() != "https" and any(scheme.strip().lower() != "https" for scheme in value.split(",")):
            return False
    return connection.scheme == "https" or (bool(forwarded) and _trusted(connection.peer, connection))


def client_address(request: HttpRequest, connection: Connection) -> str | None:
    """Return the client's address: the peer's, or behind trusted proxies the rightmost that is not one of them.

    None if that is not an IP address.
    """
    if not _trusted(connection.peer, connection):
        return connection.peer
    for value in reversed(request.values("x-forwarded-for")):
        for hop in map(str.strip, reversed(value.split(","))):
            if not _trusted(hop, connection):
                return address_or_none(hop)
    return address_or_none(connection.peer) if connection.peer is not None else None


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
    return bool(connection.trusted_proxies) and address is not None and contain(connection.trusted_proxies, address)
