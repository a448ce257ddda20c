"""The `[http]` part of a profile: the headers that hold the key, what each route needs, the responses.

Header names are in lower case for look-ups, and as written in responses. Terms follow RFC 9110 and RFC 3986.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from keyctl.codes import Code
from keyctl.errors import ProfileInvalid
from keyctl.profiles.limits import LIMIT_HEADERS
from keyctl.profiles.model import Profile
from keyctl.profiles.placeholders import PlaceholderError, check_names, fill_json
from keyctl.profiles.reader import Table

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()+,=:@-]+", re.ASCII)
PARAMETER = re.compile(r"\{([a-z_]+)\}", re.ASCII)
_METHOD = re.compile(r"[A-Z]{1,20}|\*", re.ASCII)
REST = "**"
_MOST_HYPHENS = 8  # in the name of an identity header: a gateway drops each spelling with `_` in place of some
_ADMINISTRATION = ("minted", "revoked", "owner_added", "owner_found")


class Credential(NamedTuple):
    """A header that may hold the key, by itself or after a scheme such as `bearer`."""

    header: str
    scheme: str | None = None


class Route(NamedTuple):
    """A method (`*` for any), the path's segments, and what a key needs there. A public route needs no key.

    A route for GET is also one for HEAD (RFC 9110, 9.3.2), unless there is one for HEAD itself.

    A key needs all of the scopes; `read|write` requires one of the two.

    A segment is literal, `{name}` for one segment of any text, or a last `**` for one or more.
    """

    method: str
    segments: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    public: bool = False

    @property
    def rank(self) -> tuple[tuple[int, ...], bool, bool]:
        """Routes are tried in this order: literal before parameter before `**`, then a method before any."""
        return tuple(_kind(segment) for segment in self.segments), self.method == "*", self.method != "HEAD"

    @property
    def shape(self) -> tuple[str, tuple[str, ...]]:
        """Two routes of one shape match the same requests."""
        return self.method, tuple("{}" if _kind(segment) == 1 else segment for segment in self.segments)

    def match(self, method: str, segments: tuple[str, ...], *, ignore_case: bool = False) -> dict[str, str] | None:
        """Return the path's parameters if the route matches, else None. `ignore_case` is for literal segments."""
        own = self.segments
        if self.method not in ("*", method, "GET" if method == "HEAD" else method):
            return None
        if own[-1] == REST and len(segments) >= len(own):
            own, segments = own[:-1], segments[: len(own) - 1]
        if len(own) != len(segments):
            return None
        parameters = {}
        for pattern, segment in zip(own, segments, strict=True):
            named = PARAMETER.fullmatch(pattern)
            if named and segment:
                parameters[named[1]] = segment
            elif pattern != segment and not (ignore_case and pattern.lower() == segment.lower()):
                return None
        return parameters


class Cors(NamedTuple):
    """What pages of other origins may send. `origins_from` is the owners' attribute that lists the origins."""

    methods: tuple[str, ...]
    headers: tuple[str, ...]
    origins_from: str


class Response(NamedTuple):
    """A response whose `${…}` are to be filled in. `body` is None for the default one."""

    status: int
    headers: Mapping[str, str]
    body: str | None


class HttpRules(NamedTuple):
    """How requests are verified and answered. `when_several` is `first` or `refuse`, `unmatched` `refuse` or `key`.

    `headers` are in every response to a request, except those whose placeholders have no value.
    """

    require_https: bool
    credentials: tuple[Credential, ...]
    when_several: str
    unmatched: str
    routes: tuple[Route, ...]
    cors: Cors | None
    identity: Mapping[str, str]
    headers: Mapping[str, str]
    responses: Mapping[str, Response]


def rules_of(profile: Profile) -> HttpRules:
    """Return a profile's rules for HTTP. Raises ProfileInvalid."""
    faults: list[str] = []
    rules = read_http(Table(profile.document, "", faults), profile)
    if faults:
        raise ProfileInvalid(f"profile {profile.name}", faults)
    return rules


def read_http(root: Table, profile: Profile) -> HttpRules:
    """Read `[http]`, and report its faults to `root`."""
    table = root.table("http")
    kinds = profile.owners.kinds.values()
    lists = {name for kind in kinds for name, attribute in kind.attributes.items() if attribute.type == "list"}
    rules = HttpRules(
        require_https=table.boolean("require_https", default=True),
        credentials=tuple(_read_credential(entry) for entry in table.array("credentials"))
        or (Credential("authorization", "bearer"),),
        when_several=table.text("when_several", "refuse", choices=("refuse", "first")),
        unmatched=table.text("unmatched", "refuse" if "routes" in table else "key", choices=("refuse", "key")),
        routes=_read_routes(table, profile.scopes.catalogue),
        cors=_read_cors(table.table("cors"), lists) if "cors" in table else None,
        identity=_read_headers(table.table("identity")),
        headers=_read_headers(table.table("headers")),
        responses=_read_responses(table, {str(code): code.http_status for code in Code}),
    )
    for name in rules.identity:
        if name.count("-") > _MOST_HYPHENS:
            table.fault(("identity", name), f"has more than {_MOST_HYPHENS} hyphens")
    own = {header.lower() for name in profile.limits.headers for header in LIMIT_HEADERS.get(name, ())}
    for path, headers in _all_headers(rules):
        for name in headers:
            if name.lower() in own:
                table.fault((*path, name), "and limits.headers contradict each other")
    table.finish()
    return rules


