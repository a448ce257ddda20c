"""How long an event loop is held up while keys are verified that were not seen before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.decision import Decision
from keyctl.verifier import Verifier
from tests.benchmarks.measure import Row, Run, Took
from tests.benchmarks.stores import ACTOR, Kept, empty_store

KEYS = 40
PAUSE = 0.001  # seconds that the other coroutine sleeps


def rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    runs = 3 if quick else 9
    path, kept = folder / "event_loop.db", Kept()
    with closing(empty_store(path)) as store:
        KeyMinter(store, ACTOR).mint(NewKey(), kept, count=KEYS)
    # Without a cache every key is new each time. Of 40 at once on few cores, the last one waits for its turn.
    with Verifier.from_store(path, cache_size=0, max_wait=60) as verifier:

        async def plainly(key: str) -> Decision:
            return verifier.verify(key)

        async def idly(_: str) -> bool:
            await asyncio.sleep(1)
            return True

        by_averify, by_verify, idle = (
            _longest_delay(verify, kept.texts) for verify in (verifier.averify, plainly, idly)
        )
        name = f"another coroutine's longest delay, {KEYS} new keys by averify"
        yield Row(f"{name}, against 20 ms more than idle", 1.0, by_averify, _later(idle, 0.020), runs, by="wall")
        yield Row(f"{name}, against verify", 0.1, by_averify, by_verify, 3, by="wall")


def _later(run: Run, seconds: float) -> Run:
    def later() -> Took:
        took = run()
        return Took(took.wall + seconds, took.cpu + seconds)

    return later


def _longest_delay(verify: Callable[[str], Awaitable[Decision | bool]], keys: list[str]) -> Run:
    """Return what verifies all keys at once, and reports by how much a coroutine that only sleeps was late at most."""

    async def verify_all() -> float:
        late: list[float] = []

        async def sleep_again_and_again() -> None:
            while True:
                start = time.perf_counter()
                await asyncio.sleep(PAUSE)
                late.append(time.perf_counter() - start - PAUSE)

        other = asyncio.create_task(sleep_again_and_again())
        await asyncio.sleep(0.01)
        decisions = await asyncio.gather(*map(verify, keys))
        await asyncio.sleep(0.01)
        other.cancel()
        assert all(decisions)
        return max(late)

    def run() -> Took:
        longest = asyncio.run(verify_all())
        return Took(longest, longest)

    return run
