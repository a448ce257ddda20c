"""Everything keyctl expects to go wrong, and the exit code of each.

KeyctlError                 1
├── UsageError              2   an argument that cannot be understood
├── NotFound                3   no such key, owner, scope, …
├── Refused                 4   a conflict, a policy, something still in use
├── StoreUnavailable        5   no store there, or it cannot be reached, read or written
│   └── StoreBusy           5   another process holds it
├── ConfigurationInvalid    6   configuration file or schema
│   └── ProfileInvalid      6   with every fault, each with its path
├── NotAuthorised           7   the admin token is wrong or missing
├── Aborted                 8   answered "no" at a prompt
├── VerifierBusy            5   too many hashes wanted at once
├── CheckFailed             9   a check ran, and found something
├── BundleUntrusted        20   a bundle that may not be believed
└── NotDelivered           21   the key could not be written out, and is revoked

A denied key is not an error: it is a `Decision`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class KeyctlError(Exception):
    """A failure an operator can act on: what was wrong, with which value, and what to type next.

    `message` is lowercase without a full stop. Neither part ever holds a secret.
    """

    exit_code = 1
    code = "ERROR"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KeyctlError):
    exit_code = 2
    code = "USAGE"


class NotFound(KeyctlError):
    exit_code = 3
    code = "NOT_FOUND"


class Refused(KeyctlError):
    exit_code = 4
    code = "REFUSED"


class StoreUnavailable(KeyctlError):
    exit_code = 5
    code = "STORE_UNAVAILABLE"


class StoreBusy(StoreUnavailable):
    code = "STORE_BUSY"


class ConfigurationInvalid(KeyctlError):
    exit_code = 6
    code = "CONFIGURATION_INVALID"


class ProfileInvalid(ConfigurationInvalid):
    """A profile with faults. `faults` has all of them, each beginning with its path in the file."""

    code = "PROFILE_INVALID"

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{source} is not a valid profile: {count}{lines}", hint="keyctl profile check FILE")
        self.faults = tuple(faults)


class NotAuthorised(KeyctlError):
    exit_code = 7
    code = "NOT_AUTHORISED"


class Aborted(KeyctlError):
    exit_code = 8
    code = "ABORTED"


class CheckFailed(KeyctlError):
    exit_code = 9
    code = "CHECK_FAILED"


class NotDelivered(KeyctlError):
    exit_code = 21
    code = "NOT_DELIVERED"


class BundleUntrusted(KeyctlError):
    """A bundle that may not be believed: no answer about a key. The exit code is UNTRUSTED_BUNDLE's.

    `reason` is the short form: signature, signer, store, sequence, age, clock or damaged.
    """

    exit_code = 20
    code = "UNTRUSTED_BUNDLE"

    def __init__(self, reason: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class VerifierBusy(KeyctlError):
    """More hashes are wanted than the machine has cores for. Over HTTP: 503."""

    exit_code = 5
    code = "VERIFIER_BUSY"


def suggestion(word: str, known: Iterable[str], *, otherwise: str | None = None, likeness: float = 0.6) -> str | None:
    """Return a hint naming the known word nearest to `word`, or `otherwise` if none is near.

    `likeness` is how near it must be, from 0 to 1.
    """
    near = get_close_matches(word[:100], list(known), n=1, cutoff=likeness)
    if not near:
        return otherwise
    return f'did you mean "{near[0]}"?' + (f" {otherwise}" if otherwise else "")
