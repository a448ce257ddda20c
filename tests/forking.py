"""A program for the tests: forks children while its threads verify keys, and prints what went wrong.

Standard input is a JSON object: `store`, or `bundle` and `trust`; `keys`, valid ones; `children`, how many.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any

from keyctl.verifier import Verifier
from tests.stores import NOW

LONGEST = 20  # seconds that a child may take


def main(given: dict[str, Any]) -> list[str]:
    """Return what went wrong, in the children and in this process."""
    verifier = open_verifier(given)
    keys = given["keys"]
    assert all(map(verifier.verify, keys))
    faults: list[str] = []
    done = threading.Event()
    threads = [threading.Thread(target=_verify_until, args=(done, verifier, keys, faults)) for _ in range(6)]
    for thread in threads:
        thread.start()
    children = []
    for number in range(given["children"]):
        time.sleep(0.02)
        children.append(_fork(number, verifier, keys))
    for number, (child, answers) in enumerate(children):
        with os.fdopen(answers) as pipe:
            faults += [line for line in pipe.read().splitlines() if line]
        if status := os.waitpid(child, 0)[1]:
            faults.append(f"child {number} ended with {os.waitstatus_to_exitcode(status)}")
    done.set()
    for thread in threads:
        thread.join()
    verifier.close()
    return faults


def open_verifier(given: dict[str, Any]) -> Verifier:
    how: dict[str, Any] = {"cache_size": 0, "max_wait": 60.0, "clock": lambda: NOW}
    if "store" in given:
        return Verifier.from_store(given["store"], **how)
    return Verifier.from_bundle(given["bundle"], given["trust"], **how)


def _fork(number: int, verifier: Verifier, keys: Sequence[str]) -> tuple[int, int]:
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        return child, reading
    signal.alarm(LONGEST)
    faults: list[str] = []
    for _ in range(5):
        verify(verifier, keys, faults)
    os.write(writing, "".join(f"child {number}: {fault}\n" for fault in faults[:5]).encode())
    os._exit(0)


def _verify_until(done: threading.Event, verifier: Verifier, keys: Sequence[str], faults: list[str]) -> None:
    while not done.is_set():
        verify(verifier, keys, faults)


def verify(verifier: Verifier, keys: Sequence[str], faults: list[str]) -> None:
    for key in keys:
        try:
            decision = verifier.verify(key)
        except BaseException:  # noqa: BLE001 - that is what is looked for
            faults.append(traceback.format_exc().splitlines()[-1])
        else:
            found = decision.record.key.prefix if decision.record else None
            prefix = key.rpartition("_")[0]
            if not decision or found != prefix:
                faults.append(f"{prefix} is {decision.code} ({decision.reason}), of {found}")


if __name__ == "__main__":
    print("\n".join(main(json.load(sys.stdin))), end="")  # noqa: T201 - the answer
