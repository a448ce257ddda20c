"""The errors of keyctl, each with its exit code.

KeyctlError                 1
├── UsageError              2   an argument that cannot be understood
├── NotFound                3   no such key, owner, profile, …
├── Refused                 4   a conflict, a policy, something still in use
├── StoreUnavailable        5   there is no store, or it cannot be reached, read or written
│   ├── StoreBusy           5   another process is writing to it
│   ├── PepperMissing       5   a hash needs a pepper that was not given
│   ├── LibraryMissing      5   a hash needs a library that is not installed
│   └── LimiterUnavailable  5   rate limits cannot be counted
├── VerifierBusy            5   no core was free to hash a key
├── ScanIncomplete          5   some of what was to be scanned could not be read
├── ConfigurationInvalid    6   configuration file or schema
│   └── ProfileInvalid      6   with every fault, each with its path
├── NotAuthorised           7   the admin token is wrong or missing
├── Aborted                 8   answered "no" at a prompt
├── CheckFailed             9   a check found something
├── BundleUntrusted        20   a bundle that cannot be trusted
└── NotDelivered           21   the answer could not be written; a new key is then revoked

A `Verifier` raises StoreUnavailable (StoreBusy, PepperMissing, LibraryMissing,
LimiterUnavailable), VerifierBusy and, when it is made,
BundleUntrusted, ConfigurationInvalid and UsageError. A key that is refused is not an error: it is a `Decision`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = [
    "Aborted",
    "BundleUntrusted",
    "CheckFailed",
    "ConfigurationInvalid",
    "KeyctlError",
    "LibraryMissing",
    "LimiterUnavailable",
    "NotAuthorised",
    "NotDelivered",
    "NotFound",
    "PepperMissing",
    "ProfileInvalid",
    "Refused",
    "ScanIncomplete",
    "StoreBusy",
    "StoreUnavailable",
    "UsageError",
    "VerifierBusy",
]


class KeyctlError(Exception):
    """The base of every error that keyctl expects. No error holds a secret.

    Attributes:
        message: What was wrong, with which value; lowercase, without a full stop.
        hint: What to type next, or None.
        code: The name of the error in `--json`.
        exit_code: The exit code of the command.
    """

    exit_code = 1
    code = "ERROR"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KeyctlError):
    """An argument that cannot be understood."""

    exit_code = 2
    code = "USAGE"


class NotFound(KeyctlError):
    """There is no such key, owner or profile."""

    exit_code = 3
    code = "NOT_FOUND"


class Refused(KeyctlError):
    """A conflict, a policy, or something still in use."""

    exit_code = 4
    code = "REFUSED"


class StoreUnavailable(KeyctlError):
    """There is no store, or it cannot be reached, read or written. Over HTTP: 503."""

    exit_code = 5
    code = "STORE_UNAVAILABLE"


class StoreBusy(StoreUnavailable):
    """Another process was writing to the store for longer than it was waited for. Over HTTP: 503."""

    code = "STORE_BUSY"


class PepperMissing(StoreUnavailable):
    """A hash needs a pepper that was not given, or has none where one is required. Over HTTP: 503."""

    code = "PEPPER_MISSING"


class LibraryMissing(StoreUnavailable):
    """A hash that another program made needs a library that is not installed. Over HTTP: 503."""

    code = "LIBRARY_MISSING"


class LimiterUnavailable(StoreUnavailable):
    """Rate limits cannot be counted: the limiter's server cannot be reached, or did not answer. Over HTTP: 503."""

    code = "LIMITER_UNAVAILABLE"


class ConfigurationInvalid(KeyctlError):
    """The configuration file is invalid, or the store's schema is of another version."""

    exit_code = 6
    code = "CONFIGURATION_INVALID"


class ProfileInvalid(ConfigurationInvalid):
    """A profile with faults.

    Attributes:
        faults: All of them, each beginning with its path in the file.
    """

    code = "PROFILE_INVALID"

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{source} is not a valid profile: {count}{lines}", hint="keyctl profile check FILE")
        self.faults = tuple(faults)


class NotAuthorised(KeyctlError):
    """The admin token is wrong or missing."""

    exit_code = 7
    code = "NOT_AUTHORISED"


class Aborted(KeyctlError):
    """The answer at a prompt was no."""

    exit_code = 8
    code = "ABORTED"


class CheckFailed(KeyctlError):
    """A check found something."""

    exit_code = 9
    code = "CHECK_FAILED"


class NotDelivered(KeyctlError):
    """The answer of a command could not be written; a new key is then revoked."""

    exit_code = 21
    code = "NOT_DELIVERED"


class BundleUntrusted(KeyctlError):
    """A bundle that cannot be trusted: there is no answer about a key. Over HTTP: 503.

    Attributes:
        reason: One word: signature, signer, store, sequence, age, clock or damaged.
    """

    exit_code = 20
    code = "UNTRUSTED_BUNDLE"

    def __init__(self, reason: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class VerifierBusy(KeyctlError):
    """No core was free to hash a key for as long as the verifier waits. Over HTTP: 503."""

    exit_code = 5
    code = "VERIFIER_BUSY"


class ScanIncomplete(KeyctlError):
    """Some of what was to be scanned could not be read: whether a key is in it is not known."""

    exit_code = 5
    code = "SCAN_INCOMPLETE"


def suggestion(word: str, known: Iterable[str], *, otherwise: str | None = None, likeness: float = 0.6) -> str | None:
    """Return a hint that names the known word most like `word`, or `otherwise` if none is like it.

    `likeness` is the least similarity, from 0 to 1.
    """
    near = get_close_matches(word[:100], list(known), n=1, cutoff=likeness)
    if not near:
        return otherwise
    return f'did you mean "{near[0]}"?' + (f" {otherwise}" if otherwise else "")
