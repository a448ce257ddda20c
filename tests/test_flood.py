"""A flood of wrong secrets against one Verifier: its memory, and what becomes of the good keys meanwhile."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest

from keyctl import hashing
from keyctl.admin.hash_scheme import set_scheme
from keyctl.errors import VerifierBusy
from keyctl.profiles.files import load_profile
from keyctl.verifier import Verifier
from tests.stores import ACTOR, CHEAP, NOW, new_store
from tests.test_verifier import other_secret

MAX_WAIT = 2.0  # seconds
FORMAT = load_profile("standard").key_format


@contextmanager
def flooding(verifier: Verifier, secrets: list[str], threads: int) -> Iterator[list[int]]:
    """Present wrong secrets from several threads; yield a list of how many were refused, and were not looked at."""
    done = threading.Event()
    counts = [0, 0]

    def flood(number: int) -> None:
        while not done.is_set():
            try:
                assert not verifier.verify(secrets[number % len(secrets)])
                counts[0] += 1
            except VerifierBusy:
                counts[1] += 1
            number += threads

    running = [threading.Thread(target=flood, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield counts
    finally:
        done.set()
        for thread in running:
            thread.join()


@pytest.mark.torture
def test_in_a_flood_known_keys_are_answered_and_new_ones_within_max_wait(
    tmp_path: Path, rounds: Callable[..., Any], figure: Callable[[str, object], None]
):
    opened = new_store(tmp_path / "keys.db")
    set_scheme(opened.store, ACTOR, rounds(CHEAP, hashing.DEFAULT))
    minted = opened.mint(count=rounds(5, 30))
    opened.store.close()
    known, *new = [one.text for one in minted]
    secrets = [other_secret(one.text) for one in minted]
    with closing(Verifier.from_store(str(opened.path), clock=lambda: NOW, max_wait=MAX_WAIT)) as verifier:
        assert verifier.verify(known)
        quiet = latencies(verifier, [known] * 200)
        with flooding(verifier, secrets, rounds(4, 8)) as counts:
            time.sleep(rounds(0, 1))
            fresh = latencies(verifier, new)
            loud = latencies(verifier, [known] * 200)

    assert counts[0] > 0
    figure("a known key, quiet", f"{median(quiet) * 1e6:.0f} µs")
    figure("a known key, in a flood", f"{median(loud) * 1e6:.0f} µs, 99 %: {quantiles(loud, n=100)[98] * 1e6:.0f} µs")
    figure("a new key, in a flood", f"{median(fresh) * 1e3:.0f} ms, at most {max(fresh) * 1e3:.0f} ms")
    figure("wrong secrets in that time", f"{counts[0]} refused, {counts[1]} not looked at")


def latencies(verifier: Verifier, keys: list[str]) -> list[float]:
    """Verify keys, all of them valid, and return how many seconds each took."""
    taken = []
    for key in keys:
        start = time.perf_counter()
        assert verifier.verify(key)
        taken.append(time.perf_counter() - start)
    return taken


def test_a_flood_leaves_nothing_behind_in_memory(tmp_path: Path):
    opened = new_store(tmp_path / "keys.db")
    keys = [one.text for one in opened.mint(count=20)]
    opened.store.close()
    unknown = [one.text for one in FORMAT.generate(200, env="live")]
    flood = [*map(other_secret, keys), *unknown, *(f"nonsense {number}" for number in range(200))]
    with closing(Verifier.from_store(str(opened.path), clock=lambda: NOW, cache_size=10)) as verifier:
        for key in flood:
            verifier.verify(key)
        tracemalloc.start()
        try:
            for key in flood:
                verifier.verify(key)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(4):
                for key in flood:
                    verifier.verify(key)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()

    assert grown < 10_000
    assert len(verifier.wrong_secrets()) == 10
