"""Whether a text is a key of a keyring: its form, its prefix, and its secret against the stored hash."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from keyctl import hashing
from keyctl.codes import Code
from keyctl.decision import Decision, Platform, scopes_in_force
from keyctl.errors import VerifierBusy
from keyctl.keyformat import MalformedKey, possible_prefixes
from keyctl.models import Key, KeyRecord
from keyctl.turns import Turns
from keyctl.verification.freshness import Freshness
from keyctl.verification.keyring import Keyring

if TYPE_CHECKING:
    from keyctl.pepper import Peppers


class Verified(NamedTuple):
    """A key whose secret was verified: against which hash, what was last looked up of it, and when. No secret."""

    prefix: str
    phc: str
    record: KeyRecord
    in_force: frozenset[str]
    looked_up: float
    generation: int


class SecretCheck:
    """Checks secrets, and remembers which keys were verified. Only hashes of those are kept.

    Args:
        keyring: Where keys are looked up.
        freshness: How long what was looked up may be used.
        peppers: The peppers of the keys.
        timer: Returns seconds from a monotonic clock.
        cache_size: How many verified keys are remembered, and for how many prefixes wrong secrets are counted.
        max_wait: Seconds that a call waits for a free core to hash on, before it raises VerifierBusy.
        on_wrong_secret: Called with the id of a key for which a wrong secret was presented.
    """

    def __init__(
        self,
        keyring: Keyring,
        freshness: Freshness,
        *,
        peppers: Peppers | None,
        timer: Callable[[], float],
        cache_size: int,
        max_wait: float,
        on_wrong_secret: Callable[[str], None] | None = None,
    ) -> None:
        self._keyring = keyring
        self._freshness = freshness
        self._peppers = peppers
        self._timer = timer
        self._cache_size = cache_size
        self._max_wait = max_wait
        self._on_wrong_secret = on_wrong_secret
        # Under a key of this process: what a memory dump holds cannot be compared with keys elsewhere.
        self._cache_key = os.urandom(32)
        self._verified: dict[bytes, Verified] = {}
        self._wrong_secrets: Counter[str] = Counter()
        self.renew()

    def check(self, key: str, platform: Platform, deadline: float) -> Verified | Decision:
        """Return the key, from what is remembered or from the keyring; a Decision if it is not a valid key."""
        return self._recall(key, deadline) or self._look_up(key, platform, deadline)

    def remembered(self, key: str) -> Verified | None:
        """Return a key that was verified before, as it was last looked up, however long ago; None if it was not."""
        return self._verified.get(self._digest(key))

    def is_current(self, verified: Verified) -> bool:
        """Whether what was looked up of the key may still be used."""
        return self._freshness.is_current(verified.generation, verified.looked_up)

    def wrong_secrets(self) -> dict[str, int]:
        """Return how often a wrong secret was presented, by prefix."""
        with self._lock:
            return dict(self._wrong_secrets)

    def renew(self) -> None:
        """Make new locks, as the child of a fork must: a thread that is not there may hold one."""
        self._lock = threading.Lock()
        self._cores = Turns(os.cpu_count() or 1)

    def _recall(self, key: str, deadline: float) -> Verified | None:
        """Return what is known of a key that was verified before, looked up again if that was too long ago."""
        verified = self._verified.get(digest := self._digest(key))
        if verified is None or self.is_current(verified):
            return verified
        generation, looked_up = self._freshness.generation, self._timer()
        record = self._keyring.find(verified.prefix, deadline=deadline)
        if record is None or record.key.phc != verified.phc:
            self._verified.pop(digest, None)
            return None
        return self._remember(digest, record, generation, looked_up)

    def _look_up(self, key: str, platform: Platform, deadline: float) -> Verified | Decision:
        def refuse(code: Code, reason: str) -> Decision:
            return Decision(code, reason, platform=platform)

        if not key:
            return refuse(Code.MISSING_API_KEY, "none given")
        try:
            prefixes = possible_prefixes(self._keyring.formats, key)
        except MalformedKey as error:
            return refuse(Code.INVALID_API_KEY, error.reason)
        # Taken before the look-up: what is revoked meanwhile must not be used for longer than promised.
        generation, looked_up = self._freshness.generation, self._timer()
        looked = (self._keyring.find(prefix, deadline=deadline) for prefix in prefixes)
        record = next(filter(None, looked), None)
        fits = self._hash(key, record.key.phc if record else None)
        if record is None:
            return refuse(Code.INVALID_API_KEY, "unknown prefix")
        if not fits:
            self._count_wrong_secret(record.key)
            return refuse(Code.INVALID_API_KEY, "wrong secret")
        return self._remember(self._digest(key), record, generation, looked_up)

    def _hash(self, key: str, phc: str | None) -> bool:
        if not self._cores.acquire(timeout=self._max_wait):
            raise VerifierBusy(
                f"no core was free to check a key for {self._max_wait:g} s", hint="answer 503, try again"
            )
        try:
            own, foreign = self._keyring.hash_parameters, self._keyring.foreign_hashes
            return hashing.verify_evenly(key, phc, own=own, foreign=foreign, peppers=self._peppers)
        finally:
            self._cores.release()

    def _remember(self, digest: bytes, record: KeyRecord, generation: int, looked_up: float) -> Verified:
        in_force = frozenset(scopes_in_force(self._keyring.profile, record.key.scopes, record.owner))
        verified = Verified(record.key.prefix, record.key.phc, record, in_force, looked_up, generation)
        with self._lock:
            self._verified.pop(digest, None)
            while self._verified and len(self._verified) >= self._cache_size:
                del self._verified[next(iter(self._verified))]
            if self._cache_size > 0:
                self._verified[digest] = verified
        return verified

    def _count_wrong_secret(self, key: Key) -> None:
        with self._lock:
            if key.prefix in self._wrong_secrets or len(self._wrong_secrets) < self._cache_size:
                self._wrong_secrets[key.prefix] += 1
        if self._on_wrong_secret is not None:
            self._on_wrong_secret(key.id)

    def _digest(self, key: str) -> bytes:
        return blake2b(key.encode("utf-8", "surrogatepass"), key=self._cache_key, digest_size=32).digest()
