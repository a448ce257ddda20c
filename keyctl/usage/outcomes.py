"""What is counted of a key: the code of each answer, and wrong secrets, which are no answer about the key."""

from __future__ import annotations

from collections.abc import Mapping

from keyctl.codes import Code

WRONG_SECRET = "WRONG_SECRET"  # noqa: S105 - a name: the prefix exists, and the rest of the text was wrong
ALLOWED = str(Code.VALID)

# What the store keeps: add to them, and never change or reuse one. A test compares them with the codes.
NUMBERS: Mapping[str, int] = {
    ALLOWED: 0,
    WRONG_SECRET: 1,
    "INVALID_API_KEY": 2,
    "KEY_REVOKED": 3,
    "KEY_EXPIRED": 4,
    "KEY_LOCKED": 5,
    "OWNER_INACTIVE": 6,
    "FORBIDDEN_SCOPE": 7,
    "FORBIDDEN_IP": 8,
    "FORBIDDEN_ENVIRONMENT": 9,
    "FORBIDDEN_OWNER": 10,
    "FORBIDDEN_ORIGIN": 11,
    "NO_ROUTE": 12,
    "RATE_LIMITED": 13,
    "MISSING_API_KEY": 14,
    "UNTRUSTED_BUNDLE": 15,
    "INSECURE_TRANSPORT": 16,
    "AMBIGUOUS_CREDENTIALS": 17,
    "BAD_REQUEST": 18,
}
NAMES: Mapping[int, str] = {number: name for name, number in NUMBERS.items()}


def allowed(counts: Mapping[str, int]) -> int:
    """Return how many of these answers allowed the key."""
    return counts.get(ALLOWED, 0)


def refused(counts: Mapping[str, int]) -> int:
    """Return how many refused it; wrong secrets are included."""
    return sum(counts.values()) - allowed(counts)
