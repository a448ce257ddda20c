"""A program for the tests: verifies keys with a recorder, and forks or waits to be killed.

Standard input is a JSON object: `store`; `keys`, valid ones; `then`: what to do after each was verified twice.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from typing import Any

from keyctl import Recorder, Verifier


def main(given: dict[str, Any]) -> None:
    recorder = Recorder.to_store(given["store"], name="api", every=given.get("every", 3600))
    verifier = Verifier.from_store(given["store"], recorder=recorder)
    verify_twice(verifier, given["keys"])
    if given["then"] == "fork":
        children = [os.fork() for _ in range(1)]
        if 0 in children:
            verify_twice(verifier, given["keys"])
            return  # as a worker of a server ends: with its handlers
        assert os.waitpid(children[0], 0)[1] == 0
    elif given["then"] == "daemon":
        if os.fork():
            os._exit(0)  # without its handlers
    elif given["then"] == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=verify_twice, args=(verifier, given["keys"]))
        process.start()
        process.join()
        assert process.exitcode == 0
    elif given["then"] == "wait":
        print("ready", flush=True)  # noqa: T201 - the answer
        time.sleep(60)
    elif given["then"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def verify_twice(verifier: Verifier, keys: list[str]) -> None:
    for key in keys * 2:
        assert verifier.verify(key)


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
