"""A program for the tests: counts requests in many threads as fast as it can, and prints when each was allowed.

Standard input is a JSON object: `url`, `subject`, `limits` (requests and seconds of each), `threads`, `seconds`, and
`until_refused` if a thread ends where it is refused. The answer is JSON: for each allowed request its earliest and
latest time, in seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from keyctl.limiter import Limiter
from keyctl.profiles.limits import Limit


def main(given: dict[str, Any]) -> list[tuple[float, float]]:
    limits = [Limit(requests, timedelta(seconds=seconds)) for requests, seconds in given["limits"]]
    allowed: list[tuple[float, float]] = []
    with Limiter(given["url"], wait=20) as limiter:
        limiter.look(given["subject"], limits)  # connected, before the time runs
        end = time.monotonic() + given["seconds"]

        def count() -> None:
            while (before := time.monotonic()) < end:
                if limiter.count(given["subject"], limits)[0]:
                    allowed.append((before, time.monotonic()))
                elif given.get("until_refused"):
                    return

        threads = [threading.Thread(target=count) for _ in range(given["threads"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return allowed


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))  # noqa: T201 - the answer
