"""The possible answers of a verification, with their exit codes and HTTP statuses."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Code"]


class Code(StrEnum):
    """The answer of a verification. `keyctl help exit-codes` says what each one means.

    Later versions may add codes, but never rename one.
    """

    VALID = "VALID"
    MISSING_API_KEY = "MISSING_API_KEY"
    INVALID_API_KEY = "INVALID_API_KEY"
    KEY_REVOKED = "KEY_REVOKED"
    KEY_EXPIRED = "KEY_EXPIRED"
    KEY_LOCKED = "KEY_LOCKED"
    OWNER_INACTIVE = "OWNER_INACTIVE"
    FORBIDDEN_SCOPE = "FORBIDDEN_SCOPE"
    FORBIDDEN_IP = "FORBIDDEN_IP"
    FORBIDDEN_ENVIRONMENT = "FORBIDDEN_ENVIRONMENT"
    RATE_LIMITED = "RATE_LIMITED"
    UNTRUSTED_BUNDLE = "UNTRUSTED_BUNDLE"
    INSECURE_TRANSPORT = "INSECURE_TRANSPORT"
    AMBIGUOUS_CREDENTIALS = "AMBIGUOUS_CREDENTIALS"
    FORBIDDEN_OWNER = "FORBIDDEN_OWNER"
    BAD_REQUEST = "BAD_REQUEST"
    NO_ROUTE = "NO_ROUTE"
    FORBIDDEN_ORIGIN = "FORBIDDEN_ORIGIN"

    @property
    def exit_code(self) -> int:
        """The exit code of `keyctl verify`."""
        return _EXIT_AND_STATUS[self][0]

    @property
    def http_status(self) -> int:
        """The HTTP status to answer with, unless the API has its own for this case."""
        return _EXIT_AND_STATUS[self][1]


_EXIT_AND_STATUS = {
    Code.VALID: (0, 200),
    Code.MISSING_API_KEY: (10, 401),
    Code.INVALID_API_KEY: (11, 401),
    Code.KEY_REVOKED: (12, 401),
    Code.KEY_EXPIRED: (13, 401),
    Code.KEY_LOCKED: (14, 403),
    Code.OWNER_INACTIVE: (15, 403),
    Code.FORBIDDEN_SCOPE: (16, 403),
    Code.FORBIDDEN_IP: (17, 403),
    Code.FORBIDDEN_ENVIRONMENT: (18, 403),
    Code.RATE_LIMITED: (19, 429),
    Code.UNTRUSTED_BUNDLE: (20, 503),
    Code.INSECURE_TRANSPORT: (22, 403),
    Code.AMBIGUOUS_CREDENTIALS: (23, 401),
    Code.FORBIDDEN_OWNER: (24, 403),
    Code.BAD_REQUEST: (25, 400),
    Code.NO_ROUTE: (26, 404),
    Code.FORBIDDEN_ORIGIN: (27, 403),
}
