"""Stores made in the test's own process, whose hashes cost next to nothing."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from keyctl.admin.delivery import Minted
from keyctl.admin.keys import KeyAdmin
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.admin.owners import NewOwner, OwnerAdmin
from keyctl.admin.rotation import KeyRotator
from keyctl.hashing import Argon2id
from keyctl.models import Actor
from keyctl.profiles.files import load_profile
from keyctl.store import schema
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.schema import create
from keyctl.store.selection import Selection
from keyctl.times import to_milliseconds
from keyctl.usage.report import HOUR, KeyUse

ACTOR = Actor("tester@host", "somebody")
CHEAP = Argon2id(memory_kib=8, passes=1, lanes=1)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Kept:
    """A delivery that keeps the keys' texts."""

    def __init__(self) -> None:
        self.minted: Sequence[Minted] = ()

    def prepare(self, minted: Sequence[Minted]) -> None:
        self.minted = minted

    def hand_over(self) -> None:
        pass

    def abandon(self) -> None:
        self.minted = ()


@dataclass
class Clock:
    """Does not move until it is advanced."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class Opened:
    """An open store with those who change it, on a clock of the test's."""

    store: Store
    clock: Clock = field(default_factory=Clock)

    @property
    def path(self) -> Path:
        assert self.store.location.file
        return self.store.location.file

    @property
    def admin(self) -> KeyAdmin:
        return KeyAdmin(self.store, ACTOR, clock=self.clock)

    @property
    def minter(self) -> KeyMinter:
        return KeyMinter(self.store, ACTOR, clock=self.clock)

    @property
    def rotator(self) -> KeyRotator:
        return KeyRotator(self.store, ACTOR, clock=self.clock)

    @property
    def owners(self) -> OwnerAdmin:
        return OwnerAdmin(self.store, ACTOR, clock=self.clock)

    def mint(self, *, owner: str | None = None, count: int = 1, **new: Any) -> list[Minted]:
        """Mint keys and return them with their texts. The owner is made if it is not there."""
        kept = Kept()
        named = NewOwner(owner) if owner else None
        self.minter.mint(NewKey(owner=named, create_owner=named is not None, **new), kept, count=count)
        return list(kept.minted)

    def rotate(self, selector: str, **how: Any) -> Minted:
        kept = Kept()
        self.rotator.rotate(Selection.named(selector), kept, **how)
        return kept.minted[0]


def new_store(path: Path, profile: str = "standard") -> Opened:
    """Write an empty store to `path` and open it. Only the first of each profile pays for Alembic."""
    path.write_bytes(_empty_store(profile))
    path.chmod(0o600)
    return Opened(Store(StoreLocation.of_file(path)))


def migrate(connection: Connection, revision: str) -> None:
    """Bring the schema to a revision that may not be the newest."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def used(key_id: str, at: datetime, count: int = 1, code: str = "VALID") -> dict[str, KeyUse]:
    """What a recorder counts of one key that is used at a time."""
    moment = to_milliseconds(at)
    return {key_id: KeyUse({moment // HOUR: {code: count}}, moment if code == "VALID" else None)}


def names(folder: Path) -> list[str]:
    """Return what is in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


@functools.cache
def _empty_store(profile: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        store, _ = create(StoreLocation.of_file(path), load_profile(profile), CHEAP, actor=ACTOR, now=NOW)
        store.close()
        return path.read_bytes()
