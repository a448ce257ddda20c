"""Verify API keys in an application.

`Verifier` verifies, and `Decision` is its answer: `code` is one of `keyctl.codes.Code`, `record` holds a `Key` and an
`Owner` of `keyctl.models`. What a verifier raises is in `keyctl.errors`. Make one verifier when the application starts,
and share it between its threads:

>>> from keyctl.verifier import Verifier
>>> verifier = Verifier.from_store("./keys.db")
>>> decision = verifier.verify(key, scopes=["read"], ip="192.0.2.7")
>>> if decision:
...     print("welcome,", decision.record.key.environment)
welcome, live
>>> decision = verifier.verify(key + "x")
>>> decision.code, decision.reason, decision.code.http_status
(<Code.INVALID_API_KEY: 'INVALID_API_KEY'>, 'malformed', 401)
>>> verifier.close()
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import WeakSet

from keyctl import hashing
from keyctl.codes import Code
from keyctl.decision import Decision, Request, decide, scopes_in_force
from keyctl.errors import BundleUntrusted, StoreBusy, StoreUnavailable, VerifierBusy
from keyctl.hashing import Scheme
from keyctl.keyformat import KeyFormat, MalformedKey, possible_prefixes
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import Profile
from keyctl.store.location import StoreLocation
from keyctl.times import utc_now
from keyctl.turns import Turns

if TYPE_CHECKING:
    from typing import TypedDict, Unpack

    from keyctl.pepper import Peppers
    from keyctl.profiles.http import HttpRules

    class _Options(TypedDict, total=False):
        clock: Callable[[], datetime]
        timer: Callable[[], float]
        cache_size: int
        max_wait: float


__all__ = ["Decision", "Request", "Verifier"]


class Keyring(Protocol):
    """Where keys are looked up: a store, the SQLite reader, or a bundle.

    A look-up that must wait raises StoreUnavailable at its `deadline`, in seconds of `time.monotonic`; None is as long
    as the keyring waits.
    """

    @property
    def profile(self) -> Profile: ...

    @property
    def formats(self) -> tuple[KeyFormat, ...]:
        """The profile's format, and those used before it."""

    @property
    def hash_parameters(self) -> Scheme: ...

    def find(self, prefix: str, *, deadline: float | None = None) -> KeyRecord | None:
        """Return the key with this whole prefix and its owners; None if there is none."""

    def find_owners(self, handle: str, *, deadline: float | None = None) -> tuple[Owner, ...]:
        """Return the owner with this handle and those above it, nearest first; empty if there is none."""

    def owners_mentioning(self, text: str, *, deadline: float | None = None) -> list[tuple[Owner, ...]]:
        """Return the owners that have `text` in a list attribute, each with those above it."""

    def check(self, now: datetime) -> None:
        """Raise BundleUntrusted if this is a bundle, and too old by now."""

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:
        """Read a changed profile or a replaced file; return whether there was one."""

    def close(self) -> None: ...


class _Proven(NamedTuple):
    """A key whose secret was verified: against which hash, what was last looked up of it, and when. No secret."""

    prefix: str
    phc: str
    record: KeyRecord
    in_force: frozenset[str]
    looked_up: float
    generation: int


