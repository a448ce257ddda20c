"""An HTTP response as a value."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

__all__ = ["Answer"]

# The phrases of RFC 9110 on every Python: before 3.13 its HTTPStatus has older ones for these four.
_PHRASES = {int(status): status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


class Answer(NamedTuple):
    """An HTTP response as it is sent. `body` is None if there is none."""

    status: int
    headers: Mapping[str, str]
    body: str | None

    @property
    def phrase(self) -> str:
        """The phrase of the status, such as `Not Found`; empty if it has none."""
        return _PHRASES.get(self.status, "")

    def __str__(self) -> str:
        """Return the response as it is sent (RFC 9112), without what the server itself adds."""
        status_line = f"HTTP/1.1 {self.status} {self.phrase}".rstrip()
        return "\r\n".join([status_line, *map(": ".join, self.headers.items()), "", self.body or ""])
