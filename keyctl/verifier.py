"""Verification of a presented key: shape, look-up, secret, then the law in `decision`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from keyctl import hashing
from keyctl.decision import Code, Decision, Request, decide
from keyctl.hashing import Argon2id
from keyctl.keyformat import MalformedKey
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import Profile
from keyctl.times import utc_now


class Keyring(Protocol):
    """Where keys are looked up: a store, or the SQLite reader."""

    profile: Profile
    hash_parameters: Argon2id

    def find(self, prefix: str) -> KeyRecord | None:
        """Return the key with this whole prefix, and its owners."""

    def find_owners(self, handle: str) -> tuple[Owner, ...]:
        """Return the owner with this handle and those above it, nearest first; empty if there is none."""


class Verifier:
    """Verifies keys against a keyring. Reads only; what it learns of a secret it forgets at once."""

    def __init__(self, keyring: Keyring, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._keyring = keyring
        self._clock = clock

    def verify(self, text: str, request: Request = Request()) -> Decision:  # noqa: B008 - frozen
        """Decide whether `text` is a key that may do what `request` asks.

        No state is told before the secret is proven, and an unknown prefix costs what a wrong secret costs.
        Raises HashInvalid if the stored hash is damaged.
        """
        if not text:
            return Decision(Code.MISSING_API_KEY, "none given")
        try:
            prefix = self._keyring.profile.key_format.parse(text).prefix
        except MalformedKey as error:
            return Decision(Code.INVALID_API_KEY, error.reason)
        record = self._keyring.find(prefix)
        phc = record.key.phc if record else self._keyring.hash_parameters.decoy()
        proven = hashing.verify(text, phc)
        if record is None:
            return Decision(Code.INVALID_API_KEY, "unknown prefix")
        if not proven:
            return Decision(Code.INVALID_API_KEY, "wrong secret")
        resource_owners = (
            self._keyring.find_owners(request.resource_owner) if request.resource_owner is not None else ()
        )
        return decide(self._keyring.profile, record, request, now=self._clock(), resource_owners=resource_owners)
