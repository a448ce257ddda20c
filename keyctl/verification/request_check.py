"""What a Verifier does with an HTTP request, before and after its key is verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keyctl.codes import Code
from keyctl.decision import Decision, Request
from keyctl.http.admission import Connection, admit, client_address
from keyctl.http.admitted import Admitted, Preflight
from keyctl.http.places import Places
from keyctl.http.request import Headers, HttpRequest, read_fields
from keyctl.keyformat import KeyFormat
from keyctl.verification.platform_rules import PlatformRules


def read_request(
    method: str, path: str, headers: Headers, ip: str | None, scheme: str, trusted_proxies: Sequence[str]
) -> tuple[HttpRequest, Connection]:
    """Return a request as its server describes it. Raises TypeError for arguments in another form."""
    if isinstance(trusted_proxies, str):
        raise TypeError("trusted_proxies must be several networks, such as ('10.0.0.0/8',), not one text")
    return HttpRequest(method, path, read_fields(headers)), Connection(scheme, ip, tuple(trusted_proxies))


class RequestCheck:
    """Checks requests by the rules of one profile. Raises ProfileInvalid if these have faults."""

    def __init__(self, platform: PlatformRules, formats: tuple[KeyFormat, ...]) -> None:
        self.platform = platform
        self.formats = formats
        self._rules = platform.rules
        self._places = Places(self._rules, formats)

    def admit(self, request: HttpRequest, connection: Connection) -> Admitted | Preflight | Decision:
        """Return the key of a request, with what its route requires; a Decision if no key is needed, or accepted."""
        admitted = admit(self._rules, request, connection, self._places)
        if isinstance(admitted, Decision):
            return replace(admitted, origin=_origin(request), platform=self.platform)
        return admitted

    def required(self, admitted: Admitted, request: HttpRequest, connection: Connection, asked: Request) -> Request:
        """Return what the key must permit: what the route requires, and what is asked for besides."""
        address = client_address(request, connection)
        return Request((*admitted.scopes, *asked.scopes), asked.environment, address, asked.resource_owner)

    def complete(self, decision: Decision, admitted: Admitted, request: HttpRequest) -> Decision:
        """Return the decision about the request, from the one about its key."""
        if decision and admitted.route is None and self._rules.unmatched == "refuse":
            decision = replace(decision, code=Code.NO_ROUTE, reason="no route matches")
        origin = _origin(request)
        return replace(decision, origin=origin) if origin is not None else decision


def _origin(request: HttpRequest) -> str | None:
    return next(iter(request.values("origin")), None)
