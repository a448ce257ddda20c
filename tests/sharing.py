"""A program for the tests: verifies keys in every way in which an application may share a verifier, and prints faults.

Standard input is what tests/forking.py reads, with `times`: how often each way verifies each key.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from keyctl.verifier import Verifier
from tests.forking import open_verifier, verify

verifier: Verifier


def main(given: dict[str, Any]) -> list[str]:
    """Return what went wrong, each fault with the way in which it did."""
    make(given)
    keys = given["keys"] * given["times"]
    assert not any(map(check, given["keys"]))
    fork, spawn = map(multiprocessing.get_context, ("fork", "spawn"))
    ways: dict[str, Callable[[], list[str]]] = {
        "fork, made before it": lambda: in_pool(ProcessPoolExecutor(2, fork), keys),
        "fork, made after it": lambda: in_pool(ProcessPoolExecutor(2, fork, make, (given,)), keys),
        "spawn": lambda: in_pool(ProcessPoolExecutor(2, spawn, make, (given,)), keys),
        "threads": lambda: in_pool(ThreadPoolExecutor(8), keys),
        "asyncio.to_thread": lambda: asyncio.run(in_threads_of_a_loop(keys)),
        "asyncio, called directly": lambda: asyncio.run(in_a_loop(keys)),
    }
    faults = [f"{way}: {fault}" for way, run in ways.items() for fault in run() if fault]
    verifier.close()
    return faults


def make(given: dict[str, Any]) -> None:
    global verifier  # noqa: PLW0603 - as an application has it, in a module
    verifier = open_verifier(given)


def check(key: str) -> str:
    """Verify a key; return what went wrong."""
    faults: list[str] = []
    verify(verifier, [key], faults)
    return "".join(faults)


def in_pool(pool: Executor, keys: list[str]) -> list[str]:
    with pool:
        return list(pool.map(check, keys))


async def in_threads_of_a_loop(keys: list[str]) -> list[str]:
    return list(await asyncio.gather(*(asyncio.to_thread(check, key) for key in keys)))


async def in_a_loop(keys: list[str]) -> list[str]:
    async def one(key: str) -> str:
        await asyncio.sleep(0)
        return check(key)

    return list(await asyncio.gather(*map(one, keys)))


if __name__ == "__main__":
    print("\n".join(main(json.load(sys.stdin))), end="")  # noqa: T201 - the answer
