"""Which of the keys that a scan found are in a store, which of them are live, and whether their secrets are right.

A prefix is public: anyone can write a text with the prefix of a live key and any secret. So each text is checked
against the hash of its key, up to a limit; no key is to be changed because of a text that was not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from keyctl import hashing
from keyctl.errors import StoreUnavailable
from keyctl.models import KeyRecord, Status
from keyctl.pepper import Peppers
from keyctl.scanning.hits import Hit
from keyctl.scanning.places import Place
from keyctl.store import keys
from keyctl.store.database import Store

_AT_ONCE = 5000  # hits that are looked up together
_MOST_TEXTS = 16  # of one prefix that are checked; more are an attempt to make scans slow
_MOST_PLACES = 100  # of one text that are kept
_DEAD = (Status.REVOKED, Status.EXPIRED)


class Secret(StrEnum):
    """What is known of the secret of a text: `unchecked` could not be compared with the hash, or was not."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCHECKED = "unchecked"


@dataclass(frozen=True)
class Leak:
    """A text with the prefix of a key, and where it was found: the first hundred places, of `count`.

    `problem` is why the secret could not be checked.
    """

    record: KeyRecord
    status: Status
    secret: Secret
    places: Sequence[Place]
    count: int
    problem: str = ""

    @property
    def live(self) -> bool:
        """Whether this may let someone in, now or once the key is unlocked or its owner enabled."""
        return self.status not in _DEAD and self.secret is not Secret.WRONG


@dataclass
class _Text:
    count: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, place: Place) -> None:
        self.count += 1
        if len(self.places) < _MOST_PLACES:
            self.places.append(place)


class Leaks:
    """Collects what a scan finds, in memory that depends on the keys of the store, not on what is scanned.

    Attributes:
        unknown: How many texts were found that are keys by their form, and are not in the store.
    """

    def __init__(self, store: Store, peppers: Peppers | None) -> None:
        self._store = store
        self._peppers = peppers
        self._waiting: list[tuple[Hit, Place]] = []
        self._found: dict[str, dict[str | None, _Text]] = {}  # by prefix and text; None is all further texts
        self.unknown = 0

    def add(self, hit: Hit, place: Place) -> None:
        """Take note of one text. Looks up many at a time; raises StoreUnavailable."""
        self._waiting.append((hit, place))
        if len(self._waiting) >= _AT_ONCE:
            self._look_up()

    def settle(self, now: datetime) -> list[Leak]:
        """Return everything that has the prefix of a key of the store, in the order of the places.

        Hashes the texts of keys that are neither revoked nor expired, on all cores.
        """
        self._look_up()
        with self._store.read() as connection:
            records = keys.with_prefixes(connection, self._found)
        known = [(record, self._found[prefix]) for prefix, record in records.items()]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = [leak for leaks in pool.map(lambda one: self._leaks(one[0], one[1], now), known) for leak in leaks]
        return sorted(found, key=lambda leak: leak.places[0].order)

    def _look_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        with self._store.read() as connection:
            known = keys.with_prefixes(connection, {hit.prefix for hit, _ in waiting} - self._found.keys())
        read_as_known = {
            (place, hit.offset) for hit, place in waiting if hit.prefix in known or hit.prefix in self._found
        }
        for hit, place in waiting:
            if hit.prefix in known or hit.prefix in self._found:
                texts = self._found.setdefault(hit.prefix, {})
                name = hit.text if hit.text in texts or len(texts) < _MOST_TEXTS else None
                texts.setdefault(name, _Text()).add(place)
            elif hit.certain and (place, hit.offset) not in read_as_known:
                self.unknown += 1

    def _leaks(self, record: KeyRecord, texts: dict[str | None, _Text], now: datetime) -> list[Leak]:
        status = record.status(now)
        if status in _DEAD:
            return [_joined(record, status, Secret.UNCHECKED, texts.values())]
        by_secret: dict[Secret, list[_Text]] = {}
        problem = ""
        for text, found in texts.items():
            secret, why = self._check(record, text)
            problem = problem or why
            by_secret.setdefault(secret, []).append(found)
        return [
            _joined(record, status, secret, found, problem if secret is Secret.UNCHECKED else "")
            for secret, found in by_secret.items()
        ]

    def _check(self, record: KeyRecord, text: str | None) -> tuple[Secret, str]:
        if text is None:
            return Secret.UNCHECKED, f"more than {_MOST_TEXTS} texts have its prefix"
        try:
            right = hashing.verify(text, record.key.phc, own=self._store.hash_parameters, peppers=self._peppers)
        except StoreUnavailable as error:  # a pepper that is missing, a hash that cannot be read
            return Secret.UNCHECKED, error.message
        return (Secret.RIGHT if right else Secret.WRONG), ""


def _joined(record: KeyRecord, status: Status, secret: Secret, texts: Iterable[_Text], problem: str = "") -> Leak:
    found = list(texts)
    places = sorted((place for text in found for place in text.places), key=lambda place: place.order)
    return Leak(record, status, secret, places[:_MOST_PLACES], sum(text.count for text in found), problem)
