"""What a request is answered, and what its application sees, under every framework. `KEY` is a key of an owner."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A request, and its answer: a status and, if it is refused, the code or the whole body."""

    line: str
    headers: list[tuple[str, str]]
    status: int
    code: str | dict[str, str] | None = None


PREFLIGHT = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET")]

CASES = {
    "a key": Case("GET /v1/orders/7", [("X-Api-Key", "KEY")], 200),
    "a key in another case": Case("GET /v1/orders/7", [("x-API-key", "KEY")], 200),
    "a bearer token": Case("GET /v1/orders/7", [("Authorization", "Bearer KEY")], 200),
    "beside another scheme": Case("GET /v1/orders/7", [("X-Api-Key", "KEY"), ("Authorization", "Basic eDp5")], 200),
    "a query": Case("GET /v1/orders/7?q=a%20b&q=%2F", [("X-Api-Key", "KEY")], 200),
    "an encoded path": Case("GET /v1/orders/a%20b", [("X-Api-Key", "KEY")], 200),
    "HEAD": Case("HEAD /v1/orders/7", [("X-Api-Key", "KEY")], 200),
    "a public route": Case("GET /v1/health", [], 200),
    "a public route with a key": Case("GET /v1/health", [("X-Api-Key", "KEY")], 200),
    "no key": Case("GET /v1/orders/7", [], 401, "MISSING_API_KEY"),
    "no key and HEAD": Case("HEAD /v1/orders/7", [], 401),
    "another scheme": Case("GET /v1/orders/7", [("Authorization", "Basic eDp5")], 401, "MISSING_API_KEY"),
    "a wrong key": Case("GET /v1/orders/7", [("X-Api-Key", "KEYx")], 401, "INVALID_API_KEY"),
    "a missing scope": Case("POST /v1/orders/7", [("X-Api-Key", "KEY")], 403, {"lacks": "orders:write"}),
    "twice": Case("GET /v1/orders/7", [("X-Api-Key", "KEY")] * 2, 401, "AMBIGUOUS_CREDENTIALS"),
    "twice, once empty": Case(
        "GET /v1/orders/7", [("X-Api-Key", "KEY"), ("X-Api-Key", "")], 401, "AMBIGUOUS_CREDENTIALS"
    ),
    "two schemes": Case(
        "GET /v1/orders/7",
        [("Authorization", "Basic eDp5"), ("Authorization", "Bearer KEY")],
        401,
        "AMBIGUOUS_CREDENTIALS",
    ),
    "in two headers": Case(
        "GET /v1/orders/7", [("X-Api-Key", "KEY"), ("Authorization", "Bearer KEY")], 401, "AMBIGUOUS_CREDENTIALS"
    ),
    "in the query": Case("GET /v1/orders/7?key=KEY", [("X-Api-Key", "KEY")], 401, "INVALID_API_KEY"),
    "no route": Case("GET /v1/nothing", [("X-Api-Key", "KEY")], 404, "NO_ROUTE"),
    "no route and no key": Case("GET /v1/nothing", [], 401, "MISSING_API_KEY"),
    "a slash too many": Case("GET /v1//orders/7", [("X-Api-Key", "KEY")], 400, "BAD_REQUEST"),
    "dot segments": Case("GET /v1/health/../orders/7", [], 400, "BAD_REQUEST"),
    "encoded dots": Case("GET /v1/health/%2e%2e/orders/7", [], 400, "BAD_REQUEST"),
    "an encoded slash": Case("GET /v1/orders%2F7", [("X-Api-Key", "KEY")], 400, "BAD_REQUEST"),
    "an encoded letter": Case("GET /v1/%6frders/7", [("X-Api-Key", "KEY")], 400, "BAD_REQUEST"),
    "a parameter": Case("GET /v1/health;a=b", [], 400, "BAD_REQUEST"),
    "an encoded percent sign": Case("GET /v1/orders/%2525", [("X-Api-Key", "KEY")], 400, "BAD_REQUEST"),
    "another case": Case("GET /V1/HEALTH", [], 400, "BAD_REQUEST"),
    "plain HTTP by a proxy": Case("GET /v1/health", [("X-Forwarded-Proto", "http")], 200),
    "a preflight": Case("OPTIONS /v1/orders/7", PREFLIGHT, 204),
    "a preflight of no one": Case(
        "OPTIONS /v1/orders/7", [("Origin", "https://evil.example"), PREFLIGHT[1]], 403, "FORBIDDEN_ORIGIN"
    ),
    "a preflight of two": Case("OPTIONS /v1/orders/7", [*PREFLIGHT, PREFLIGHT[0]], 400, "BAD_REQUEST"),
}

# What a client sends to be taken for another one. A server reads most of these as X-Owner-Name and X-Key-Prefix.
MARKS = "-_.!#$%&'*+^`|~"
SPOOFED = [
    *(f"X{mark}Owner{mark}Name" for mark in MARKS),
    *(f"X-Owner{mark}Name" for mark in MARKS),
    *(f"x{mark}KEY-prefix" for mark in MARKS),
    "X-OWNER-NAME",
    "x-owner-name",
]
KEY_SPELLINGS = ["X_Api_Key", "X.Api-Key", "x~API~key"]
