"""Changes the profile of a store in use: nothing that a live key needs is removed, and old key formats stay valid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keyctl import policy
from keyctl.errors import Refused, UsageError
from keyctl.models import Actor, EventContent, Owner
from keyctl.origins import parse_origin
from keyctl.profiles.model import Profile
from keyctl.store import events, keys, owners, settings
from keyctl.store.database import Connection, Store
from keyctl.store.selection import Filters
from keyctl.store.setting_names import SettingName
from keyctl.text import brief
from keyctl.times import utc_now

_OF_IT = ("an owner is of it", "owners are of it")
_HAVE_IT = ("an owner has it", "owners have it")


@dataclass(frozen=True)
class ProfileChange:
    """The differences, as `+ path = value` and `- path = value`; empty if there are none."""

    differences: Sequence[str]


class ProfileAdmin:
    """Changes a store's profile. `clock` returns the current time, aware and in UTC."""

    def __init__(self, store: Store, actor: Actor, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock

    def apply(self, new: Profile, *, reason: str | None = None, dry_run: bool = False) -> ProfileChange:
        """Replace the store's profile, in one transaction with its audit event.

        With `dry_run`, everything is checked and nothing is changed. Returns the differences. Raises Refused if live
        keys or owners use something that `new` does not have, if an owner's attribute that is to hold origins holds
        something else, or if another process changed the profile.
        """
        old = self._store.profile
        differences = tuple(_differences(old.document, new.document))
        if not differences:
            return ProfileChange(())
        now = self._clock()

        def work(connection: Connection) -> None:
            if settings.read(connection)[SettingName.PROFILE] != old.to_json():
                raise Refused("the profile was changed by another process", hint="retry the command")
            self._refuse_removals(connection, old, new, now)
            kept = {
                SettingName.PROFILE: new.to_json(),
                SettingName.EARLIER_FORMATS: json.dumps(self._earlier_formats(new)),
            }
            detail = settings.change(connection, kept) | {"profile": new.name, "differences": list(differences)}
            events.append(connection, EventContent(now, self._actor, "profile.applied", reason, detail))

        self._store.write(work, dry_run=dry_run)
        return ProfileChange(differences)

    def _earlier_formats(self, new: Profile) -> list[dict[str, Any]]:
        earlier = dict.fromkeys(self._store.formats)
        for current in new.formats:
            earlier.pop(current, None)
        return [key_format.to_dict() for key_format in earlier]

    def _refuse_removals(self, connection: Connection, old: Profile, new: Profile, now: datetime) -> None:
        def refuse(what: str, name: str, users: int, one: str, several: str) -> None:
            if users:
                raise Refused(
                    f"the new profile has no {what} {name}, and {f'{users:,} {several}' if users > 1 else one}",
                    hint=f"keep {name} in the file, or change those first",
                )

        for scope in old.scopes.catalogue.keys() - new.scopes.catalogue.keys():
            users = keys.count_live(connection, Filters(scopes=(scope,)), now=now)
            refuse("scope", scope, users, "a live key holds it", "live keys hold it")
        for environment in set(old.environments.values()) - set(new.environments.values()):
            users = keys.count_live(connection, Filters(environments=(environment,)), now=now)
            refuse("environment", environment, users, "a live key is for it", "live keys are for it")
        all_owners = owners.every(connection)
        for owner_kind in old.owners.kinds.keys() - new.owners.kinds.keys():
            refuse("kind of owner", owner_kind, sum(one.kind == owner_kind for one in all_owners), *_OF_IT)
        for plan in old.plans.keys() - new.plans.keys():
            refuse("plan", plan, sum(one.plan == plan for one in all_owners), *_HAVE_IT)
        for owner in all_owners:
            try:
                policy.owner_limits(new, owner.plan, owner.attributes)
            except Refused as error:
                hint = f"first: keyctl owner update {owner.handle} --plan PLAN, or --attr limits=5000/1h"
                raise Refused(
                    f"the new profile requires rate limits, and the owner {owner.handle} has none", hint=hint
                ) from error
        for owner in all_owners:
            for name in owner.attributes.keys() - new.owners.kinds[owner.kind].attributes.keys():
                refuse("attribute", name, sum(name in one.attributes for one in all_owners), *_HAVE_IT)
        for owner in all_owners:
            _refuse_other_than_origins(new, owner)


def _refuse_other_than_origins(new: Profile, owner: Owner) -> None:
    """Raise Refused if the owner has an attribute that holds origins in the new profile, and other texts in the old."""
    for name, attribute in new.owners.kinds[owner.kind].attributes.items():
        texts = owner.attributes.get(name)
        if not attribute.origins or not isinstance(texts, list):
            continue
        for text in texts:
            try:
                origin, why = parse_origin(text), "browsers send it otherwise"
            except UsageError as error:
                origin, why = None, error.message
            if origin != text:
                right = ",".join(origin or "ORIGIN" if one == text else one for one in texts)
                held = f'owner {owner.handle} has "{brief(text)}" there'
                raise Refused(
                    f"the new profile takes origins from {name}, and {held}: {why}",
                    hint=f"first: keyctl owner update {owner.handle} --attr {name}={right}",
                )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            if path in before:
                yield f"- {path} = {before[path]}"
            if path in after:
                yield f"+ {path} = {after[path]}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the paths of a document's values. An empty table counts: a scope may have no details."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}[{i}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)
