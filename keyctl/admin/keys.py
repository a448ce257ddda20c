"""Changes to keys: each is checked against the profile, and is one transaction with its audit events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from keyctl import lifecycle, policy
from keyctl.admin.delivery import Delivery, Minted, Successor
from keyctl.admin.issuing import Issuer
from keyctl.admin.owners import NewOwner, create_owner, imagine_owner
from keyctl.audit import Entry, key_entry
from keyctl.errors import Refused, UsageError
from keyctl.models import Actor, Key, KeyRecord, Owner
from keyctl.networks import parse_networks
from keyctl.pepper import Peppers
from keyctl.store import counters, events, keys, owners, usage
from keyctl.store.database import Connection, Store
from keyctl.text import checked_text
from keyctl.times import format_time, later, parse_when, utc_now
from keyctl.usage import recorders

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


@dataclass(frozen=True)
class ScopeChange:
    """A change to a key's scopes: replace them all by `only`, or add and remove some."""

    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    only: Sequence[str] | None = None


@dataclass(frozen=True)
class Update:
    """A change to what is neither state, scopes nor expiry. None leaves a value as it is; an empty `name` removes it.

    An empty `allowed_ips` allows every address; `metadata` are `NAME=VALUE` texts, of which an empty value removes one.
    """

    name: str | None = None
    allowed_ips: Sequence[str] | None = None
    metadata: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Change:
    """A key after a change; `changed` is false if it already was as requested."""

    record: KeyRecord
    changed: bool


@dataclass(frozen=True)
class Rotation:
    """A new key and the one that it replaces, both as they are after the delivery."""

    new: KeyRecord
    old: KeyRecord


class _PrefixTaken(Exception):
    """Another process inserted a key with the same prefix after it was drawn."""


