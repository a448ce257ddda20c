"""Runs calls that may wait in threads, so that an event loop does not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from keyctl.errors import VerifierBusy

T = TypeVar("T")


class ThreadPool:
    """At most `size` threads, started when they are needed. A call that waits too long for one is not run at all.

    Args:
        size: How many threads.
        max_wait: Seconds that a call waits for a thread, before it raises VerifierBusy.
    """

    def __init__(self, size: int, max_wait: float) -> None:
        self._size = size
        self._max_wait = max_wait
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """Return the result of the call. Raises VerifierBusy."""
        latest = time.monotonic() + self._max_wait
        return await asyncio.get_running_loop().run_in_executor(self._running(), partial(self._call, call, latest))

    def close(self) -> None:
        """End the threads, after the calls that were made before."""
        with self._lock:
            if self._executor is not None:
                self._executor.shutdown(wait=False)
                self._executor = None

    def renew(self) -> None:
        """Start new threads when they are needed, as the child of a fork must: it has none of its parent's."""
        self._lock = threading.Lock()
        self._executor = None

    def _running(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._size, thread_name_prefix="keyctl-verifier")
            return self._executor

    def _call(self, call: Callable[[], T], latest: float) -> T:
        if time.monotonic() > latest:
            raise VerifierBusy(f"no thread was free for {self._max_wait:g} s", hint="answer 503, try again")
        return call()