def _all_headers(rules: HttpRules) -> Iterator[tuple[tuple[str, ...], Mapping[str, str]]]:
    """Yield the headers of the responses, with the path of each table."""
    yield ("headers",), rules.headers
    for code, response in rules.responses.items():
        yield ("responses", code, "headers"), response.headers


def _read_credential(table: Table) -> Credential:
    header, scheme = table.text("header"), table.text("scheme", None)
    _check_header_name(table, "header", header)
    table.finish()
    return Credential(header.lower(), scheme.lower() if scheme else None)


def _read_routes(table: Table, scopes: Mapping[str, object]) -> tuple[Route, ...]:
    routes: dict[tuple[str, tuple[str, ...]], Route] = {}
    for entry in table.array("routes"):
        route = _read_route(entry, scopes)
        if route is None:
            continue
        if route.shape in routes:
            entry.fault("match", f'"{entry.text("match")}" matches the same requests as another route')
        routes[route.shape] = route
    return tuple(sorted(routes.values(), key=lambda route: route.rank))


def _read_route(entry: Table, scopes: Mapping[str, object]) -> Route | None:
    text = entry.text("match")
    method, _, path = text.partition(" ")
    segments = tuple(path.removeprefix("/").split("/"))
    needed = entry.texts("scopes")
    public = entry.boolean("public", default=False)
    entry.finish()
    well_formed = all(_is_segment(one, last=i == len(segments) - 1) for i, one in enumerate(segments))
    if not (_METHOD.fullmatch(method) and path.startswith("/") and well_formed):
        entry.fault("match", f'"{text[:80]}" is not METHOD /path of literal and {{name}} segments and a last **')
        return None
    if public and needed:
        entry.fault("public", "and scopes contradict each other")
    named = [name for segment in segments for name in PARAMETER.findall(segment)]
    parameters = set(named)
    if len(parameters) < len(named):
        entry.fault("match", "has two parameters of the same name")
    for scope in (either for choice in needed for either in choice.split("|")):
        used = set(PARAMETER.findall(scope))
        if used - parameters:
            entry.fault("scopes", f'"{scope}" names a parameter that the path does not have')
        elif not used and scope not in scopes:
            entry.fault("scopes", f'"{scope}" is not a scope of this profile')
    return Route(method, segments, needed, public)


def _read_cors(table: Table, attributes: set[str]) -> Cors:
    cors = Cors(table.texts("methods"), table.texts("headers"), table.text("origins_from"))
    if cors.origins_from and cors.origins_from not in attributes:
        table.fault("origins_from", f'"{cors.origins_from}" is not a list among the attributes of owners')
    for key, names in (("methods", cors.methods), ("headers", cors.headers)):
        for name in names:
            if not _TOKEN.fullmatch(name):
                table.fault(key, f'"{name[:40]}" is not a name that HTTP allows')
    table.finish()
    return cors


def _read_responses(http: Table, statuses: Mapping[str, int]) -> dict[str, Response]:
    responses: dict[str, Response] = {}
    borrowed: list[tuple[Table, str, str]] = []
    for name, entry in http.tables("responses"):
        code = name.partition(".")[0]
        if code not in statuses and name not in _ADMINISTRATION:
            entry.fault("", f"is not one of {', '.join((*statuses, *_ADMINISTRATION))}")
        if "same_as" in entry:
            borrowed.append((entry, name, entry.text("same_as")))
        else:
            responses[name] = Response(
                status=_read_status(entry, statuses.get(code, 200)),
                headers=_read_headers(entry.table("headers")),
                body=_read_body(entry),
            )
        entry.finish()
    for entry, name, other in borrowed:
        if other not in responses:
            entry.fault("same_as", f'"{other}" has no response of its own')
        else:
            responses[name] = responses[other]
    return responses


def _read_status(entry: Table, default: int) -> int:
    return entry.integer("status", default, minimum=200, maximum=599)


def _read_body(entry: Table) -> str | None:
    body = entry.text("body", None)
    if body:
        try:
            check_names(body)
            json.loads(fill_json(body, {}))  # where null is a value, every other value is one too
        except PlaceholderError as error:
            entry.fault("body", str(error))
        except (ValueError, RecursionError):
            entry.fault("body", "is not JSON after it is filled in")
    return body


def _read_headers(table: Table) -> dict[str, str]:
    headers = {name: table.text(name) for name in table.names()}
    for name, value in headers.items():
        _check_header_name(table, name, name)
        if not (value.isascii() and value.isprintable()):
            table.fault(name, "must be printable ASCII")
        try:
            check_names(value)
        except PlaceholderError as error:
            table.fault(name, str(error))
    return headers


def _check_header_name(table: Table, key: str, name: str) -> None:
    if name and not _TOKEN.fullmatch(name):
        table.fault(key, f'"{name[:40]}" is not the name of a header')


def _is_segment(segment: str, *, last: bool) -> bool:
    if PARAMETER.fullmatch(segment):
        return True
    return (last and segment in (REST, "")) or (bool(_LITERAL.fullmatch(segment)) and segment.strip(".") != "")


def _kind(segment: str) -> int:
    return 2 if segment == REST else 1 if PARAMETER.fullmatch(segment) else 0
