"""Threads that verify keys for as long as a fault lasts, and a record of every answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from keyctl.errors import StoreUnavailable
from keyctl.verifier import Verifier

MARGIN = 0.7  # seconds by which a busy machine may be late
Expected = tuple[str, str | None]  # the code, and whose it is


class Answer(NamedTuple):
    began: float
    ended: float
    key: str
    said: Expected | BaseException

    @property
    def took(self) -> float:
        return self.ended - self.began


@dataclass
class Load:
    """What was answered while it lasted: `right` says what each key's answer must be."""

    right: Mapping[str, Expected]
    answers: list[Answer] = field(default_factory=list)

    def check(self, wait: float) -> None:
        """Claim that every answer was right or StoreUnavailable, and none later than it may be."""
        wrong = [
            answer
            for answer in self.answers
            if not isinstance(answer.said, StoreUnavailable) and answer.said != self.right[answer.key]
        ]
        assert not wrong, wrong[:5]
        assert any(answer.said == self.right[answer.key] for answer in self.answers)
        assert self.longest <= wait + MARGIN

    @property
    def longest(self) -> float:
        return max(answer.took for answer in self.answers)

    @property
    def unavailable(self) -> list[Answer]:
        return [answer for answer in self.answers if isinstance(answer.said, StoreUnavailable)]

    def recovery(self, back: float) -> float:
        """Return how long after `back`, when the server answered again, the last call began that was not answered,
        or the first was that was.
        """
        first = min(answer.ended for answer in self.answers if answer.ended > back and answer not in self.unavailable)
        return max([first, *(answer.began for answer in self.unavailable)]) - back


@contextmanager
def load(verifier: Verifier, right: Mapping[str, Expected], *, threads: int = 4) -> Iterator[Load]:
    """Verify keys in threads while the block runs, each thread a few hundred a second at most."""
    running, done = Load(right), threading.Event()

    def work(number: int) -> None:
        keys = list(right)
        at = number
        while not done.wait(0.003):
            at += 1
            running.answers.append(ask(verifier, keys[at % len(keys)]))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield running
    finally:
        done.set()
        for worker in workers:
            worker.join()


def ask(verifier: Verifier, key: str) -> Answer:
    began = time.monotonic()
    said: Expected | BaseException
    try:
        decision = verifier.verify(key)
        said = str(decision.code), decision.record.key.prefix if decision.record else None
    except BaseException as error:  # noqa: BLE001 - that is what is recorded
        said = error
    return Answer(began, time.monotonic(), key, said)
