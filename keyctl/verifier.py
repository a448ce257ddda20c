"""Verify API keys in an application.

`Verifier` verifies, and `Decision` is its answer: `code` is one of `keyctl.Code`, `record` holds a `Key` and an `Owner`
of `keyctl.models`. What a verifier raises is in `keyctl.errors`. Make one verifier when the application starts, and
share it between its threads:

>>> from keyctl import Verifier
>>> verifier = Verifier.from_store("./keys.db")
>>> decision = verifier.verify(key, scopes=["read"], ip="192.0.2.7")
>>> if decision:
...     print("welcome,", decision.record.key.environment)
welcome, live
>>> decision = verifier.verify(key + "x")
>>> decision.code, decision.reason, decision.response().status
(<Code.INVALID_API_KEY: 'INVALID_API_KEY'>, 'malformed', 401)
>>> verifier.close()
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from keyctl.decision import Decision, Request, check_cost
from keyctl.errors import UsageError
from keyctl.keyformat import KeyFormat
from keyctl.profiles.model import Profile
from keyctl.store.location import StoreLocation
from keyctl.times import utc_now
from keyctl.verification.engine import Engine
from keyctl.verification.keyring import Keyring

if TYPE_CHECKING:
    from keyctl.http.admission import Connection
    from keyctl.http.request import Headers, HttpRequest
    from keyctl.limiter import Limiter
    from keyctl.pepper import Peppers
    from keyctl.recorder import Recorder

__all__ = ["Decision", "Request", "Verifier"]


class Verifier:
    """Verifies keys against a store or a bundle. Safe to share between threads; it only reads.

    Make one with `from_store` or `from_bundle`, and close it when it is no longer used: by `close`, or by `with`.

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
        limiter: What counts requests against the rate limits of the profile. None enforces none.
        recorder: Counts the answers.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        clock: Callable[[], datetime] = utc_now,
        timer: Callable[[], float] = time.monotonic,
        cache_size: int = 10_000,
        max_wait: float = 2.0,
        wait: float = 5.0,
        opened: float | None = None,
        peppers: Peppers | None = None,
        limiter: Limiter | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._engine = Engine(
            keyring,
            clock=clock,
            timer=timer,
            cache_size=cache_size,
            max_wait=max_wait,
            wait=wait,
            opened=opened,
            peppers=peppers,
            limiter=limiter,
            recorder=recorder,
        )

    @classmethod
    def from_store(
        cls,
        url: str | PathLike[str],
        *,
        wait: float = 5.0,
        pepper_file: str | PathLike[str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timer: Callable[[], float] = time.monotonic,
        cache_size: int = 10_000,
        max_wait: float = 2.0,
        limiter: Limiter | None = None,
        recorder: Recorder | None = None,
    ) -> Verifier:
        """Return a verifier that looks keys up in a store. A file that was replaced is opened again.

        Args:
            url: The path or URL of a SQLite file (`./keys.db`, `sqlite:///keys.db`), or `postgresql://…`.
            wait: Seconds that a call waits for a store that another process is writing to, or a server that does not
                answer. Computing a hash is not part of it.
            pepper_file: The file with the peppers of the keys. It is read again when a key has a pepper that was not
                in it. Required where keys have a pepper; the environment is not read.
            clock: Returns the current time, with a time zone. For tests.
            timer: Returns seconds from a monotonic clock. For tests.
            cache_size: How many verified keys are remembered, and for how many prefixes wrong secrets are counted. 0
                remembers none.
            max_wait: Seconds that a call waits for a free core to hash on, before it raises VerifierBusy.
            limiter: What counts requests against the rate limits of the profile. Without one, none are enforced. It
                stays open when the verifier is closed.
            recorder: Counts the answers about each key. It is not closed with the verifier.

        Returns:
            An open verifier: close it.

        Raises:
            StoreUnavailable: There is no store there, or it cannot be read.
            ConfigurationInvalid: The store's schema is of another version of keyctl, or the pepper file cannot be used.
            UsageError: `url` has an unknown scheme, the recorder is that of another store, or a number is negative.
        """
        _check_options(limiter, recorder, wait=wait, max_wait=max_wait, cache_size=cache_size)
        location, peppers = StoreLocation.parse(os.fspath(url)), _read_peppers(pepper_file)
        opened = timer()
        if location.file is not None:
            from keyctl.store.sqlite_reader import SqliteReader  # noqa: PLC0415 - each keyring loads its own library

            keyring: Keyring = SqliteReader(location.file, wait=wait)
        else:
            from keyctl.store.database import Store  # noqa: PLC0415 - SQLAlchemy, only for PostgreSQL

            keyring = Store(location, wait=wait)
        return cls(
            keyring,
            clock=clock,
            timer=timer,
            cache_size=cache_size,
            max_wait=max_wait,
            wait=wait,
            opened=opened,
            peppers=peppers,
            limiter=limiter,
            recorder=recorder,
        )

    @classmethod
    def from_bundle(
        cls,
        path: str | PathLike[str],
        trust: Iterable[str],
        *,
        max_age: timedelta | None = None,
        pepper_file: str | PathLike[str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timer: Callable[[], float] = time.monotonic,
        cache_size: int = 10_000,
        max_wait: float = 2.0,
        limiter: Limiter | None = None,
        recorder: Recorder | None = None,
    ) -> Verifier:
        """Return a verifier that looks keys up in a bundle. A file that was replaced is read again.

        A replacement that cannot be trusted is logged to `keyctl.bundle`, and the bundle in use stays in use until it
        is too old. From then on each Decision is UNTRUSTED_BUNDLE.

        Args:
            path: The bundle.
            trust: Public keys of trusted signers: `PUBLIC-KEY`, or `STORE-ID:PUBLIC-KEY` for one store alone.
            max_age: The greatest age of the bundle; None is what its signer allows.
            pepper_file: As in `from_store`.
            clock: As in `from_store`.
            timer: As in `from_store`.
            cache_size: As in `from_store`.
            max_wait: As in `from_store`.
            limiter: As in `from_store`.
            recorder: As in `from_store`.

        Returns:
            An open verifier: close it.

        Raises:
            BundleUntrusted: The bundle cannot be read or trusted, or is too old.
            ConfigurationInvalid: The pepper file cannot be used.
            UsageError: An entry of `trust` is not a public key, the recorder is that of another store, or a number is
                negative.
        """
        from keyctl.bundles.reload import FollowedBundle  # noqa: PLC0415 - needs cryptography
        from keyctl.bundles.signing import parse_trust  # noqa: PLC0415

        if isinstance(trust, str):
            raise TypeError("trust must be several public keys, such as [PUBLIC_KEY], not one text")
        _check_options(limiter, recorder, max_wait=max_wait, cache_size=cache_size)
        opened, peppers = timer(), _read_peppers(pepper_file)
        bundle = FollowedBundle(Path(path), trust=map(parse_trust, trust), max_age=max_age, clock=clock)
        return cls(
            bundle,
            clock=clock,
            timer=timer,
            cache_size=cache_size,
            max_wait=max_wait,
            opened=opened,
            peppers=peppers,
            limiter=limiter,
            recorder=recorder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def profile(self) -> Profile:
        """The profile in force, as it was last read."""
        return self._engine.keyring.profile

    @property
    def formats(self) -> tuple[KeyFormat, ...]:
        """The formats that keys may have. Private."""
        return self._engine.keyring.formats

    def _record(self, decision: Decision) -> None:
        """Have the recorder, if there is one, count an answer that was given in place of a decision."""
        self._engine.record(decision)

    def require(self, *scopes: str) -> None:
        """Check that the profile has these scopes, so that an application with a misspelt one does not start.

        Args:
            scopes: Scopes as in `verify`.

        Raises:
            UsageError: The profile does not have one of them.
        """
        self._engine.rules().require_known(_asked(scopes))

    def verify(
        self,
        key: str | bytes | None,
        scopes: Iterable[str] = (),
        env: str | None = None,
        ip: str | None = None,
        resource_owner: str | None = None,
        *,
        cost: int = 1,
    ) -> Decision:
        """Verify a key, and what it may be used for. What is None, and no scopes, is not checked.

        The status of a key is disclosed only after its secret was verified. An unknown prefix costs one hash, with the
        parameters that the store has for new keys.

        Args:
            key: The key as presented. None or empty is MISSING_API_KEY.
            scopes: Scopes that must all be in force; `read|write` requires one of the two.
            env: The environment that the key must be for.
            ip: The caller's address. A key with allowed networks is refused without one.
            resource_owner: The handle of the owner of the requested resource, which the key's owner must reach.
            cost: How many requests it counts as, 1 or more, where there is a limiter.

        Returns:
            A Decision, which is falsy unless the key is allowed.

        Raises:
            StoreUnavailable: The store cannot be read, or a stored hash is damaged. Answer 503, not 401.
            PepperMissing: The key's hash needs a pepper that was not given. A StoreUnavailable: 503, not 401.
            LimiterUnavailable: The rate limits of the key could not be counted. A StoreUnavailable: 503, not 429.
            VerifierBusy: No core was free for `max_wait` seconds. Answer 503, not 401.
            UsageError: The profile does not have a scope of `scopes`, or `env`: no key could be allowed. Or `cost` is
                less than 1.
        """
        if cost != 1:
            check_cost(cost)
        return self._engine.verify(_key_text(key), _asked(scopes, env, ip, resource_owner), cost)

    async def averify(
        self,
        key: str | bytes | None,
        scopes: Iterable[str] = (),
        env: str | None = None,
        ip: str | None = None,
        resource_owner: str | None = None,
        *,
        cost: int = 1,
    ) -> Decision:
        """Verify a key from an event loop: `verify`, without holding up the loop.

        A key that was verified before is answered at once, as long as nothing must be read. Everything else runs in
        one of a few threads.

        Args:
            key: As in `verify`.
            scopes: As in `verify`.
            env: As in `verify`.
            ip: As in `verify`.
            resource_owner: As in `verify`.
            cost: As in `verify`.

        Returns:
            A Decision, which is falsy unless the key is allowed.

        Raises:
            StoreUnavailable: As in `verify`.
            PepperMissing: As in `verify`.
            LimiterUnavailable: As in `verify`.
            VerifierBusy: As in `verify`, or no thread was free for `max_wait` seconds.
            UsageError: As in `verify`.
        """
        if cost != 1:
            check_cost(cost)
        return await self._engine.averify(_key_text(key), _asked(scopes, env, ip, resource_owner), cost)

    def verify_request(
        self,
        method: str,
        path: str,
        headers: Headers,
        ip: str | None = None,
        *,
        scheme: str = "https",
        trusted_proxies: tuple[str, ...] = (),
        asked: Request = Request(),  # noqa: B008 - frozen
        cost: int = 1,
    ) -> Decision:
        """Verify an HTTP request by the profile's rules for headers and routes.

        No identity is taken from the request, only the key.

        Args:
            method: The method as sent.
            path: The target as sent, query included.
            headers: A mapping, or names and values in their order and with repetitions; as text or bytes.
            ip: The address of the peer, which opened the connection.
            scheme: `https`, or `http` if the request did not come over HTTPS.
            trusted_proxies: Networks (CIDR) of the peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.
            asked: What is required besides what the route requires. Its `ip` is not used.
            cost: How many requests it counts as, 1 or more, where there is a limiter.

        Returns:
            A Decision. It is VALID without a `record` where the profile makes the route public.

        Raises:
            StoreUnavailable: The store cannot be read, or a stored hash is damaged. Answer 503, not 401.
            PepperMissing: The key's hash needs a pepper that was not given. A StoreUnavailable: 503, not 401.
            LimiterUnavailable: The rate limits of the key could not be counted. A StoreUnavailable: 503, not 429.
            VerifierBusy: No core was free for `max_wait` seconds. Answer 503, not 401.
            ProfileInvalid: The store's profile has faults in its rules for HTTP.
            UsageError: The profile does not have a scope or the environment of `asked`, or `cost` is less than 1.
        """
        if cost != 1:
            check_cost(cost)
        request, connection = _request(method, path, headers, ip, scheme, trusted_proxies)
        return self._engine.verify_request(request, connection, asked, cost)

    async def averify_request(
        self,
        method: str,
        path: str,
        headers: Headers,
        ip: str | None = None,
        *,
        scheme: str = "https",
        trusted_proxies: tuple[str, ...] = (),
        asked: Request = Request(),  # noqa: B008 - frozen
        cost: int = 1,
    ) -> Decision:
        """Verify an HTTP request from an event loop: `verify_request`, without holding up the loop, as in `averify`.

        Args:
            method: As in `verify_request`.
            path: As in `verify_request`.
            headers: As in `verify_request`.
            ip: As in `verify_request`.
            scheme: As in `verify_request`.
            trusted_proxies: As in `verify_request`.
            asked: As in `verify_request`.
            cost: As in `verify_request`.

        Returns:
            A Decision. It is VALID without a `record` where the profile makes the route public.

        Raises:
            StoreUnavailable: As in `verify_request`.
            PepperMissing: As in `verify_request`.
            LimiterUnavailable: As in `verify_request`.
            VerifierBusy: As in `verify_request`, or no thread was free for `max_wait` seconds.
            ProfileInvalid: As in `verify_request`.
            UsageError: As in `verify_request`.
        """
        if cost != 1:
            check_cost(cost)
        request, connection = _request(method, path, headers, ip, scheme, trusted_proxies)
        return await self._engine.averify_request(request, connection, asked, cost)

    def invalidate(self) -> None:
        """Look up every key and the profile again from now on, in a replaced file if there is one.

        Secrets that were verified are not hashed again, as long as the stored hash is the same.
        """
        self._engine.freshness.invalidate()

    def wrong_secrets(self) -> dict[str, int]:
        """Return how often a wrong secret was presented, by prefix. Only prefixes that exist are counted.

        Returns:
            The number of attempts for each prefix; at most `cache_size` prefixes.
        """
        return self._engine.secrets.wrong_secrets()

    def close(self) -> None:
        """Close the store or the bundle. Every later call raises StoreUnavailable."""
        self._engine.close()


_NOTHING = Request()


def _check_options(limiter: object, recorder: object, **numbers: float) -> None:
    """Refuse at once what would only fail at the first key. The libraries of both are loaded where they are given."""
    if limiter is not None:
        from keyctl.limiter import Limiter  # noqa: PLC0415

        if not isinstance(limiter, Limiter):
            raise TypeError(f"limiter must be a Limiter, such as Limiter('memory://'), not {type(limiter).__name__}")
    if recorder is not None:
        from keyctl.recorder import Recorder  # noqa: PLC0415

        if not isinstance(recorder, Recorder):
            kind = type(recorder).__name__
            raise TypeError(f"recorder must be a Recorder, such as Recorder.to_store(url), not {kind}")
    for name, number in numbers.items():
        if not isinstance(number, int | float):
            raise TypeError(f"{name} must be a number, not {type(number).__name__}")
        if not number >= 0:
            raise UsageError(f"{name} must be 0 or more, not {number:g}")


def _key_text(key: str | bytes | None) -> str:
    if isinstance(key, str):
        return key
    if key is None:
        return ""
    if isinstance(key, bytes):
        return key.decode("latin-1")  # as HTTP has it; no key has a character beyond ASCII
    raise TypeError(f"a key is a text, not {type(key).__name__}")


def _asked(
    scopes: Iterable[str], env: str | None = None, ip: str | None = None, resource_owner: str | None = None
) -> Request:
    if scopes == () and env is ip is resource_owner is None:
        return _NOTHING
    if isinstance(scopes, str):
        raise TypeError(f"scopes must be several, such as [{scopes!r}], not one text")
    if scopes is None:
        raise TypeError("scopes must be several, such as ['read'], not None")
    names = tuple(scopes)
    if not all(isinstance(name, str) for name in names):
        raise TypeError("scopes must be texts")
    for name, value in (("env", env), ("ip", ip), ("resource_owner", resource_owner)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a text or None, not {type(value).__name__}")
    return Request(names, env, ip, resource_owner)


def _request(
    method: str, path: str, headers: Headers, ip: str | None, scheme: str, trusted_proxies: tuple[str, ...]
) -> tuple[HttpRequest, Connection]:
    return _read_request()(method, path, headers, ip, scheme, trusted_proxies)


@cache
def _read_request() -> Callable[..., tuple[HttpRequest, Connection]]:
    from keyctl.verification.request_check import read_request  # noqa: PLC0415 - a key at the shell has no request

    return read_request


def _read_peppers(path: str | PathLike[str] | None) -> Peppers | None:
    if path is None:
        return None
    from keyctl.pepper import Peppers  # noqa: PLC0415 - few stores have any

    return Peppers(Path(path))
