"""Minting: new keys are checked against the profile, and delivered or revoked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from keyctl import lifecycle, policy
from keyctl.admin.delivery import Delivery, Minted
from keyctl.admin.issuing import Issuer
from keyctl.admin.owners import NewOwner, create_owner, imagine_owner
from keyctl.audit import Entry, key_entry
from keyctl.errors import Refused, UsageError
from keyctl.models import Actor, Key, KeyRecord, Owner
from keyctl.networks import parse_networks
from keyctl.pepper import Peppers
from keyctl.store import counters, keys, owners
from keyctl.store.database import Connection, Store
from keyctl.text import checked_text
from keyctl.times import utc_now

LARGEST_BATCH = 1_000_000


@dataclass(frozen=True)
class NewKey:
    """A key to be minted. None is the profile's default.

    `expires` is a duration (`30d`), an RFC 3339 time with a zone, or `never`; `metadata` are `NAME=VALUE` texts;
    without `allowed_ips` (addresses or networks) all are allowed. With `create_owner`, an owner that does not exist is
    added.
    """

    name: str | None = None
    owner: NewOwner | None = None
    create_owner: bool = False
    environment: str | None = None
    scopes: Sequence[str] | None = None
    expires: str | None = None
    allowed_ips: Sequence[str] = ()
    metadata: Sequence[str] = ()


class _PrefixTaken(Exception):
    """Another process inserted a key with the same prefix after it was drawn."""


class KeyMinter:
    """Mints keys. `peppers` are needed where the store uses one.

    `clock` returns the current time, aware and in UTC; `on_hashed` is called after each hash, from any thread.
    """

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        peppers: Peppers | None = None,
        clock: Callable[[], datetime] = utc_now,
        on_hashed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock
        self._issuer = Issuer(store, actor, peppers, clock=clock, on_hashed=on_hashed)

    def mint(
        self,
        new: NewKey,
        delivery: Delivery[Minted],
        *,
        count: int = 1,
        check: Callable[[Connection, Sequence[Key]], None] = lambda *_: None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[KeyRecord]:
        """Mint `count` keys (1 to 1,000,000) that are alike, and deliver them: all of them, or none.

        `check` is called in the transaction that creates them, once no other change can come between: what it raises
        prevents them. Their texts go to `delivery` and nowhere else. Returns the keys without their texts. Raises
        NotDelivered if they could not be delivered; they are then revoked.
        """
        if not 1 <= count <= LARGEST_BATCH:
            raise UsageError(f"--count must be 1 to {LARGEST_BATCH:,}, not {count:,}", hint="for example: --count 50")
        now = self._clock()
        if new.owner is None and self._store.profile.default_owner is not None:
            new = replace(new, owner=NewOwner(self._store.profile.default_owner), create_owner=True)
        judged = self._owner(new, now)
        template = self._template(new, judged, now)
        texts = self._issuer.draw(template, count)
        hashes = {} if dry_run else self._issuer.hash(texts)

        def work(connection: Connection) -> tuple[list[Minted], list[Entry]]:
            key = template
            chain: tuple[Owner, ...] = ()
            if new.owner is not None:
                owner = owners.find(connection, new.owner.handle) or create_owner(
                    connection, self._store.profile, new.owner, actor=self._actor, now=now, reason=reason
                )
                key = replace(template, owner_id=owner.id)
                chain = owners.with_ancestors(connection, owner.handle)
                lifecycle.refuse_inactive(KeyRecord(key, chain))
            if keys.taken(connection, [one.prefix for one in texts]):
                raise _PrefixTaken
            ids = counters.new_ids(connection, "key", self._store.profile.key_ids, now=now, count=count)
            delivered = vars(replace(key, delivered_at=now))
            made = [
                Key.of(
                    {
                        **delivered,
                        "id": key_id,
                        "prefix": one.prefix,
                        "phc": hashes.get(one.prefix, ""),
                        "lineage": key_id,
                    }
                )
                for key_id, one in zip(ids, texts, strict=True)
            ]
            minted = [Minted(KeyRecord(one, chain), text.text) for one, text in zip(made, texts, strict=True)]
            entries = [key_entry(one) for one in made]
            if not dry_run:
                keys.add_alike(connection, key, made)
                self._issuer.note_minted(connection, entries, key, at=now, reason=reason)
                check(connection, made)
                delivery.prepare(minted)
            return minted, entries

        committed = None
        while committed is None:
            try:
                committed = self._issuer.commit(work, delivery, dry_run=dry_run)
            except _PrefixTaken:
                texts = self._issuer.draw(template, count)
                hashes = self._issuer.hash(texts)
        minted, entries = committed
        records = [one.record for one in minted]
        if not dry_run:
            self._issuer.hand_over(delivery, records)
            self._issuer.after_delivery(
                records, lambda connection: self._issuer.note_delivered(connection, entries, at=now)
            )
        return records

    def _owner(self, new: NewKey, now: datetime) -> Owner | None:
        """Return the new key's owner. One that is still to be created has no id yet."""
        if new.owner is None:
            if self._store.profile.owners.required:
                raise Refused(
                    f'a key needs an owner in profile "{self._store.profile.name}"', hint="add --owner HANDLE"
                )
            return None
        with self._store.read() as connection:
            if new.create_owner:
                owner = owners.find(connection, new.owner.handle)
            else:
                owner = owners.get(connection, new.owner.handle, otherwise="to add it: --create-owner")
        if owner is None:
            return self._imagine_owner(new.owner, now)
        if new.owner.kind not in (None, owner.kind):
            raise Refused(f"the owner {owner.handle} already exists, and its kind is {owner.kind}")
        return owner

    def _imagine_owner(self, new: NewOwner, now: datetime) -> Owner:
        try:
            return imagine_owner(self._store.profile, new, actor=self._actor, now=now)
        except Refused as error:
            if error.hint and error.hint.startswith("add --"):  # what only a command for owners takes
                kind = policy.owner_kind(self._store.profile, new.kind).name
                option = error.hint.removeprefix("add ")
                error.hint = f"first: keyctl owner add {new.handle} --kind {kind} {option}"
            raise

    def _template(self, new: NewKey, owner: Owner | None, now: datetime) -> Key:
        """Check a new key against the profile; return it without id, prefix, hash and lineage."""
        profile = self._store.profile
        return Key(
            id="",
            prefix="",
            phc="",
            name=checked_text("name", new.name) if new.name is not None else None,
            owner_id=None,
            environment=policy.environment(profile, new.environment),
            scopes=policy.scopes(profile, new.scopes, owner),
            allowed_ips=parse_networks(new.allowed_ips),
            metadata=policy.metadata(new.metadata),
            created_at=now,
            created_by=str(self._actor),
            lineage="",
            expires_at=policy.expiry(profile, new.expires, created_at=now, now=now),
        )
