"""What a profile allows when keys and owners are created or changed. Pure.

Every function returns what to store, or raises UsageError for an invalid value, or Refused for what the profile does
not allow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from keyctl.errors import Refused, UsageError, suggestion
from keyctl.models import Key, Owner
from keyctl.origins import parse_origin
from keyctl.profiles.limits import parse_limits
from keyctl.profiles.model import ATTRIBUTE_TYPES, HANDLE, Attribute, OwnerKind, Profile
from keyctl.text import brief, checked_text
from keyctl.times import format_duration, parse_when

_LONGEST_VALUE = 1000
_METADATA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}", re.ASCII)
_TRUE_AND_FALSE = {"true": True, "yes": True, "false": False, "no": False}


def handle(value: str) -> str:
    if not HANDLE.fullmatch(value):
        raise UsageError(
            f'"{brief(value)}" is not a valid owner handle',
            hint="use 1 to 200 letters, digits and . _ @ + : - beginning with a letter or digit: acme, jane@acme.com",
        )
    return value


def metadata(pairs: Iterable[str]) -> dict[str, str]:
    """Read `NAME=VALUE` texts."""
    read = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not _METADATA_NAME.fullmatch(name):
            raise UsageError(f'"{brief(pair)}" is not NAME=VALUE', hint="for example: --meta team=billing")
        read[name] = checked_text(f"value of {name}", value, longest=_LONGEST_VALUE) if value else ""
    return read


def environment(profile: Profile, name: str | None) -> str:
    known = list(profile.environments.values())
    if name is None:
        return profile.default_environment
    if name not in known:
        listing = f"known: {', '.join(known)}"
        raise UsageError(
            f'unknown environment "{brief(name)}" in profile "{profile.name}"',
            hint=suggestion(name, known, otherwise=listing),
        )
    return name


def known_scopes(profile: Profile, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without duplicates. Raises UsageError for one that the profile does not have."""
    for name in names:
        if name not in profile.scopes.catalogue:
            raise UsageError(
                f'unknown scope "{brief(name)}" in profile "{profile.name}"',
                hint=suggestion(name, profile.scopes.catalogue, otherwise="see: keyctl profile show"),
            )
    return tuple(dict.fromkeys(names))


def scopes(profile: Profile, asked: Sequence[str] | None, owner: Owner | None) -> tuple[str, ...]:
    """Return the scopes of a new key. `asked` is None for the profile's defaults."""
    rules = profile.scopes
    named = known_scopes(profile, asked) if asked is not None else None
    if rules.assign == "owner_kind":
        following = tuple(s.name for s in rules.catalogue.values() if owner and owner.kind in s.owner_kinds)
        if owner is None:
            raise Refused("the scope depends on the owner's kind, and no owner was given", hint="add --owner HANDLE")
        if named is not None and named != following:
            raise Refused(f"the scope of a key for {_article(owner.kind)} is {following[0]}", hint="omit --scope")
        return following
    chosen = profile.default_scopes if named is None else named
    check_scopes(profile, chosen, owner)
    return chosen


def check_scopes(profile: Profile, chosen: Sequence[str], owner: Owner | None) -> None:
    """Raise Refused unless a key of this owner may have exactly these scopes."""
    rules = profile.scopes
    kind, plan = (owner.kind, owner.plan) if owner else (None, None)
    for name in chosen:
        scope = rules.catalogue.get(name)
        if scope is None or scope.available_to(kind, plan):
            continue
        if scope.owner_kinds and kind not in scope.owner_kinds:
            holder = _article(kind) if kind else "a key without an owner"
            raise Refused(f"scope {name} is not for {holder}: only for {', '.join(scope.owner_kinds)}")
        has = f"the owner has the plan {plan}" if plan else "the owner has no plan" if owner else "the key has no owner"
        raise Refused(f"scope {name} needs the plan {' or '.join(scope.plans)}, and {has}")
    if rules.exclusive and len(chosen) > 1:
        raise Refused(f"a key can have only one scope in this profile, not {len(chosen)}")
    if rules.required and not chosen:
        raise Refused("a scope is required in this profile", hint=f"add --scope: {', '.join(rules.catalogue)}")
    first = rules.catalogue.get(chosen[0]) if chosen else None
    if profile.key_format.has("scope") and not (first and first.tag):
        raise Refused(
            "the first scope is part of the key's text, and this one has no tag", hint="see: keyctl profile show"
        )


def check_successor(profile: Profile, key: Key) -> None:
    """Raise Refused if the text of a successor cannot be made: the profile has changed since, and the key was expired.

    What a live key has is never removed from a profile.
    """
    missing = None
    if key.environment not in profile.environments.values():
        missing = f'environment "{key.environment}"'
    elif profile.key_format.has("scope") and (not key.scopes or key.scopes[0] not in profile.scopes.catalogue):
        missing = f'primary scope "{key.scopes[0]}"' if key.scopes else "key without a primary scope"
    if missing:
        raise Refused(
            f'{key.prefix} cannot be rotated: profile "{profile.name}" has no {missing}',
            hint=f"keyctl mint, and then: keyctl revoke {key.prefix}",
        )


