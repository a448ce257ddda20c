"""Verify every request to a WSGI application: Flask, Django, or one without a framework.

>>> from keyctl import Verifier
>>> from keyctl.wsgi import KeyAuth
>>> application = KeyAuth(application, Verifier.from_store("./keys.db"))

`keyctl help frameworks` has this for each of them, and what the application sees of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from keyctl.answer import Answer
from keyctl.decision import Decision, Request
from keyctl.errors import UsageError
from keyctl.http.response_headers import complete, merge
from keyctl.http.target import path_as_sent
from keyctl.keyformat import KeyFormat
from keyctl.middleware import NO_ANSWER, REMOVED, Guard, platform_rules, refusal
from keyctl.profiles.http import HttpRules
from keyctl.verification.platform_rules import PlatformRules
from keyctl.verifier import Verifier

__all__ = ["KeyAuth"]

_Environ = dict[str, Any]
_StartResponse = Callable[..., Callable[[bytes], object]]

_IN_LOGS = {"RAW_URI": f"/{REMOVED}", "REQUEST_URI": f"/{REMOVED}", "PATH_INFO": f"/{REMOVED}", "QUERY_STRING": REMOVED}


class KeyAuth:
    """A WSGI application that verifies each request to another one, by the rules in the profile of the keys.

    Only allowed requests reach the application, and those to public routes. Everything else is answered as the profile
    says, and with 503 if it is unknown whether the key is valid.

    The application finds the Decision in `environ["keyctl.decision"]`, and the headers of `http.identity` in the
    profile among those of the request. It does not get the headers that hold a key, or a client's own headers of those
    names.

    Args:
        app: The application.
        verifier: Verifies the keys. It is not closed here.
        trusted_proxies: Networks (CIDR) of the peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted;
            `unix` for a peer on a Unix socket.
        asked: What every request that is not to a public route requires, besides what its route requires.

    Raises:
        UsageError: The profile does not have a scope of `asked`, one of `trusted_proxies` is not a network, or keys may
            hold a comma.
        ProfileInvalid: The profile has faults in its rules for HTTP.
    """

    def __init__(
        self,
        app: Callable[[Any, Any], Iterable[bytes]],
        verifier: Verifier,
        *,
        trusted_proxies: Iterable[str] = (),
        asked: Request = Request(),  # noqa: B008 - frozen
    ) -> None:
        self._app = app
        self._guard = Guard(verifier, trusted_proxies, asked)
        _refuse_commas(verifier.formats)

    def __call__(self, environ: _Environ, start_response: _StartResponse) -> Iterable[bytes]:
        """Serve a request, as WSGI has it."""
        try:
            decision = self._verify(environ)
        except NO_ANSWER as error:
            return _answer(self._guard.unavailable(error), environ, start_response)
        if not decision or decision.preflight:
            return _answer(refusal(decision), environ, start_response)

        def start_allowed(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            return start_response(status, merge(headers, decision.response()), *exc_info)

        return self._app(_application_environ(environ, decision), start_allowed)

    def _verify(self, environ: _Environ) -> Decision:
        """Verify a request. Whatever comes of it, the server has no key in its path afterwards."""
        try:
            return self._verify_as_sent(environ)
        finally:
            self._remove_key(environ)

    def _verify_as_sent(self, environ: _Environ) -> Decision:
        guard = self._guard
        return guard.verifier.verify_request(
            environ["REQUEST_METHOD"],
            _target(environ),
            _headers(environ, guard.rules),
            guard.peer(environ.get("REMOTE_ADDR")),
            scheme=environ.get("wsgi.url_scheme", "http"),
            trusted_proxies=guard.trusted_proxies,
            asked=guard.asked,
        )

    def _remove_key(self, environ: _Environ) -> None:
        """Remove a key from the path and the query, in the server's own environ: it writes them to its log."""
        for name, removed in _IN_LOGS.items():
            if self._guard.exposes_key(environ.get(name, "")):
                environ[name] = removed


def _target(environ: _Environ) -> str:
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    sent = path_as_sent(raw or None, (path,), encoding="latin-1")
    return f"{sent}?{query}" if query else sent


def _headers(environ: _Environ, rules: HttpRules) -> list[tuple[str, str]]:
    """Return the headers of a request, one by one.

    Servers join the values of repeated headers by commas. No key or origin has one: a header that may hold a key and
    has a comma was repeated, as far as anyone can know.
    """
    single = {credential.header for credential in rules.credentials} | {"origin"}
    headers = []
    for variable, value in environ.items():
        if variable.startswith("HTTP_"):
            name = variable.removeprefix("HTTP_").replace("_", "-").lower()
            values = value.split(",") if name in single else (value,)
            headers += [(name, one.strip(" \t")) for one in values]
    return headers


def _refuse_commas(formats: Iterable[KeyFormat]) -> None:
    fields = [field for one in formats for field in (one.prefix, one.secret, one.checksum) if field is not None]
    if any("," in field.characters for field in fields):
        raise UsageError("keys that may hold a comma cannot be verified under WSGI, which joins headers by commas")


def _application_environ(environ: _Environ, decision: Decision) -> _Environ:
    rules = platform_rules(decision)
    seen = {variable: value for variable, value in environ.items() if not _withheld(rules, variable, value)}
    seen |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in decision.identity.items()}
    return seen | {"keyctl.decision": decision}


def _withheld(rules: PlatformRules, variable: str, value: object) -> bool:
    if not variable.startswith("HTTP_") or not isinstance(value, str):
        return False
    name = variable.removeprefix("HTTP_")
    return rules.withholds(name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))


def _answer(answer: Answer, environ: _Environ, start_response: _StartResponse) -> Iterable[bytes]:
    headers, body = complete(answer)
    start_response(f"{answer.status} {answer.phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" or not body else [body]
