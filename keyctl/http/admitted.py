"""What a request may be, other than refused: one with a key, or a browser's preflight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from keyctl.profiles.http import Route


class Admitted(NamedTuple):
    """A request that carries one key. `route` is None where none matches."""

    text: str
    route: Route | None
    scopes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Admitted(route={self.route!r}, scopes={self.scopes!r})"


@dataclass(frozen=True)
class Preflight:
    """A browser's request for whether a page of `origin` may send requests (Fetch, 4.8). It carries no key."""

    origin: str
