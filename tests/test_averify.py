"""A verifier in an event loop: what runs in the loop and what in threads, how many, and how they end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyctl.codes import Code
from keyctl.errors import StoreUnavailable, VerifierBusy
from keyctl.testing import MemoryStore
from keyctl.verifier import Verifier

THREADS = (os.cpu_count() or 1) + 2  # of each pool


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as store:
        yield store


class Gate:
    """Holds every look-up of a verifier up until it is opened, and remembers who came."""

    def __init__(self, verifier: Verifier) -> None:
        self._open = threading.Event()
        self._find: Any = verifier._engine.keyring.find
        self.came: list[str] = []
        self.inside = self.most = 0
        self._lock = threading.Lock()
        verifier._engine.keyring.find = self._wait  # type: ignore[method-assign]

    def open(self) -> None:
        self._open.set()

    def _wait(self, prefix: str, *, deadline: float | None = None) -> Any:
        with self._lock:
            self.came.append(prefix)
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self._open.wait(30)
        with self._lock:
            self.inside -= 1
        return self._find(prefix, deadline=deadline)


def threads_of_verifiers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("keyctl-verifier")]


async def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def bearer(key: str) -> tuple[str, str, dict[str, str]]:
    return "GET", "/v1/calls", {"authorization": f"Bearer {key}"}


def test_what_is_known_needs_no_thread(store: MemoryStore):
    key = store.mint()
    store.verifier.verify(key)

    async def work() -> list[Code]:
        decisions = [await store.verifier.averify(key), await store.verifier.averify_request(*bearer(key))]
        return [one.code for one in [*decisions, await store.verifier.averify_request("GET", "/v1/calls", {})]]

    assert asyncio.run(work()) == [Code.VALID, Code.VALID, Code.MISSING_API_KEY]
    assert store.verifier._engine._pools is None


def test_a_key_that_must_be_looked_up_again_is_not_looked_up_in_the_loop(store: MemoryStore):
    key = store.mint()
    store.verifier.verify(key)
    store.verifier.invalidate()
    gate = Gate(store.verifier)

    async def work() -> bool:
        task = asyncio.create_task(store.verifier.averify(key))
        await until(lambda: gate.came)
        gate.open()
        return bool(await task)

    assert asyncio.run(work())


def test_a_profile_that_must_be_read_again_is_read_for_a_key_that_was_just_looked_up_too(store: MemoryStore):
    refresh = store.verifier.profile.refresh_seconds
    store.clock.advance(seconds=0.9 * refresh)
    key = store.mint()
    store.verifier.verify(key)
    store.clock.advance(seconds=0.2 * refresh)
    assert store.verifier._engine.freshness.is_due()

    assert asyncio.run(store.verifier.averify(key))

    assert not store.verifier._engine.freshness.is_due()


def test_however_many_keys_come_there_are_only_a_few_threads(store: MemoryStore):
    keys = [store.mint() for _ in range(5 * THREADS)]
    gate = Gate(store.verifier)
    before = len(threads_of_verifiers())

    async def work() -> list[bool]:
        tasks = [asyncio.create_task(store.verifier.averify(key)) for key in keys]
        await until(lambda: gate.inside == THREADS)
        await asyncio.sleep(0.05)
        gate.open()
        return list(map(bool, await asyncio.gather(*tasks)))

    assert all(asyncio.run(work()))
    assert gate.most == THREADS
    assert len(threads_of_verifiers()) - before <= THREADS


def test_a_key_seen_before_does_not_wait_for_new_ones(store: MemoryStore):
    known = store.mint()
    store.verifier.verify(known)
    keys = [store.mint() for _ in range(2 * THREADS)]
    gate = Gate(store.verifier)

    async def work() -> None:
        tasks = [asyncio.create_task(store.verifier.averify(key)) for key in keys]
        await until(lambda: gate.inside == THREADS)
        assert await asyncio.wait_for(store.verifier.averify(known), 5)
        # It must ask the store for the owner: in a thread of its own kind.
        refused = await asyncio.wait_for(store.verifier.averify(known, resource_owner="acme"), 5)
        assert refused.code is Code.FORBIDDEN_OWNER
        gate.open()
        await asyncio.gather(*tasks)

    asyncio.run(work())


def test_a_call_that_was_cancelled_is_not_run_and_holds_nothing_up(store: MemoryStore):
    keys = [store.mint() for _ in range(THREADS)]
    cancelled, later = store.mint(), store.mint()
    gate = Gate(store.verifier)

    async def work() -> None:
        tasks = [asyncio.create_task(store.verifier.averify(key)) for key in keys]
        await until(lambda: gate.inside == THREADS)
        waiting = asyncio.create_task(store.verifier.averify(cancelled))
        await asyncio.sleep(0.02)
        for task in (waiting, tasks[0]):  # one that waits for a thread, and one that has one
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.open()
        assert all(await asyncio.gather(*tasks[1:]))
        assert await store.verifier.averify(later)

    asyncio.run(work())
    assert cancelled.prefix not in gate.came


def test_a_call_that_waits_too_long_for_a_thread_is_not_run(store: MemoryStore):
    verifier = Verifier(store._store, clock=store.clock, max_wait=0.05)
    keys = [store.mint() for _ in range(THREADS + 1)]
    gate = Gate(verifier)

    async def work() -> None:
        tasks = [asyncio.create_task(verifier.averify(key)) for key in keys]
        await until(lambda: gate.inside == THREADS)
        await asyncio.sleep(0.1)
        gate.open()
        with pytest.raises(VerifierBusy, match=r"no thread was free for 0\.05 s"):
            await tasks[-1]
        await asyncio.gather(*tasks[:-1])

    asyncio.run(work())
    assert keys[-1].prefix not in gate.came


def test_a_verifier_outlives_the_loop_that_left_its_calls_unfinished(store: MemoryStore):
    abandoned, later = store.mint(), store.mint()
    gate = Gate(store.verifier)
    calls: list[asyncio.Task[Any]] = []

    async def leave() -> None:
        calls.append(asyncio.create_task(store.verifier.averify(abandoned)))
        await until(lambda: gate.inside == 1)
        threading.Timer(0.1, gate.open).start()

    asyncio.run(leave())  # cancels what is left
    assert calls[0].cancelled()

    async def again() -> bool:
        return bool(await store.verifier.averify(later))

    assert asyncio.run(again())
    assert asyncio.run(again())


def test_closing_ends_the_threads_and_fails_the_calls_that_wait(store: MemoryStore):
    keys = [store.mint() for _ in range(THREADS + 3)]
    gate = Gate(store.verifier)
    before = len(threads_of_verifiers())

    async def work() -> list[Any]:
        tasks = [asyncio.create_task(store.verifier.averify(key)) for key in keys]
        await until(lambda: gate.inside == THREADS)
        store.verifier.close()
        gate.open()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.verifier.averify(keys[0])
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        await until(lambda: len(threads_of_verifiers()) <= before)
        return answers

    answers = asyncio.run(work())

    assert all(isinstance(one, StoreUnavailable) for one in answers[THREADS:])


FORKS = """
import asyncio, os, sys
from keyctl import Verifier
keys = sys.stdin.read().split()
verifier = Verifier.from_store(sys.argv[1])
async def work():
    assert all(await asyncio.gather(*map(verifier.averify, keys)))
asyncio.run(work())          # the parent's threads are running
verifier.invalidate()
child = os.fork()
asyncio.run(work())
if not child:
    os._exit(0)              # without the parent's buffers
assert os.waitpid(child, 0)[1] == 0
verifier.close()
"""


def test_a_child_of_fork_has_threads_of_its_own(tmp_path: Path):
    from tests.stores import new_store

    opened = new_store(tmp_path / "keys.db")
    keys = [one.text for one in opened.mint(count=6)]
    opened.store.close()

    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore::DeprecationWarning", "-c", FORKS, str(opened.path)],
        input="\n".join(keys),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
