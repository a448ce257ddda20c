"""What the method and the path of a request decide by themselves: the route, and what a key needs there. Pure.

A `Place` depends on nothing else, so the one of a path that was asked for before is used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from keyctl.exposed_keys import exposed_pattern
from keyctl.http.request import PathRefused, check_path
from keyctl.http.route_table import RouteTable
from keyctl.keyformat import KeyFormat
from keyctl.profiles.http import HttpRules, Route

_MOST = 1024  # places that are remembered: callers choose the paths
_LONGEST = 256  # characters of a method and a path that are remembered


class Place(NamedTuple):
    """What a method and a path ask for. `route` is None where none matches.

    `refused` says why the path is refused, and `ambiguous` is whether a server that ignores case, or a slash at the
    end, would take it for another route. `holds_key` is whether there is a key in the path.
    """

    refused: str | None = None
    route: Route | None = None
    scopes: tuple[str, ...] = ()
    ambiguous: bool = False
    holds_key: bool = False


class Places:
    """Finds places by the rules of a profile, and remembers them, as long as they and their number are small.

    Paths that are refused or hold a key are not remembered.

    Attributes:
        formats: The formats of the keys to look for in paths.
    """

    def __init__(self, rules: HttpRules, formats: Sequence[KeyFormat]) -> None:
        self.formats = formats
        self._known: dict[tuple[str, str], Place] = {}
        self._routes = RouteTable(rules.routes)
        self._lenient_routes = RouteTable(rules.routes, ignore_case=True)

    def find(self, method: str, path: str) -> Place:
        """Return what a method and a path, both as sent, ask for."""
        place = self._known.get((method, path))
        if place is None:
            place = self._read(method, path)
            if not (place.holds_key or place.refused) and len(method) + len(path) <= _LONGEST:
                if len(self._known) >= _MOST:
                    self._known = {}  # begins again, without a lock: none is needed to look one up
                self._known[method, path] = place
        return place

    def _read(self, method: str, path: str) -> Place:
        try:
            check_path(path)
        except PathRefused as error:
            return Place(refused=str(error))
        route, scopes = self._routes.find(method, path)
        # On a server that ignores case in methods and paths, and a slash at the end.
        shorter = path[:-1] if path.endswith("/") and path != "/" else path
        other, other_scopes = self._lenient_routes.find(method.upper(), shorter)
        ambiguous = (_is_public(route), scopes) != (_is_public(other), other_scopes)
        return Place(None, route, scopes, ambiguous, holds_key(self.formats, path))


def _is_public(route: Route | None) -> bool:
    return route is not None and route.public


def holds_key(formats: Sequence[KeyFormat], text: str) -> bool:
    """Return whether there is a key in a path or a query, as it is or percent-encoded."""
    decoded = unquote(text) if "%" in text else text
    for key_format in formats:  # noqa: SIM110 - every new path comes here, and every query
        if exposed_pattern(key_format).search(decoded):
            return True
    return False
