"""The headers of responses: of those that are sent in an application's place, and what its own must have. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from keyctl.answer import Answer

Pairs = list[tuple[str, str]]

_OF_A_BODY = frozenset(("content-type", "content-length", "content-encoding", "transfer-encoding"))


def complete(answer: Answer) -> tuple[Pairs, bytes]:
    """Return the headers and the body of a response, with `Content-Length` (RFC 9110, 8.6)."""
    body = (answer.body or "").encode()
    headers = list(answer.headers.items())
    if answer.status >= HTTPStatus.OK and answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        headers.append(("Content-Length", str(len(body))))
    return headers, body


def merge(own: Iterable[tuple[str, str]], answer: Answer) -> Pairs:
    """Return an application's own headers with those of `Decision.response` for an allowed request.

    A header of the answer replaces the application's of that name, except `Vary`, which keeps both.
    """
    added = [(name, value) for name, value in answer.headers.items() if name.lower() not in _OF_A_BODY]
    names = {name.lower() for name, _ in added} - {"vary"}
    return [*((name, value) for name, value in own if name.lower() not in names), *added]
