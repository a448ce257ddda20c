"""The path of a request as its client sent it, from what a server passes to an application. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote

# What RFC 3986 allows in a path; and `;`, which is refused later, encoded or not
_AS_IT_IS = "/!$&'()*+,;:=@~"


def path_as_sent(raw: str | None, decoded: Sequence[str], *, encoding: str) -> str:
    """Return the path as it was sent; if that is not known, one that the application reads alike.

    A server, or a middleware, may have rewritten the path. What counts is then the path that the application sees,
    since it routes by that one.

    Args:
        raw: The target as sent, with or without a query; None if the server does not pass it on.
        decoded: The paths that the application may read: of the server, and of what is mounted. The first one counts
            if `raw` is none of them.
        encoding: How they were decoded.
    """
    if raw is not None:
        sent = raw.partition("?")[0]
        if unquote(sent, encoding, "replace") in decoded:
            return sent
    return quote(decoded[0], safe=_AS_IT_IS, encoding=encoding, errors="surrogateescape")
