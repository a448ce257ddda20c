"""Rate limits in a process, beside the bare library: two limits, of an hour and of a minute, never reached."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from keyctl.limiter import Limiter
from keyctl.profiles.limits import Limit
from tests import redis_server
from tests.benchmarks.measure import Row, calls

HOUR, MINUTE = 1_000_000, 900_000
LIMITS = [Limit(HOUR, timedelta(hours=1)), Limit(MINUTE, timedelta(minutes=1))]


def rows(_: Path, *, quick: bool) -> Iterator[Row]:
    """Yield the rows. Each call is for the next of so many subjects."""
    runs = 7 if quick else 21
    for subjects in (1, 1_000):
        named = [f"s/{number}" for number in range(subjects)]
        with Limiter() as limiter:
            ours = calls(_next(lambda name: limiter.count(name, LIMITS), named), range(2_000))
            name = f"limits in memory, {subjects:,} of keys in turn" if subjects > 1 else "limits in memory, one key"
            yield Row(name, 1.0, ours, calls(_bare("memory://", named), range(2_000)), runs, by="cpu")
    with redis_server.running() as server:
        for scheme, what in (("redis+unix", "a socket"), ("redis", "a TCP port of this machine")):
            url = server.unix_url if scheme == "redis+unix" else server.url
            with Limiter(url, wait=10) as limiter:
                ours = calls(_next(lambda name: limiter.count(name, LIMITS), ["s/0"]), range(500))
                yield Row(
                    f"limits on Redis, over {what}", 1.0, ours, calls(_bare(url, ["s/1"]), range(500)), runs, by="wall"
                )
            with closing(server.client()) as client:
                client.flushall()


def _bare(url: str, subjects: list[str]) -> Callable[[object], object]:
    """Return a call that counts with the library alone: each limit by itself, whether or not the other refuses."""
    strategy = MovingWindowRateLimiter(storage_from_string(url))
    hour, minute = RateLimitItemPerHour(HOUR), RateLimitItemPerMinute(MINUTE)

    def count(name: str) -> object:
        return strategy.hit(hour, name) and strategy.hit(minute, name) and strategy.get_window_stats(minute, name)

    return _next(count, subjects)


def _next(count: Callable[[str], object], subjects: list[str]) -> Callable[[object], object]:
    turn = itertools.cycle(subjects)
    return lambda _: count(next(turn))
