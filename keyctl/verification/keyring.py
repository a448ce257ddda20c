"""Where a Verifier looks keys up."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from keyctl.hashing import Scheme
from keyctl.keyformat import KeyFormat
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import Profile


class Keyring(Protocol):
    """Where keys are looked up: a store, the SQLite reader, or a bundle.

    A look-up that must wait raises StoreUnavailable at its `deadline`, in seconds of `time.monotonic`; None is as long
    as the keyring waits.
    """

    @property
    def store_id(self) -> str:
        """The id of the store whose keys these are."""

    @property
    def profile(self) -> Profile: ...

    @property
    def formats(self) -> tuple[KeyFormat, ...]:
        """The profile's formats, and those used before them."""

    @property
    def hash_parameters(self) -> Scheme: ...

    @property
    def foreign_hashes(self) -> tuple[str, ...]:
        """The schemes of hashes that were imported, each with what it costs."""

    def find(self, prefix: str, *, deadline: float | None = None) -> KeyRecord | None:
        """Return the key with this whole prefix and its owners; None if there is none."""

    def find_owners(self, handle: str, *, deadline: float | None = None) -> tuple[Owner, ...]:
        """Return the owner with this handle and those above it, nearest first; empty if there is none."""

    def owners_mentioning(self, text: str, *, deadline: float | None = None) -> list[tuple[Owner, ...]]:
        """Return the owners that have `text` in a list attribute, each with those above it."""

    def check(self, now: datetime) -> None:
        """Raise BundleUntrusted if this is a bundle, and too old by now."""

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:
        """Read a changed profile or a replaced file; return whether there was one."""

    def close(self) -> None: ...
