"""What `KeyAuth` of ASGI and of WSGI have in common: arguments, rules, and the responses in an application's place."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import unquote

from keyctl.answer import Answer
from keyctl.decision import Decision, Request
from keyctl.errors import StoreUnavailable, VerifierBusy
from keyctl.exposed_keys import length_exposed_in
from keyctl.networks import parse_networks
from keyctl.profiles.http import HttpRules
from keyctl.verification.platform_rules import PlatformRules, RulesInForce
from keyctl.verifier import Verifier

NO_ANSWER = (StoreUnavailable, VerifierBusy)  # it is unknown whether the key is valid
_SOCKET = "0.0.0.0"  # noqa: S104 - of a trusted proxy on a Unix socket: no peer on a network has this address
REMOVED = "key-removed"  # in place of a path or a query with a key in it
_log = logging.getLogger("keyctl.requests")


class Guard:
    """A verifier, and what it verifies requests by. Raises UsageError and ProfileInvalid, as `KeyAuth` does."""

    def __init__(self, verifier: Verifier, trusted_proxies: Iterable[str], asked: Request) -> None:
        if not isinstance(verifier, Verifier):
            raise TypeError(f"a Verifier is needed after the application, not {type(verifier).__name__}")
        if isinstance(trusted_proxies, str):
            raise TypeError("trusted_proxies must be several networks, such as ['10.0.0.0/8'], not one text")
        if not isinstance(asked, Request):
            raise TypeError(f"asked must be a Request, such as Request(('read',)), not {type(asked).__name__}")
        self.verifier = verifier
        entries = tuple(trusted_proxies)
        self.trusted_proxies = parse_networks(_SOCKET if entry == "unix" else entry for entry in entries)
        self._peer_on_socket = _SOCKET if "unix" in entries else None
        self.asked = asked
        self._rules = RulesInForce(lambda: verifier.profile)
        self._rules().require_known(asked)
        _ = self.rules  # an application whose profile has faults does not start

    @property
    def rules(self) -> HttpRules:
        return self._rules().rules

    def peer(self, address: str | None) -> str | None:
        """Return the address of a peer, for one on a Unix socket too where it is a trusted proxy."""
        return address or self._peer_on_socket

    def exposes_key(self, target: str) -> bool:
        """Return whether a path, or a query, has a key in it. Servers write both to their logs."""
        return any(length_exposed_in(key_format, unquote(target)) for key_format in self.verifier.formats)

    def unavailable(self, error: Exception) -> Answer:
        """Log one of `NO_ANSWER`, and return the response."""
        _log.warning("a key could not be verified: %s", error)
        return self._rules().unavailable()


def refusal(decision: Decision) -> Answer:
    """Log a refusal for the operator, and return the response. A preflight's is not logged if it is allowed."""
    if not decision:
        prefix = decision.record.key.prefix if decision.record else "a request"
        _log.info("refused %s: %s (%s)", prefix, decision.code, decision.reason)
    return decision.response()


def platform_rules(decision: Decision) -> PlatformRules:
    """Return the rules that a verifier's decision was made by."""
    rules = decision.platform
    if not isinstance(rules, PlatformRules):
        raise TypeError("only the decisions of a Verifier have rules")
    return rules
