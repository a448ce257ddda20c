"""The life of keys against a plain model: every change, in any order, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from keyctl.admin.delivery import Minted
from keyctl.admin.keys import ScopeChange
from keyctl.admin.last_use import record_use
from keyctl.admin.owners import NewOwner
from keyctl.admin.profile import ProfileAdmin
from keyctl.bundles.reload import FollowedBundle
from keyctl.bundles.signing import SigningKey
from keyctl.codes import Code
from keyctl.errors import NotDelivered, Refused
from keyctl.models import Status
from keyctl.profiles.model import read_profile
from keyctl.store import key_pages
from keyctl.store.integrity import check
from keyctl.store.selection import Filters, Selection
from keyctl.verification.keyring import Keyring
from keyctl.verifier import Verifier
from tests.bundle_files import export, trusting
from tests.fuzzing import settings_for
from tests.samples import document
from tests.stores import ACTOR, Opened

PARENTS = {"acme": None, "below": "acme", "other": None}
GRACES = {None: timedelta(hours=24), "0": timedelta(0), "30m": timedelta(minutes=30)}
EXPIRIES = {"never": None, "30m": timedelta(minutes=30), "2h": timedelta(hours=2)}


@dataclass(frozen=True)
class Known:
    """What the model knows of a key."""

    text: str
    owner: str | None
    environment: str
    scopes: frozenset[str]
    created: datetime
    expires: datetime | None
    locked: bool = False
    locked_until: datetime | None = None
    revoked: bool = False
    replaced: bool = False
    used: datetime | None = None
    name: str | None = None

    def status(self, now: datetime) -> Status:
        if self.revoked:
            return Status.REVOKED
        if self.expires is not None and self.expires <= now:
            return Status.EXPIRED
        if self.locked and (self.locked_until is None or now < self.locked_until):
            return Status.LOCKED
        return Status.RETIRING if self.replaced else Status.ACTIVE


class Broken:
    """A delivery that fails at its end."""

    def prepare(self, minted: Sequence[Any]) -> None: ...
    def hand_over(self) -> None:
        raise OSError("broken")

    def abandon(self) -> None: ...


class Lifecycle(RuleBasedStateMachine):
    """Each rule makes one change, through the same methods as the commands, and what the model says of it."""

    prefixes = Bundle("prefixes")

    def __init__(self, open_new: Callable[[], Opened], folder: Path, seen: Counter[str]) -> None:
        super().__init__()
        self.opened, self.folder, self.seen = open_new(), folder, seen
        self.known: dict[str, Known] = {}
        self.undelivered = 0
        self.disabled: set[str] = set()
        self.signing_key = SigningKey.load(folder / "signing")

    @initialize(target=prefixes)
    def begin_with_a_key_of_each_owner(self) -> Any:
        for handle, parent in PARENTS.items():
            self.opened.owners.add(NewOwner(handle, parent=parent))
        return multiple(*(self.mint_one(handle) for handle in (None, *PARENTS)))

    # ── the model ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> datetime:
        return self.opened.clock.now

    def active(self, handle: str | None) -> bool:
        while handle is not None:
            if handle in self.disabled:
                return False
            handle = PARENTS[handle]
        return True

    def status(self, known: Known) -> Status:
        status = known.status(self.now)
        works = status in (Status.RETIRING, Status.ACTIVE)
        return Status.DISABLED if works and not self.active(known.owner) else status

    def expected(self, known: Known, environment: str | None, scope: str | None) -> Code:
        """Return the code of a verification, in the order of `keyctl help verification`."""
        codes = {Status.REVOKED: Code.KEY_REVOKED, Status.EXPIRED: Code.KEY_EXPIRED, Status.LOCKED: Code.KEY_LOCKED}
        if (status := known.status(self.now)) in codes:
            return codes[status]
        if not self.active(known.owner):
            return Code.OWNER_INACTIVE
        if environment not in (None, known.environment):
            return Code.FORBIDDEN_ENVIRONMENT
        return Code.VALID if scope is None or {scope, "admin"} & known.scopes else Code.FORBIDDEN_SCOPE

    def try_to(self, allowed: bool, change: Callable[[], object]) -> bool:
        """Make a change that the model allows or refuses; return whether it was made."""
        self.seen["changes" if allowed else "refusals"] += 1
        if allowed:
            change()
        else:
            with pytest.raises(Refused):
                change()
        return allowed

    def set(self, prefix: str, **values: Any) -> None:
        self.known[prefix] = replace(self.known[prefix], **values)

    def remember(self, minted: Minted, **values: Any) -> str:
        prefix = minted.record.key.prefix
        self.known[prefix] = Known(text=minted.text, created=self.now, **values)
        return prefix

    # ── new keys ─────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        target=prefixes,
        owner=st.sampled_from([None, *PARENTS]),
        environment=st.sampled_from(["live", "test"]),
        scopes=st.sets(st.sampled_from(["read", "write", "admin"])),
        expires=st.sampled_from([*EXPIRIES]),
    )
    def mint(self, owner: str | None, environment: str, scopes: set[str], expires: str) -> Any:
        made: list[str] = []
        self.try_to(self.active(owner), lambda: made.append(self.mint_one(owner, environment, scopes, expires)))
        return multiple(*made)

    def mint_one(
        self, owner: str | None, environment: str = "live", scopes: Collection[str] = ("read",), expires: str = "never"
    ) -> str:
        [minted] = self.opened.mint(owner=owner, environment=environment, scopes=sorted(scopes), expires=expires)
        lifetime = EXPIRIES[expires]
        return self.remember(
            minted,
            owner=owner,
            environment=environment,
            scopes=frozenset(scopes),
            expires=lifetime and self.now + lifetime,
        )

    @rule(
        target=prefixes, prefix=prefixes, grace=st.sampled_from([*GRACES]), expires=st.sampled_from([None, *EXPIRIES])
    )
    def rotate(self, prefix: str, grace: str | None, expires: str | None) -> Any:
        old = self.known[prefix]
        length = None if grace is None else GRACES[grace]
        made: list[Minted] = []
        if not self.try_to(
            self.can_rotate(old), lambda: made.append(self.opened.rotate(prefix, grace=length, expires=expires))
        ):
            return multiple()
        lifetime = (old.expires and old.expires - old.created) if expires is None else EXPIRIES[expires]
        new = self.remember(
            made[0],
            owner=old.owner,
            environment=old.environment,
            scopes=old.scopes,
            expires=lifetime and self.now + lifetime,
            name=old.name,
        )
        end = self.now + GRACES[grace]
        self.set(
            prefix,
            replaced=True,
            **({"expires": min(end, old.expires or end)} if GRACES[grace] else {"revoked": True}),
        )
        assert self.verify(new) is Code.VALID  # rotation leaves no owner without a valid key
        return new

    @rule(prefix=prefixes)
    def rotate_in_vain(self, prefix: str) -> None:
        if self.try_to(self.can_rotate(self.known[prefix]), lambda: self.fail_to_rotate(prefix)):
            self.undelivered += 1
            assert self.verify(prefix) is Code.VALID

    def can_rotate(self, known: Known) -> bool:
        return known.status(self.now) is Status.ACTIVE and self.active(known.owner)

    def fail_to_rotate(self, prefix: str) -> None:
        with pytest.raises(NotDelivered):
            self.opened.rotator.rotate(Selection.named(prefix), Broken())

    # ── changes of keys ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(some=st.lists(prefixes, min_size=1, max_size=2))
    def revoke(self, some: list[str]) -> None:
        self.opened.admin.revoke(Selection.named(*some))
        for prefix in some:
            self.set(prefix, revoked=True)

    @rule(prefix=prefixes, minutes=st.sampled_from([None, 10]))
    def lock(self, prefix: str, minutes: int | None) -> None:
        length = None if minutes is None else timedelta(minutes=minutes)
        ended = self.known[prefix].status(self.now) in (Status.REVOKED, Status.EXPIRED)
        if self.try_to(not ended, lambda: self.opened.admin.lock(Selection.named(prefix), duration=length)):
            self.set(prefix, locked=True, locked_until=length and self.now + length)

    @rule(prefix=prefixes)
    def unlock(self, prefix: str) -> None:
        if self.try_to(not self.known[prefix].revoked, lambda: self.opened.admin.unlock(Selection.named(prefix))):
            self.set(prefix, locked=False)

    @rule(prefix=prefixes, to=st.sampled_from([*EXPIRIES]))
    def expire(self, prefix: str, to: str) -> None:
        known, length = self.known[prefix], EXPIRIES[to]
        end = length and self.now + length
        prolonged = known.replaced and known.expires and (end is None or end > known.expires)
        chosen = Selection.named(prefix)
        if self.try_to(not known.revoked and not prolonged, lambda: self.opened.admin.expire(chosen, to)):
            self.set(prefix, expires=end)

    @rule(prefix=prefixes, add=st.sampled_from(["read", "write", "admin"]), remove=st.sampled_from(["read", "write"]))
    def scope(self, prefix: str, add: str, remove: str) -> None:
        known, change = self.known[prefix], ScopeChange(add=[add], remove=[remove])
        if self.try_to(not known.revoked, lambda: self.opened.admin.scope(Selection.named(prefix), change)):
            self.set(prefix, scopes=(known.scopes - {remove}) | {add})

    @rule(prefix=prefixes)
    def use(self, prefix: str) -> None:
        record = self.opened.store.find(prefix)
        assert record
        record_use(self.opened.store, ACTOR, record, self.known[prefix].text, now=self.now)
        self.set(prefix, used=self.now)

    # ── what is around them ──────────────────────────────────────────────────────────────────────────────────────

    @rule(handle=st.sampled_from([*PARENTS]), disable=st.booleans())
    def change_owner(self, handle: str, disable: bool) -> None:
        (self.opened.owners.disable if disable else self.opened.owners.enable)(handle)
        (self.disabled.add if disable else self.disabled.discard)(handle)

    @rule(length=st.sampled_from([timedelta(milliseconds=1), timedelta(minutes=10), timedelta(hours=1)]))
    def time_passes(self, length: timedelta) -> None:
        self.opened.clock.now += length

    @rule(brand=st.sampled_from(["kc", "ax"]))
    def apply_profile(self, brand: str) -> None:
        new = document()
        new["key"]["brand"] = brand
        ProfileAdmin(self.opened.store, ACTOR, clock=self.opened.clock).apply(read_profile(new, source="test"))
        self.opened.store.reload()

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────

    def verify(self, prefix: str, keyring: Keyring | None = None, **asked: Any) -> Code:
        self.seen["verifications"] += 1
        verifier = Verifier(keyring or self.opened.store, clock=self.opened.clock)
        return verifier.verify(self.known[prefix].text, **asked).code

    @rule(
        prefix=prefixes,
        environment=st.sampled_from([None, "live", "test"]),
        scope=st.sampled_from([None, "read", "write", "admin"]),
    )
    def a_key_is_verified_as_the_model_says(self, prefix: str, environment: str | None, scope: str | None) -> None:
        asked: dict[str, Any] = {"env": environment, "scopes": [scope] if scope else []}

        assert self.verify(prefix, **asked) is self.expected(self.known[prefix], environment, scope)

    @rule()
    def a_bundle_of_this_moment_decides_as_the_store_does(self) -> None:
        path = self.folder / "keys.bundle"
        export(self.opened, path, self.signing_key)
        trust = trusting(self.signing_key)
        with closing(FollowedBundle(path, trust=trust, clock=self.opened.clock)) as bundle:
            for prefix, known in self.known.items():
                assert self.verify(prefix, bundle, scopes=["read"]) is self.expected(known, None, "read")

    @rule(
        status=st.none() | st.sampled_from(Status), owner=st.none() | st.sampled_from([*PARENTS]), unused=st.booleans()
    )
    def lists_hold_what_the_model_says(self, status: Status | None, owner: str | None, unused: bool) -> None:
        hour = timedelta(hours=1)
        expected = {
            prefix
            for prefix, known in self.known.items()
            if status in (None, self.status(known))
            and owner in (None, known.owner)
            and not (unused and (known.used or known.created) > self.now - hour)
        }
        owner_id = self.opened.store.find_owners(owner)[0].id if owner else None
        wanted = Filters(
            statuses=(status,) if status else (),
            owner_ids=(owner_id,) if owner_id else (),
            unused_for=hour if unused else None,
        )

        with self.opened.store.read() as connection:
            page = key_pages.page(connection, wanted, now=self.now, limit=None)

        assert {record.key.prefix for record in page.records if record.key.prefix in self.known} == expected

    @invariant()
    def every_key_is_as_the_model_says(self) -> None:
        with self.opened.store.read() as connection:
            records = key_pages.page(connection, Filters(), now=self.now, limit=None).records
        found = {record.key.prefix: record for record in records}

        assert self.known.keys() <= found.keys()
        assert len(found) == len(self.known) + self.undelivered
        for prefix, record in found.items():
            known, key = self.known.get(prefix), record.key
            if known is None:  # the successor that could not be delivered
                assert record.status(self.now) is Status.REVOKED
            else:
                assert record.status(self.now) is self.status(known)
                assert (key.expires_at, key.last_used_at) == (known.expires, known.used)
                assert (set(key.scopes), key.environment) == (known.scopes, known.environment)

    def teardown(self) -> None:
        assert check(self.opened.store).fault is None


@pytest.mark.torture
def test_keys_live_as_a_plain_model_of_them_does(
    open_new: Callable[[], Opened], tmp_path: Path, figure: Callable[[str, object], None], database: str
):
    SigningKey.create(tmp_path / "signing")
    seen: Counter[str] = Counter()

    run_state_machine_as_test(
        lambda: Lifecycle(open_new, tmp_path, seen), settings=settings_for(15, 500, stateful_step_count=25)
    )

    assert seen["changes"] > 20
    assert seen["refusals"]
    for name, count in seen.items():
        figure(f"lifecycle on {database}: {name}", f"{count:,}")