class KeyAdmin:
    """Mints, rotates, revokes, locks and changes keys.

    `peppers` are needed to mint and rotate where the store uses one. `clock` returns the current time, aware and in
    UTC; `on_hashed` is called after each hash, from any thread.

    A selector is a key's id or whole prefix. Every method that takes several changes all of these keys or none, and
    returns one Change for each key, in their order. `reason` is written to the audit log: at most 500 characters on one
    line. With `dry_run`, everything is checked, the result is what would be returned, and nothing is changed.

    Every method raises NotFound for an unknown selector, UsageError for an invalid value, Refused for what the profile
    or the key's state does not allow, and StoreUnavailable or StoreBusy; then nothing was changed.
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

    # ── new keys ─────────────────────────────────────────────────────────────────────────────────────────────────

    def mint(
        self,
        new: NewKey,
        delivery: Delivery[Minted],
        *,
        count: int = 1,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[KeyRecord]:
        """Mint `count` keys (1 to 1,000,000) that are alike, and deliver them: all of them, or none.

        Their texts go to `delivery` and nowhere else. Returns the keys without their texts. Raises NotDelivered if they
        could not be delivered; they are then revoked.
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

    def rotate(
        self,
        selector: str,
        delivery: Delivery[Successor],
        *,
        grace: timedelta | None = None,
        expires: str | None = None,
        revoking: Collection[str] = (),
        reason: str | None = None,
        dry_run: bool = False,
    ) -> Rotation:
        """Replace a key with a new one that has the same owner, environment, scopes, networks and metadata.

        The old key stays valid until the new one was delivered: it is then revoked if `grace` is zero, else it expires
        after `grace` (None: the profile's), and never later than before. `expires` is when the new key expires, as in
        NewKey; None gives it as long a lifetime as the old key had.

        A successor from an earlier rotation whose delivery was not recorded may be in use all the same: it is revoked
        only if its id is in `revoking`, else Refused is raised. See `undelivered_successors`.

        Returns both keys, without the new one's text. Raises NotDelivered if that could not be delivered; the new key
        is then revoked, and the old one is unchanged.
        """
        now = self._clock()
        if grace is None:
            grace = self._store.profile.lifetime.grace
        with self._store.read() as connection:
            before = keys.get(connection, selector)
        lifecycle.refuse_unrotatable(before, now)
        policy.check_successor(self._store.profile, before.key)
        [text] = self._issuer.draw(before.key, 1)
        phc = "" if dry_run else self._issuer.hash([text])[text.prefix]

        def work(connection: Connection) -> Rotation:
            [old] = keys.select_for_change(connection, [selector])
            lifecycle.refuse_unrotatable(old, now)
            if old.key.scopes != before.key.scopes or keys.taken(connection, [text.prefix]):
                raise Refused(f"{old.key.prefix} was changed by another process", hint="retry the command")
            for earlier in keys.undelivered_successors(connection, old.key.id):
                if earlier.key.id not in revoking:
                    raise Refused(
                        f"{earlier.key.prefix}, from another rotation of {old.key.prefix}, may have been delivered",
                        hint=f"if it was: {_finish(old.key)}; if not: keyctl rotate {old.key.prefix} --yes",
                    )
                self._issuer.revoke_in(connection, [earlier], now=now, reason=lifecycle.UNDELIVERED)
            successor = replace(
                old.key,
                id=counters.new_ids(connection, "key", self._store.profile.key_ids, now=now)[0],
                prefix=text.prefix,
                phc=phc,
                created_at=now,
                created_by=str(self._actor),
                delivered_at=None,
                expires_at=self._successor_expiry(old.key, expires, now),
                locked_at=None,
                locked_until=None,
                replaces=old.key.id,
                last_used_at=None,
            )
            retired = replace(old.key, **lifecycle.end_of_replaced(old.key, successor.id, grace, now))
            rotation = Rotation(
                new=KeyRecord(replace(successor, delivered_at=now), old.owners), old=KeyRecord(retired, old.owners)
            )
            if not dry_run:
                keys.add(connection, [successor])
                self._issuer.note_minted(connection, [key_entry(successor)], successor, at=now, reason=reason)
                delivery.prepare([Successor(rotation.new, text.text, rotation.old)])
            return rotation

        rotation = self._issuer.commit(work, delivery, dry_run=dry_run)
        if not dry_run:
            self._issuer.hand_over(delivery, [rotation.new])
            self._issuer.after_delivery(
                [rotation.new],
                lambda connection: self._retire(connection, rotation, grace, now=now, reason=reason),
                finish=f"finish the rotation: {_finish(rotation.old.key)}; "
                f"rotating {rotation.old.key.prefix} again would revoke {rotation.new.key.prefix}",
            )
        return rotation

    def undelivered_successors(self, selector: str) -> list[KeyRecord]:
        """Return the successors of a key whose delivery was not recorded: a command was killed, or its store failed."""
        with self._store.read() as connection:
            return keys.undelivered_successors(connection, keys.get(connection, selector).key.id)

    # ── changes of state ─────────────────────────────────────────────────────────────────────────────────────────

    def revoke(
        self,
        selectors: Sequence[str],
        *,
        if_unused_for: timedelta | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Change]:
        """Revoke keys permanently.

        With `if_unused_for`, raises Refused if one was used within that time, or if the recorders of the store did not
        report through the whole of it.
        """
        now = self._clock()

        def values(connection: Connection, record: KeyRecord) -> Mapping[str, Any]:
            if record.key.revoked_at is not None:
                return {}
            if if_unused_for is not None:
                lifecycle.refuse_in_use(record.key, if_unused_for, now)
                recorders.refuse_unless_reported(usage.instances(connection), if_unused_for, now)
            return {"revoked_at": now, "revoked_reason": reason}

        return self._change(selectors, "key.revoked", values, now=now, reason=reason, dry_run=dry_run)

    def lock(
        self,
        selectors: Sequence[str],
        *,
        duration: timedelta | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Change]:
        """Lock keys for `duration`, or with None until they are unlocked."""
        now = self._clock()
        until = now + duration if duration is not None else None

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            lifecycle.refuse_ended(record.key, now, "locked")
            if record.key.locked(now) and record.key.locked_until is None and until is None:
                return {}
            return {"locked_at": now, "locked_until": until}

        return self._change(selectors, "key.locked", values, now=now, reason=reason, dry_run=dry_run)

    def unlock(self, selectors: Sequence[str], *, reason: str | None = None, dry_run: bool = False) -> list[Change]:
        """Unlock keys. A key that is not locked stays as it is."""
        now = self._clock()

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            lifecycle.refuse_revoked(record.key, "unlocked")
            return {"locked_at": None, "locked_until": None} if record.key.locked(now) else {}

        return self._change(selectors, "key.unlocked", values, now=now, reason=reason, dry_run=dry_run)

    def expire(
        self, selectors: Sequence[str], to: str, *, reason: str | None = None, dry_run: bool = False
    ) -> list[Change]:
        """Set when keys expire. `to` is a duration from now (`30d`), an RFC 3339 time with a zone, or `never`."""
        now = self._clock()
        parse_when(to, now=now)

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            key = record.key
            lifecycle.refuse_revoked(key, "given a new expiry")
            moment = policy.expiry(self._store.profile, to, created_at=key.created_at, now=now)
            if key.replaced_by and key.expires_at and (moment is None or moment > key.expires_at):
                raise Refused(
                    f"{key.prefix} was replaced and expires at {format_time(key.expires_at)}: it cannot be extended",
                    hint=f"its successor: keyctl show {key.replaced_by}",
                )
            return {"expires_at": moment}

        return self._change(selectors, "key.expiry_set", values, now=now, reason=reason, dry_run=dry_run)

    def scope(
        self, selectors: Sequence[str], change: ScopeChange, *, reason: str | None = None, dry_run: bool = False
    ) -> list[Change]:
        """Add, remove or replace scopes, as far as the profile allows."""
        profile, now = self._store.profile, self._clock()
        add, remove = (policy.known_scopes(profile, names) for names in (change.add, change.remove))
        only = policy.known_scopes(profile, change.only) if change.only is not None else None
        if profile.scopes.assign == "owner_kind":
            raise Refused(f'scopes follow from the owner\'s kind in profile "{profile.name}"')

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            key = record.key
            lifecycle.refuse_revoked(key, "given new scopes")
            kept = [scope for scope in (key.scopes if only is None else only) if scope not in remove]
            wanted = tuple(dict.fromkeys((*kept, *add)))
            if profile.scopes.primary == "first" and key.scopes[:1] != wanted[:1]:
                raise Refused(
                    f"{key.scopes[0] if key.scopes else 'none'} is the primary scope of {key.prefix}, and is fixed",
                    hint="mint a key with another primary scope, and revoke this one",
                )
            policy.check_scopes(profile, wanted, record.owner)
            return {"scopes": wanted}

        return self._change(selectors, "key.scopes_set", values, now=now, reason=reason, dry_run=dry_run)

    def update(
        self, selectors: Sequence[str], new: Update, *, reason: str | None = None, dry_run: bool = False
    ) -> list[Change]:
        """Change the name, the allowed networks or metadata of keys."""
        wanted: dict[str, Any] = {}
        if new.name is not None:
            wanted["name"] = checked_text("name", new.name) if new.name else None
        if new.allowed_ips is not None:
            wanted["allowed_ips"] = parse_networks(new.allowed_ips)
        pairs = policy.metadata(new.metadata)

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            if not pairs:
                return wanted
            merged = {name: value for name, value in {**record.key.metadata, **pairs}.items() if value}
            return {**wanted, "metadata": merged}

        return self._change(selectors, "key.updated", values, now=self._clock(), reason=reason, dry_run=dry_run)

    def _change(
        self,
        selectors: Sequence[str],
        action: str,
        values: Callable[[Connection, KeyRecord], Mapping[str, Any]],
        *,
        now: datetime,
        reason: str | None,
        dry_run: bool,
    ) -> list[Change]:
        """Set on each selected key what `values` returns for it, in one transaction."""

        def work(connection: Connection) -> list[Change]:
            changes = []
            entries = []
            written = {}
            for record in keys.select_for_change(connection, selectors):
                wanted = values(connection, record)
                changed = {name: value for name, value in wanted.items() if getattr(record.key, name) != value}
                if changed:
                    keys.set_columns(connection, record.key.id, **changed)
                    entries.append(key_entry(record.key, changed))
                    written[record.key.id] = changed
                after = KeyRecord(replace(record.key, **changed), record.owners)
                changes.append(Change(after, bool(changed)))
            keys.check_written(connection, written)
            events.append_for_keys(connection, entries, {}, at=now, actor=self._actor, action=action, reason=reason)
            return changes

        return self._store.write(work, dry_run=dry_run)

    # ── properties of new keys ───────────────────────────────────────────────────────────────────────────────────

    def _owner(self, new: NewKey, now: datetime) -> Owner | None:
        """Return the new key's owner. One that is still to be created has no id yet."""
        if new.owner is None:
            if self._store.profile.owners.required:
                raise Refused(
                    f'a key needs an owner in profile "{self._store.profile.name}"', hint="add --owner HANDLE"
                )
            return None
        with self._store.read() as connection:
            find = owners.find if new.create_owner else owners.get
            owner = find(connection, new.owner.handle)
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

    def _successor_expiry(self, old: Key, expires: str | None, now: datetime) -> datetime | None:
        if expires is not None:
            return policy.expiry(self._store.profile, expires, created_at=now, now=now)
        maximum = self._store.profile.lifetime.maximum
        lifetime = old.expires_at - old.created_at if old.expires_at else maximum
        return later(now, min(lifetime, maximum or lifetime)) if lifetime else None

    def _retire(
        self, connection: Connection, rotation: Rotation, grace: timedelta, *, now: datetime, reason: str | None
    ) -> None:
        new, old = rotation.new.key, rotation.old.key
        current_new = keys.select_for_change(connection, [new.id])[0].key
        current_old = keys.select_for_change(connection, [old.id])[0].key
        if current_new.revoked_at is not None or current_old.replaced_by is not None:
            raise Refused(
                f"another process rotated {old.prefix} first: {new.prefix}, which was just delivered, is revoked",
                hint=f"keyctl show {old.prefix}",
            )
        ended = lifecycle.end_of_replaced(current_old, new.id, grace, now)
        keys.set_columns(connection, new.id, delivered_at=now)
        keys.set_columns(connection, old.id, **ended)
        keys.check_written(connection, {new.id: {"delivered_at": now}, old.id: ended})
        entries = [key_entry(current_new, {"delivered_at": now}), key_entry(current_old, ended)]
        events.append_for_keys(connection, entries, {}, at=now, actor=self._actor, action="key.rotated", reason=reason)


def _finish(old: Key) -> str:
    """Return the commands that end a key after its successor was delivered."""
    return f"keyctl revoke {old.prefix}, or keyctl expire {old.prefix} --to TIME"
