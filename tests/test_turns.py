"""Turns: a semaphore that serves threads in order."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from keyctl.turns import Turns


def wait_for(turns: Turns, number: int) -> None:
    """Wait until so many threads are waiting."""
    while len(turns._waiting) < number:
        time.sleep(0.001)


def test_no_thread_overtakes_another():
    turns, served = Turns(1), []
    assert turns.acquire(timeout=0)

    def take(number: int) -> None:
        assert turns.acquire(timeout=20)
        served.append(number)
        turns.release()

    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(take, number)
            wait_for(turns, number + 1)
        turns.release()
        assert turns.acquire(timeout=20)  # at once after the release, and last all the same
        served.append("the first again")

    assert served == [*range(8), "the first again"]


def test_as_many_as_there_are_places_get_through():
    turns = Turns(2)

    assert [turns.acquire(timeout=0.01) for _ in range(3)] == [True, True, False]
    turns.release()
    assert turns.acquire(timeout=0)


def test_a_thread_that_gave_up_takes_no_place():
    turns = Turns(1)
    assert turns.acquire(timeout=0)
    assert not turns.acquire(timeout=0.01)

    turns.release()

    assert turns.acquire(timeout=0)


def test_no_place_is_lost_where_threads_give_up_and_get_one_at_once():
    turns, inside, most, lock = Turns(2), 0, [0], threading.Lock()

    def work(_: int) -> None:
        nonlocal inside
        for _ in range(50):
            if turns.acquire(timeout=0.0002):
                with lock:
                    inside += 1
                    most[0] = max(most[0], inside)
                time.sleep(0.0001)
                with lock:
                    inside -= 1
                turns.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert 1 <= most[0] <= 2
    assert [turns.acquire(timeout=0) for _ in range(3)] == [True, True, False]
