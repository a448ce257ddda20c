"""Finds the route of a path: what `Route.match` of each route in turn finds, with one regular expression."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keyctl.profiles.http import PARAMETER, REST, Route

_PLAIN_METHODS = {"GET", "HEAD"}  # a route for GET may be one for HEAD


class _Entry(NamedTuple):
    """A route, the names of its parameters, and whether its scopes depend on them."""

    route: Route
    names: tuple[str, ...]
    depends: bool


class RouteTable:
    """The routes of a profile, in their order. `ignore_case` is for methods and literal segments."""

    def __init__(self, routes: Sequence[Route], *, ignore_case: bool = False) -> None:
        self._routes = routes
        self._flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        methods = {route.method for route in routes} | _PLAIN_METHODS
        self._by_method = {method: self._compile(method) for method in methods}
        self._others = self._compile("")

    def find(self, method: str, path: str) -> tuple[Route | None, tuple[str, ...]]:
        """Return the route of a path, and the scopes that a key needs there; None where none matches."""
        pattern, entries = self._by_method.get(method, self._others)
        found = pattern.fullmatch(path)
        if found is None or found.lastindex is None:
            return None, ()
        # The last group that was closed is the one around the whole route; those of its parameters come after it.
        route, names, depends = entries[found.lastindex]
        if not depends:
            return route, route.scopes
        parameters = {name: found[number] for number, name in enumerate(names, start=found.lastindex + 1)}
        return route, tuple(_fill(scope, parameters) for scope in route.scopes)

    def _compile(self, method: str) -> tuple[re.Pattern[str], Mapping[int, _Entry]]:
        """Return the expression of the routes for a method, and which route each of its groups is."""
        alternatives, entries, group = [], {}, 1
        for route in self._routes:
            if route.match(method, tuple("x" if _is_open(one) else one for one in route.segments)) is None:
                continue
            names = tuple(name for one in route.segments for name in PARAMETER.findall(one))
            entries[group] = _Entry(route, names, any("{" in scope for scope in route.scopes))
            group += 1 + len(names)
            alternatives.append("".join(f"/{_expression(one)}" for one in route.segments))
        return re.compile("|".join(f"({one})" for one in alternatives) or r"(?!)", self._flags), entries


def _is_open(segment: str) -> bool:
    return segment == REST or PARAMETER.fullmatch(segment) is not None


def _expression(segment: str) -> str:
    if segment == REST:
        return ".*"
    return "([^/]+)" if PARAMETER.fullmatch(segment) else re.escape(segment)


def _fill(scope: str, parameters: Mapping[str, str]) -> str:
    """Fill in a path's parameters. Braces in their values are not filled in again."""
    return PARAMETER.sub(lambda match: parameters[match[1]], scope)