def expiry(profile: Profile, asked: str | None, *, created_at: datetime, now: datetime) -> datetime | None:
    """Return when a key expires. `asked` is as for `parse_when`, or None for the profile's default."""
    lifetime = profile.lifetime
    if asked is None:
        return now + lifetime.default if lifetime.default else None
    moment = parse_when(asked, now=now)
    if lifetime.maximum and (moment is None or moment > created_at + lifetime.maximum):
        raise Refused(
            f'"{asked}" exceeds the maximum lifetime in profile "{profile.name}": {format_duration(lifetime.maximum)}',
            hint=f"--expires {format_duration(lifetime.maximum)}",
        )
    return moment


def owner_kind(profile: Profile, name: str | None) -> OwnerKind:
    kinds = profile.owners.kinds
    if name is None:
        return kinds[profile.owners.default_kind]
    if name not in kinds:
        raise UsageError(
            f'unknown kind of owner "{brief(name)}" in profile "{profile.name}"',
            hint=suggestion(name, kinds, otherwise=f"known: {', '.join(kinds)}"),
        )
    return kinds[name]


def plan(profile: Profile, name: str | None) -> str | None:
    return known_plan(profile, name) if name is not None else profile.default_plan


def known_plan(profile: Profile, name: str) -> str:
    if name not in profile.plans:
        known = f"known: {', '.join(profile.plans)}" if profile.plans else "this profile has no plans"
        raise UsageError(
            f'unknown plan "{brief(name)}" in profile "{profile.name}"',
            hint=suggestion(name, profile.plans, otherwise=known),
        )
    return name


def owner_limits(profile: Profile, plan: str | None, attributes: Mapping[str, Any]) -> None:
    """Raise Refused if the keys of such an owner would have no rate limits, and the profile requires them."""
    if not profile.limits.required:
        return
    if plan is None or plan not in profile.plans:
        hint = f"add --plan PLAN: {', '.join(profile.plans)}"
        raise Refused(
            f'an owner without a plan has no rate limits, and profile "{profile.name}" requires them', hint=hint
        )
    if profile.plans[plan].limits_from == "owner" and not attributes.get("limits"):
        hint = "add --attr limits=100000/1h,10000/1m"
        raise Refused(f"the plan {plan} has no rate limits of its own: the owner needs the attribute limits", hint=hint)


def parent(profile: Profile, kind: OwnerKind, above: Owner | None) -> None:
    """Raise Refused unless an owner of this kind may have `above` as its parent."""
    if above is not None and kind.parent is None:
        raise Refused(f'{_article(kind.name)} cannot have a parent in profile "{profile.name}"', hint="omit --parent")
    if above is not None and above.kind != kind.parent:
        raise Refused(
            f"{_article(kind.name)} must belong to {_article(kind.parent or '')}, "
            f"and {above.handle} is {_article(above.kind)}"
        )
    if above is None and kind.parent not in (None, kind.name):
        raise Refused(f"{_article(kind.name)} must belong to {_article(kind.parent or '')}", hint="add --parent HANDLE")


def attributes(kind: OwnerKind, pairs: Iterable[str], current: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read `NAME=VALUE` texts as the kind's attributes. An empty value removes one of `current`, those already set."""
    values = (
        dict(current)
        if current is not None
        else {name: attribute.default for name, attribute in kind.attributes.items() if attribute.default is not None}
    )
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f'"{brief(pair)}" is not NAME=VALUE', hint="for example: --attr region=eu")
        if name not in kind.attributes:
            known = f"known: {', '.join(kind.attributes)}" if kind.attributes else "this kind has no attributes"
            raise UsageError(
                f'{_article(kind.name)} has no attribute "{brief(name)}"',
                hint=suggestion(name, kind.attributes, otherwise=known),
            )
        if value:
            values[name] = _attribute(name, kind.attributes[name], value)
        else:
            values.pop(name, None)
    for name, attribute in kind.attributes.items():
        if attribute.required and name not in values:
            raise Refused(f"{_article(kind.name)} requires the attribute {name}", hint=f"add --attr {name}=VALUE")
    return values


def _attribute(name: str, attribute: Attribute, value: str) -> Any:
    type_name = attribute.type
    if ATTRIBUTE_TYPES[type_name] is list:
        items = [checked_text(f"attribute {name}", item.strip()) for item in value.split(",") if item.strip()]
        if type_name == "limits":
            parse_limits(items)
        return list(dict.fromkeys(map(parse_origin, items))) if attribute.origins else items
    if ATTRIBUTE_TYPES[type_name] is int:
        if not re.fullmatch(r"-?\d{1,15}", value, re.ASCII):
            raise UsageError(f'attribute {name} must be a whole number, not "{brief(value)}"')
        return int(value)
    if ATTRIBUTE_TYPES[type_name] is bool:
        if value not in _TRUE_AND_FALSE:
            raise UsageError(f'attribute {name} must be true or false, not "{brief(value)}"')
        return _TRUE_AND_FALSE[value]
    return checked_text(f"attribute {name}", value, longest=_LONGEST_VALUE)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" and not noun.lower().startswith("user") else f"a {noun}"