class Verifier:
    """Verifies keys against a store or a bundle. Safe to share between threads; it only reads.

    Make one with `from_store` or `from_bundle`, and close it when it is no longer used.

    A key whose secret was verified is not hashed again while its stored hash stays the same; its status is checked on
    every call. What was looked up is used again for the profile's `verification.refresh_seconds`, so a revocation, a
    lock, a disabled owner or a new expiry takes effect within that time, and at once after `invalidate`.

    Args:
        keyring: Where keys are looked up. Private: `from_store` and `from_bundle` choose it.
        clock: Returns the current time, with a time zone. For tests.
        timer: Returns seconds from a monotonic clock. For tests.
        cache_size: How many verified keys are remembered, and for how many prefixes wrong secrets are counted. 0
            remembers none.
        max_wait: Seconds that a call waits for a free core to hash on, before it raises VerifierBusy.
        wait: Seconds that a call waits for the keyring. Private: an argument of `from_store`.
        opened: When the keyring was opened, in seconds of `timer`; None is now. Private.
        peppers: The peppers of the keys. Private: `pepper_file` of `from_store` and `from_bundle`.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
        cache_size: int = 10_000,
        max_wait: float = 2.0,
        wait: float = 5.0,
        opened: float | None = None,
        peppers: Peppers | None = None,
    ) -> None:
        self._keyring = keyring
        self._peppers = peppers
        self._clock = clock
        self._timer = timer
        self._cache_size = cache_size
        self._max_wait = max_wait
        self._wait = wait
        # Under a key of this process: what a memory dump holds cannot be compared with keys elsewhere.
        self._cache_key = os.urandom(32)
        self._proven: dict[bytes, _Proven] = {}
        self._rules: tuple[Profile, HttpRules] | None = None
        self._wrong_secrets: Counter[str] = Counter()
        self._generation = 0
        self._make_locks()
        self._refreshed = timer() if opened is None else opened
        self._refreshed_in = 0  # which generation
        self._failed: tuple[float, StoreUnavailable] | None = None  # the last refresh that failed, and when
        _verifiers.add(self)

    @classmethod
    def from_store(
        cls, url: str, *, wait: float = 5.0, pepper_file: str | Path | None = None, **options: Unpack[_Options]
    ) -> Verifier:
        """Return a verifier that looks keys up in a store. A file that was replaced is opened again.

        Args:
            url: The path or URL of a SQLite file (`./keys.db`, `sqlite:///keys.db`), or `postgresql://…`.
            wait: Seconds that a call waits for a store that another process is writing to, or a server that does not
                answer. Computing a hash is not part of it.
            pepper_file: The file with the peppers of the keys. It is read again when a key has a pepper that was not
                in it. Required where keys have a pepper; the environment is not read.
            options: `clock`, `timer`, `cache_size` and `max_wait` of the class.

        Returns:
            An open verifier: close it.

        Raises:
            StoreUnavailable: There is no store there, or it cannot be read.
            ConfigurationInvalid: The store's schema is of another version of keyctl, or the pepper file cannot be used.
            UsageError: `url` has an unknown scheme.
        """
        location, peppers = StoreLocation.parse(url), _read_peppers(pepper_file)
        opened = options.get("timer", time.monotonic)()
        if location.file is not None:
            from keyctl.store.sqlite_reader import SqliteReader  # noqa: PLC0415 - each keyring loads its own library

            reader = SqliteReader(location.file, wait=wait)
            return cls(reader, wait=wait, opened=opened, peppers=peppers, **options)
        from keyctl.store.database import Store  # noqa: PLC0415 - SQLAlchemy, only for PostgreSQL

        return cls(Store(location, wait=wait), wait=wait, opened=opened, peppers=peppers, **options)

    @classmethod
    def from_bundle(
        cls,
        path: str | Path,
        trust: Iterable[str],
        *,
        max_age: timedelta | None = None,
        pepper_file: str | Path | None = None,
        **options: Unpack[_Options],
    ) -> Verifier:
        """Return a verifier that looks keys up in a bundle. A file that was replaced is read again.

        A replacement that cannot be trusted is logged to `keyctl.bundle`, and the bundle in use stays in use until it
        is too old. From then on each Decision is UNTRUSTED_BUNDLE.

        Args:
            path: The bundle.
            trust: Public keys of trusted signers: `PUBLIC-KEY`, or `STORE-ID:PUBLIC-KEY` for one store alone.
            max_age: The greatest age of the bundle; None is what its signer allows.
            pepper_file: As in `from_store`.
            options: `clock`, `timer`, `cache_size` and `max_wait` of the class.

        Returns:
            An open verifier: close it.

        Raises:
            BundleUntrusted: The bundle cannot be read or trusted, or is too old.
            ConfigurationInvalid: The pepper file cannot be used.
            UsageError: An entry of `trust` is not a public key.
        """
        from keyctl.bundles.reload import FollowedBundle  # noqa: PLC0415 - needs cryptography
        from keyctl.bundles.signing import parse_trust  # noqa: PLC0415

        clock = options.get("clock", utc_now)
        opened, peppers = options.get("timer", time.monotonic)(), _read_peppers(pepper_file)
        bundle = FollowedBundle(Path(path), trust=map(parse_trust, trust), max_age=max_age, clock=clock)
        return cls(bundle, opened=opened, peppers=peppers, **options)

    def verify(
        self,
        key: str,
        scopes: Iterable[str] = (),
        env: str | None = None,
        ip: str | None = None,
        resource_owner: str | None = None,
    ) -> Decision:
        """Verify a key, and what it may be used for. What is None or empty is not checked.

        The status of a key is disclosed only after its secret was verified. An unknown prefix costs one hash, with the
        parameters that the store has for new keys.

        Args:
            key: The key as presented.
            scopes: Scopes that must all be in force; `read|write` requires one of the two.
            env: The environment that the key must be for.
            ip: The caller's address. A key with allowed networks is refused without one.
            resource_owner: The handle of the owner of the requested resource, which the key's owner must reach.

        Returns:
            A Decision, which is falsy unless the key is allowed.

        Raises:
            StoreUnavailable: The store cannot be read, or a stored hash is damaged. Answer 503, not 401.
            PepperMissing: The key's hash needs a pepper that was not given. A StoreUnavailable: 503, not 401.
            VerifierBusy: No core was free for `max_wait` seconds. Answer 503, not 401.
        """
        return self.judge(key, Request(tuple(scopes), env, ip, resource_owner))

    def judge(self, key: str, request: Request) -> Decision:
        """Verify a key for a Request: `verify`, with its arguments in one value.

        Args:
            key: The key as presented.
            request: What the key must permit.

        Returns:
            A Decision, which is falsy unless the key is allowed.

        Raises:
            StoreUnavailable: The store cannot be read, or a stored hash is damaged. Answer 503, not 401.
            PepperMissing: The key's hash needs a pepper that was not given. A StoreUnavailable: 503, not 401.
            VerifierBusy: No core was free for `max_wait` seconds. Answer 503, not 401.
        """
        return self._judge(key, request, time.monotonic() + self._wait)

    def _judge(self, key: str, request: Request, deadline: float) -> Decision:
        now = self._clock()
        try:
            self._refresh(now, deadline)
            proven = self._recall(key, deadline) or self._prove(key, deadline)
            if isinstance(proven, Decision):
                return proven
            handle = request.resource_owner
            owners = self._keyring.find_owners(handle, deadline=deadline) if handle is not None else ()
        except BundleUntrusted as error:
            return Decision(Code.UNTRUSTED_BUNDLE, error.reason)
        profile = self._keyring.profile
        return decide(profile, proven.record, request, now=now, resource_owners=owners, in_force=proven.in_force)

    def invalidate(self) -> None:
        """Look up every key and the profile again from now on, in a replaced file if there is one.

        Secrets that were verified are not hashed again, as long as the stored hash is the same.
        """
        with self._lock:
            self._generation += 1

    def wrong_secrets(self) -> dict[str, int]:
        """Return how often a wrong secret was presented, by prefix. Only prefixes that exist are counted.

        Returns:
            The number of attempts for each prefix; at most `cache_size` prefixes.
        """
        with self._lock:
            return dict(self._wrong_secrets)

    def close(self) -> None:
        """Close the store or the bundle. The verifier cannot be used afterwards."""
        self._keyring.close()

    # ── fork ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._cores = Turns(os.cpu_count() or 1)
        self._refreshing = threading.Lock()

    def _renew(self) -> None:
        """In a child of fork, make new locks, and look everything up again.

        A thread that is not there may hold a lock, or have read a new profile and not yet dropped what it concerns.
        """
        self._make_locks()
        self._generation += 1

    # ── verified before, or now ────────────────────────────────────────────────────────────────────────────────────

    def _recall(self, key: str, deadline: float) -> _Proven | None:
        """Return what is known of a key that was verified before, looked up again if that was too long ago."""
        proven = self._proven.get(digest := self._digest(key))
        if proven is None:
            return None
        generation, looked_up = self._generation, self._timer()
        if proven.generation == generation and looked_up - proven.looked_up < self._keyring.profile.refresh_seconds:
            return proven
        record = self._keyring.find(proven.prefix, deadline=deadline)
        if record is None or record.key.phc != proven.phc:
            self._proven.pop(digest, None)
            return None
        return self._remember(digest, record, generation, looked_up)

    def _prove(self, key: str, deadline: float) -> _Proven | Decision:
        if not key:
            return Decision(Code.MISSING_API_KEY, "none given")
        try:
            prefixes = possible_prefixes(self._keyring.formats, key)
        except MalformedKey as error:
            return Decision(Code.INVALID_API_KEY, error.reason)
        # Taken before the look-up: what is revoked meanwhile must not be used for longer than promised.
        generation, looked_up = self._generation, self._timer()
        looked = (self._keyring.find(prefix, deadline=deadline) for prefix in prefixes)
        record = next(filter(None, looked), None)
        phc = record.key.phc if record else self._keyring.hash_parameters.decoy()
        fits = self._hash(key, phc)
        if record is None:
            return Decision(Code.INVALID_API_KEY, "unknown prefix")
        if not fits:
            self._count_wrong_secret(record.key.prefix)
            return Decision(Code.INVALID_API_KEY, "wrong secret")
        return self._remember(self._digest(key), record, generation, looked_up)

    def _hash(self, key: str, phc: str) -> bool:
        if not self._cores.acquire(timeout=self._max_wait):
            raise VerifierBusy(
                f"no core was free to check a key for {self._max_wait:g} s", hint="answer 503, try again"
            )
        try:
            return hashing.verify(key, phc, own=self._keyring.hash_parameters, peppers=self._peppers)
        finally:
            self._cores.release()

    def _remember(self, digest: bytes, record: KeyRecord, generation: int, looked_up: float) -> _Proven:
        in_force = frozenset(scopes_in_force(self._keyring.profile, record.key.scopes, record.owner))
        proven = _Proven(record.key.prefix, record.key.phc, record, in_force, looked_up, generation)
        with self._lock:
            self._proven.pop(digest, None)
            while self._proven and len(self._proven) >= self._cache_size:
                del self._proven[next(iter(self._proven))]
            if self._cache_size > 0:
                self._proven[digest] = proven
        return proven

    def _count_wrong_secret(self, prefix: str) -> None:
        with self._lock:
            if prefix in self._wrong_secrets or len(self._wrong_secrets) < self._cache_size:
                self._wrong_secrets[prefix] += 1

    def _refresh(self, now: datetime, deadline: float) -> None:
        """Read a profile that was changed, or a file that was replaced; look everything up again if so.

        Raises BundleUntrusted if the bundle then in use is too old.
        """
        asked = self._timer()
        if self._is_due(asked):
            # Other threads that are due wait here, so that none uses what was looked up before the change.
            with self._turn(deadline):
                if self._is_due(asked):
                    self._refresh_keyring(now, asked, deadline)
        self._keyring.check(now)

    def _refresh_keyring(self, now: datetime, asked: float, deadline: float) -> None:
        if self._failed and self._failed[0] > asked:  # while this call was waiting for its turn
            error = self._failed[1]
            raise type(error)(error.message, hint=error.hint) from error
        generation, timer = self._generation, self._timer()
        try:
            changed = self._keyring.refresh(now, deadline=deadline)
        except StoreUnavailable as error:
            self._failed = self._timer(), error
            raise
        if changed:
            self.invalidate()
        self._refreshed, self._refreshed_in = timer, generation

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        """Be the only thread that refreshes. Raises StoreBusy at the deadline."""
        if not self._refreshing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise StoreBusy(f"the store did not answer within {self._wait:g} s", hint="answer 503, try again")
        try:
            yield
        finally:
            self._refreshing.release()

    def _is_due(self, asked: float) -> bool:
        late = asked - self._refreshed >= self._keyring.profile.refresh_seconds
        return late or self._generation != self._refreshed_in

    def _digest(self, key: str) -> bytes:
        return blake2b(key.encode("utf-8", "surrogatepass"), key=self._cache_key, digest_size=32).digest()

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def verify_request(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        ip: str | None = None,
        *,
        scheme: str = "https",
        trusted_proxies: tuple[str, ...] = (),
        asked: Request = Request(),  # noqa: B008 - frozen
    ) -> Decision:
        """Verify an HTTP request by the profile's rules for headers and routes.

        No identity is taken from the request, only the key.

        Args:
            method: The method as sent.
            path: The target as sent, query included.
            headers: Names and values, in their order and with repetitions.
            ip: The address of the peer, which opened the connection.
            scheme: `https`, or `http` if the request did not come over HTTPS.
            trusted_proxies: Networks (CIDR) of the peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.
            asked: What is required besides what the route requires. Its `ip` is not used.

        Returns:
            A Decision. It is VALID without a `record` where the profile makes the route public.

        Raises:
            StoreUnavailable: The store cannot be read, or a stored hash is damaged. Answer 503, not 401.
            PepperMissing: The key's hash needs a pepper that was not given. A StoreUnavailable: 503, not 401.
            VerifierBusy: No core was free for `max_wait` seconds. Answer 503, not 401.
            ProfileInvalid: The store's profile has faults in its rules for HTTP.
        """
        from keyctl.http import admission  # noqa: PLC0415 - a key at the shell comes without a request
        from keyctl.http.request import HttpRequest  # noqa: PLC0415

        deadline = time.monotonic() + self._wait
        try:
            self._refresh(self._clock(), deadline)
        except BundleUntrusted as error:
            return Decision(Code.UNTRUSTED_BUNDLE, error.reason)
        rules = self._http_rules()
        request = HttpRequest(method, path, tuple((name.lower(), value) for name, value in headers))
        connection = admission.Connection(scheme, ip, trusted_proxies)
        admitted = admission.admit(rules, request, connection, self._keyring.formats)
        if isinstance(admitted, admission.Preflight):
            return self._answer_preflight(rules, admitted.origin, deadline)
        origin = next(iter(request.values("origin")), None)
        if isinstance(admitted, Decision):
            return replace(admitted, origin=origin)
        address = admission.client_address(request, connection)
        required = replace(asked, scopes=(*admitted.scopes, *asked.scopes), ip=address)
        decision = self._judge(admitted.text, required, deadline)
        if decision and admitted.route is None and rules.unmatched == "refuse":
            decision = Decision(Code.NO_ROUTE, "no route matches", decision.record)
        return replace(decision, origin=origin)

    def _answer_preflight(self, rules: HttpRules, origin: str, deadline: float) -> Decision:
        """A preflight carries no key: it is allowed if any active owner lists the origin."""
        from keyctl.http.responses import lists_origin  # noqa: PLC0415

        try:
            chains = self._keyring.owners_mentioning(origin, deadline=deadline)
        except BundleUntrusted as error:
            return Decision(Code.UNTRUSTED_BUNDLE, error.reason, origin=origin, preflight=True)
        active = [chain[0] for chain in chains if all(owner.active for owner in chain)]
        allowed = rules.cors is not None and lists_origin(active, rules.cors, origin)
        code = Code.VALID if allowed else Code.FORBIDDEN_ORIGIN
        reason = "preflight" if allowed else "no active owner lists the origin"
        return Decision(code, reason, origin=origin, preflight=True)

    def _http_rules(self) -> HttpRules:
        """Return the profile's rules for HTTP, read again only if the profile was replaced."""
        from keyctl.profiles.http import rules_of  # noqa: PLC0415

        profile = self._keyring.profile
        if self._rules is None or self._rules[0] is not profile:
            self._rules = profile, rules_of(profile)
        return self._rules[1]


def _read_peppers(path: str | Path | None) -> Peppers | None:
    if path is None:
        return None
    from keyctl.pepper import Peppers  # noqa: PLC0415 - few stores have any

    return Peppers(Path(path))


_verifiers: WeakSet[Verifier] = WeakSet()


def _renew_verifiers() -> None:
    for verifier in _verifiers:
        verifier._renew()


os.register_at_fork(after_in_child=_renew_verifiers)
