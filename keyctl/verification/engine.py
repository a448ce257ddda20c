"""What a Verifier does with a key or a request that is in its usual form: in a thread, or from an event loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from keyctl.codes import Code
from keyctl.decision import Decision, Request, decide
from keyctl.errors import BundleUntrusted, ProfileInvalid, StoreUnavailable
from keyctl.http.admitted import Admitted, Preflight
from keyctl.models import Owner
from keyctl.verification import rate_limits
from keyctl.verification.freshness import Freshness
from keyctl.verification.keyring import Keyring
from keyctl.verification.platform_rules import PlatformRules
from keyctl.verification.secret_check import SecretCheck, Verified

if TYPE_CHECKING:
    from keyctl.http.admission import Connection
    from keyctl.http.request import HttpRequest
    from keyctl.limiter import Limiter
    from keyctl.pepper import Peppers
    from keyctl.recorder import Recorder
    from keyctl.verification.request_check import RequestCheck
    from keyctl.verification.thread_pool import ThreadPool

_LONGEST_ORIGIN = 1000  # characters; a name of a host has at most 253


class Engine:
    """Verifies against one keyring, counts and records. The arguments are those of Verifier."""

    def __init__(
        self,
        keyring: Keyring,
        *,
        clock: Callable[[], datetime],
        timer: Callable[[], float],
        cache_size: int,
        max_wait: float,
        wait: float,
        opened: float | None,
        peppers: Peppers | None,
        limiter: Limiter | None,
        recorder: Recorder | None,
    ) -> None:
        self.keyring = keyring
        self._limiter = limiter
        self._clock = clock
        self._wait = wait
        self._max_wait = max_wait
        self._closed = False
        self._platform = PlatformRules(keyring.profile)
        self._requests: RequestCheck | None = None
        self.freshness = Freshness(keyring, timer=timer, wait=wait, opened=opened)
        self.secrets = SecretCheck(
            keyring,
            self.freshness,
            peppers=peppers,
            timer=timer,
            cache_size=cache_size,
            max_wait=max_wait,
            on_wrong_secret=recorder.record_wrong_secret if recorder else None,
        )
        if recorder:
            _bind(recorder, keyring)
        self._record = recorder.record if recorder else None
        # In two pools, so that keys that were verified before do not wait for those that must be hashed.
        self._pools: tuple[ThreadPool, ThreadPool] | None = None
        _engines.add(self)

    def verify(self, text: str, request: Request, cost: int) -> Decision:
        """Verify a key for a request of the application's own."""
        return self._noted(self._verify_and_count(text, request, cost))

    async def averify(self, text: str, request: Request, cost: int) -> Decision:
        """Verify a key from an event loop: at once, or in a thread if anything must be read, waited for or hashed."""
        decision = self._verify_at_once(text, request, request)
        if decision is not None:
            return self._noted(await self._count_in_loop(decision, text, cost))
        return self._noted(await self._pool_for(text).run(partial(self._verify_and_count, text, request, cost)))

    def verify_request(self, request: HttpRequest, connection: Connection, asked: Request, cost: int) -> Decision:
        """Verify the key of a request. `asked` is what the application requires besides its route."""
        return self._noted(self._verify_request(request, connection, asked, cost))

    async def averify_request(
        self, request: HttpRequest, connection: Connection, asked: Request, cost: int
    ) -> Decision:
        """Verify the key of a request from an event loop, as in `averify`."""
        self._require_open()
        admitted = self._admit_or_refresh(request, connection)
        text = admitted.text if isinstance(admitted, Admitted) else ""
        if isinstance(admitted, Decision) and not self.freshness.is_due():
            untrusted = self._distrust_old(self._clock())
            return admitted if untrusted is None else untrusted
        if isinstance(admitted, Admitted):
            checks = self._checks()
            decision = self._verify_at_once(text, checks.required(admitted, request, connection, asked), asked)
            if decision is not None:
                decision = checks.complete(decision, admitted, request)
                return self._noted(await self._count_in_loop(decision, text, cost))
        decision = await self._pool_for(text).run(partial(self._verify_request, request, connection, asked, cost))
        return self._noted(decision)

    def record(self, decision: Decision) -> None:
        """Count an answer that was given in place of a decision."""
        self._noted(decision)

    def close(self) -> None:
        """Close the store or the bundle. Every later call raises StoreUnavailable."""
        self._closed = True
        for pool in self._pools or ():
            pool.close()
        self.keyring.close()

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _verify(self, text: str, request: Request) -> Decision:
        self._require_open()
        now, deadline = self._clock(), time.monotonic() + self._wait
        try:
            self.freshness.refresh(now, deadline)
        except BundleUntrusted as error:
            return self._distrust(error)
        return self._verify_fresh(text, request, request, now, deadline)

    def _verify_fresh(self, text: str, request: Request, asked: Request, now: datetime, deadline: float) -> Decision:
        """Verify a key against a keyring that was just refreshed.

        `asked` is the part of the request that the application named, and must have right.
        """
        rules = self.rules()
        rules.require_known(asked)
        try:
            verified = self.secrets.check(text, rules, deadline)
            if isinstance(verified, Decision):
                return verified
            handle = request.resource_owner
            owners = self.keyring.find_owners(handle, deadline=deadline) if handle is not None else ()
        except BundleUntrusted as error:
            return self._distrust(error)
        return self._decide(rules, verified, request, now, owners)

    def _decide(
        self, rules: PlatformRules, verified: Verified, request: Request, now: datetime, owners: tuple[Owner, ...] = ()
    ) -> Decision:
        return decide(
            rules.profile,
            verified.record,
            request,
            now=now,
            resource_owners=owners,
            in_force=verified.in_force,
            platform=rules,
        )

    def _verify_at_once(self, text: str, request: Request, asked: Request) -> Decision | None:
        """Verify a key with what is known of it; None if anything must be read, waited for or hashed."""
        self._require_open()
        if self.freshness.is_due() or request.resource_owner is not None:
            return None
        verified = self.secrets.remembered(text)
        if verified is None or not self.secrets.is_current(verified):
            return None
        now, rules = self._clock(), self.rules()
        untrusted = self._distrust_old(now)
        if untrusted is not None:
            return untrusted
        rules.require_known(asked)
        return self._decide(rules, verified, request, now)

    def _noted(self, decision: Decision) -> Decision:
        """Count an answer that is about to be given."""
        if self._record is not None:
            self._record(decision)
        return decision

    def _distrust_old(self, now: datetime) -> Decision | None:
        """Return the decision about a bundle that is too old; None if it is not."""
        try:
            self.keyring.check(now)
        except BundleUntrusted as error:
            return self._distrust(error)
        return None

    def _distrust(self, error: BundleUntrusted) -> Decision:
        return Decision(Code.UNTRUSTED_BUNDLE, error.reason, platform=self.rules())

    def rules(self) -> PlatformRules:
        """Return the rules of the profile in force, made again only if the profile was replaced."""
        rules = self._platform
        if rules.profile is not self.keyring.profile:
            rules = self._platform = PlatformRules(self.keyring.profile)
        return rules

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the verifier is closed", hint="make one that stays open as long as the application")

    # ── rate limits ──────────────────────────────────────────────────────────────────────────────────────────────

    def _verify_and_count(self, text: str, request: Request, cost: int) -> Decision:
        return self._count(self._verify(text, request), cost)

    def _count(self, decision: Decision, cost: int) -> Decision:
        if self._limiter is None or decision.record is None:
            return decision
        return rate_limits.count(self._limiter, self.keyring.store_id, self.keyring.profile, decision, cost)

    async def _count_in_loop(self, decision: Decision, text: str, cost: int) -> Decision:
        if self._limiter is None or self._limiter.local or decision.record is None:
            return self._count(decision, cost)
        return await self._pool_for(text).run(partial(self._count, decision, cost))

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _verify_request(self, request: HttpRequest, connection: Connection, asked: Request, cost: int) -> Decision:
        self._require_open()
        now, deadline = self._clock(), time.monotonic() + self._wait
        try:
            self.freshness.refresh(now, deadline)
        except BundleUntrusted as error:
            return self._distrust(error)
        checks = self._checks()
        admitted = checks.admit(request, connection)
        if isinstance(admitted, Decision):
            return admitted
        if isinstance(admitted, Preflight):
            return self._answer_preflight(admitted.origin, deadline)
        required = checks.required(admitted, request, connection, asked)
        decision = self._verify_fresh(admitted.text, required, asked, now, deadline)
        return self._count(checks.complete(decision, admitted, request), cost)

    def _admit_or_refresh(self, request: HttpRequest, connection: Connection) -> Admitted | Preflight | Decision | None:
        """Return what a request is by the rules as last read; None if these have faults and must be read again."""
        try:
            return self._checks().admit(request, connection)
        except ProfileInvalid:
            if not self.freshness.is_due():
                raise
            return None

    def _checks(self) -> RequestCheck:
        """Return what checks requests, made again only if the profile or the formats of keys were replaced."""
        checks, rules, formats = self._requests, self.rules(), self.keyring.formats
        if checks is None or checks.platform is not rules or checks.formats is not formats:
            from keyctl.verification.request_check import RequestCheck  # noqa: PLC0415 - a key at the shell has no request

            checks = self._requests = RequestCheck(rules, formats)
        return checks

    def _answer_preflight(self, origin: str, deadline: float) -> Decision:
        """A preflight carries no key: it is allowed if any active owner lists the origin."""
        from keyctl.http.responses import lists_origin  # noqa: PLC0415 - as in _checks

        rules = self.rules()
        try:
            # No page has a longer one, and a database may have no answer about a text of any length.
            plausible = len(origin) <= _LONGEST_ORIGIN
            chains = self.keyring.owners_mentioning(origin, deadline=deadline) if plausible else []
        except BundleUntrusted as error:
            return replace(self._distrust(error), origin=origin, preflight=True)
        active = [chain[0] for chain in chains if all(owner.active for owner in chain)]
        allowed = rules.rules.cors is not None and lists_origin(active, rules.rules.cors, origin)
        code = Code.VALID if allowed else Code.FORBIDDEN_ORIGIN
        reason = "preflight" if allowed else "no active owner lists the origin"
        return Decision(code, reason, origin=origin, preflight=True, platform=rules)

    # ── threads and fork ─────────────────────────────────────────────────────────────────────────────────────────

    def _pool_for(self, text: str) -> ThreadPool:
        """Return the pool for a key: of those that were verified before, or of those that must be hashed."""
        self._require_open()
        if self._pools is None:
            from keyctl.verification.thread_pool import ThreadPool  # noqa: PLC0415 - only an event loop needs one

            size = (os.cpu_count() or 1) + 2
            self._pools = ThreadPool(size, self._max_wait), ThreadPool(size, self._max_wait)
        known = not text or self.secrets.remembered(text) is not None
        return self._pools[0 if known else 1]

    def _renew(self) -> None:
        """In a child of fork, make new locks and threads, and look everything up again."""
        self.freshness.renew()
        self.secrets.renew()
        for pool in self._pools or ():
            pool.renew()


def _bind(recorder: Recorder, keyring: Keyring) -> None:
    try:
        recorder.bind(keyring.store_id)
    except BaseException:
        keyring.close()
        raise


_engines: WeakSet[Engine] = WeakSet()


def _renew_engines() -> None:
    for engine in _engines:
        engine._renew()


os.register_at_fork(after_in_child=_renew_engines)
