"""A program for the tests: closes verifiers while threads use them, over a file or over a store in memory.

Arguments: how many times, and the file with the keys' texts on standard input; without a file, a store in memory.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack

from keyctl.errors import StoreUnavailable
from keyctl.testing import MemoryStore
from keyctl.verifier import Verifier

THREADS = 6


def close_while_in_use(path: str | None, keys: list[str]) -> list[str]:
    """Return what the threads raised other than that the store is closed."""
    faults: list[str] = []
    with ExitStack() as closing:
        if path:
            verifier = Verifier.from_store(path, cache_size=0)
            close = verifier.close
        else:
            store = closing.enter_context(MemoryStore())
            keys = [store.mint(owner="acme") for _ in range(5)]
            verifier = Verifier(store._store, cache_size=0, clock=store.clock)
            close = store.close

        def use() -> None:
            try:
                while True:
                    for key in keys:
                        verifier.verify(key, resource_owner="acme")
            except StoreUnavailable:
                pass
            except Exception as error:  # noqa: BLE001 - reported
                faults.append(repr(error))

        threads = [threading.Thread(target=use) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        close()
        verifier.close()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
    return faults


if __name__ == "__main__":
    times, path = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    texts = sys.stdin.read().split()
    sys.stdout.writelines(f"{fault}\n" for _ in range(times) for fault in close_while_in_use(path, texts))
