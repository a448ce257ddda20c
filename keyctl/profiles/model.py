"""A profile: the rules of one platform. Read from a document, checked as a whole, and immutable.

Its parts are named tuples, not dataclasses, which generate and compile their methods whenever a command starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple

from keyctl.errors import ProfileInvalid, UsageError
from keyctl.keyformat import KeyFormat
from keyctl.origins import parse_origin
from keyctl.profiles.foreign import Foreign, read_foreign
from keyctl.profiles.key_formats import NAME, read_environments, read_key_format
from keyctl.profiles.lifetime import Lifetime, read_lifetime
from keyctl.profiles.limits import (
    Limit,
    LimitRules,
    check_limit_rules,
    check_owners_limits,
    parse_limits,
    read_limit_rules,
    read_limits,
)
from keyctl.profiles.reader import Table

SCOPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/-]{0,99}", re.ASCII)
HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:-]{0,199}", re.ASCII)  # of an owner
_MOST_SCOPES = 1000  # each glob of `implies` is compared with all of them
_LONGEST_GLOB = 100  # as scopes' names are
_LONGEST_KEPT = 100_000  # hours of which the use is counted one by one
_LONGEST_REFRESH = 86400  # seconds that a verifier may not notice a change
# `limits` is a list of rate limits as people write them: 5000/1h
ATTRIBUTE_TYPES: Mapping[str, type] = {"text": str, "integer": int, "boolean": bool, "list": list, "limits": list}


class Scope(NamedTuple):
    """One permission. Empty `owner_kinds` or `plans` mean all of them; `implies` are globs over scope names."""

    name: str
    description: str = ""
    tag: str | None = None
    owner_kinds: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    implies: tuple[str, ...] = ()

    def available_to(self, owner_kind: str | None, plan: str | None) -> bool:
        return (not self.owner_kinds or owner_kind in self.owner_kinds) and (not self.plans or plan in self.plans)


class ScopeRules(NamedTuple):
    """How scopes are assigned. `assign` is `request` or `owner_kind` (the scope follows from the owner's kind)."""

    catalogue: Mapping[str, Scope]
    assign: str = "request"
    exclusive: bool = False
    required: bool = False
    primary: str | None = None


class Attribute(NamedTuple):
    """An attribute of owners. `type` is a key of ATTRIBUTE_TYPES; `bundle` includes it in bundles.

    `origins` is whether it is the list that `http.cors.origins_from` names: then its texts are origins.
    """

    type: str
    required: bool = False
    bundle: bool = False
    default: object = None
    description: str = ""
    origins: bool = False


class OwnerKind(NamedTuple):
    name: str
    description: str = ""
    parent: str | None = None
    attributes: Mapping[str, Attribute] = MappingProxyType({})


class OwnerRules(NamedTuple):
    """The owners of keys. `isolation` is `exact` or `subtree`: the owners whose resources a key reaches."""

    kinds: Mapping[str, OwnerKind]
    default_kind: str
    required: bool = False
    isolation: str = "exact"


class Plan(NamedTuple):
    """`limits_from` is `plan`, or `owner`: the limits are then the owner's own."""

    name: str
    description: str = ""
    limits: tuple[Limit, ...] = ()
    limits_from: str = "plan"


class Service(NamedTuple):
    name: str
    url: str


@dataclass(frozen=True)
class Profile:
    """The rules of one platform. `document` is what it was read from; the store keeps it."""

    name: str
    description: str
    key_format: KeyFormat
    foreign: tuple[Foreign, ...]
    environments: Mapping[str, str]
    key_ids: str
    owner_ids: str
    default_environment: str
    default_scopes: tuple[str, ...]
    default_plan: str | None
    default_owner: str | None
    scopes: ScopeRules
    owners: OwnerRules
    plans: Mapping[str, Plan]
    lifetime: Lifetime
    limits: LimitRules
    refresh_seconds: int
    usage_keep_hours: int
    services: tuple[Service, ...]
    document: Mapping[str, Any] = field(repr=False)

    def to_json(self) -> str:
        """Return the document as the store keeps it."""
        return json.dumps(self.document, separators=(",", ":"), ensure_ascii=False)

    @property
    def formats(self) -> tuple[KeyFormat, ...]:
        """The formats of keys: of those that are minted, then of foreign ones."""
        return (self.key_format, *(one.key_format for one in self.foreign))

    def tag_of_environment(self, environment: str) -> str:
        return next(tag for tag, name in self.environments.items() if name == environment)


def read_profile(
    document: Mapping[str, Any], *, source: str, also: Callable[[Table, Profile], object] | None = None
) -> Profile:
    """Read and check a profile. Raises ProfileInvalid with every fault, each beginning with its path.

    `also` reads the rules for HTTP: most verifications are not of requests, and do without.
    """
    faults: list[str] = []
    root = Table(document, "", faults)
    name = root.text("name")
    if not faults and not NAME.fullmatch(name):
        root.fault("name", f'"{name[:40]}" may hold only letters, digits and . _ -')
    plans = _read_plans(root)
    owners = _read_owners(root)
    scopes = _read_scopes(root, owners, plans)
    key = root.table("key")
    environments = read_environments(key)
    key_format = read_key_format(key, environments, scopes)
    foreign = read_foreign(root, key_format)
    ids = root.table("ids")
    defaults = root.table("defaults")
    verification = root.table("verification")
    usage = root.table("usage")
    profile = Profile(
        name=name,
        description=root.text("description", ""),
        key_format=key_format,
        foreign=foreign,
        environments=environments,
        key_ids=ids.text("key", "ulid", choices=("ulid", "serial")),
        owner_ids=ids.text("owner", "ulid", choices=("ulid", "serial")),
        default_environment=defaults.text("environment", next(iter(environments.values()), "")),
        default_scopes=defaults.texts("scopes"),
        default_plan=defaults.text("plan", None),
        default_owner=defaults.text("owner", None),
        scopes=scopes,
        owners=owners,
        plans=plans,
        lifetime=read_lifetime(root),
        limits=read_limit_rules(root),
        refresh_seconds=verification.integer("refresh_seconds", 1, maximum=_LONGEST_REFRESH),
        usage_keep_hours=usage.integer("keep_hours", 720, minimum=1, maximum=_LONGEST_KEPT),
        services=_read_services(root),
        document=dict(document),
    )
    _check_defaults(profile, defaults)
    check_owners_limits(root, profile)
    check_limit_rules(root, profile)
    root.raw("http")
    if also:
        also(root, profile)
    for table in (key, ids, defaults, verification, usage, root):
        table.finish()
    if faults:
        raise ProfileInvalid(source, faults)
    return profile


# ── the sections, in the document's order ────────────────────────────────────────────────────────────────────────────


def _read_plans(root: Table) -> dict[str, Plan]:
    plans = {}
    for name, table in root.tables("plans"):
        limits = read_limits(table)
        limits_from = table.text("limits_from", "plan", choices=("plan", "owner"))
        if limits and limits_from == "owner":
            table.fault("limits", 'and limits_from = "owner" contradict each other')
        plans[name] = Plan(name, table.text("description", ""), limits, limits_from)
        table.finish()
    return plans


def _read_owners(root: Table) -> OwnerRules:
    table = root.table("owners")
    origins = root.peek("http", "cors", "origins_from")
    kinds = {}
    for name, kind in table.tables("kinds"):
        kinds[name] = OwnerKind(
            name=name,
            description=kind.text("description", ""),
            parent=kind.text("parent", None),
            attributes=_read_attributes(kind, origins),
        )
        kind.finish()
    kinds = kinds or {"account": OwnerKind("account")}
    for kind_name, owner_kind in kinds.items():
        if owner_kind.parent is not None and owner_kind.parent not in kinds:
            table.fault(("kinds", kind_name, "parent"), f'"{owner_kind.parent}" is not a kind of owner')
    rules = OwnerRules(
        kinds=kinds,
        default_kind=table.text("default_kind", next(iter(kinds)), choices=kinds),
        required=table.boolean("required", default=False),
        isolation=table.text("isolation", "exact", choices=("exact", "subtree")),
    )
    table.finish()
    return rules


def _read_attributes(kind: Table, origins: object) -> dict[str, Attribute]:
    attributes = {}
    for name, table in kind.tables("attributes"):
        type_name = table.text("type", "text", choices=ATTRIBUTE_TYPES)
        default = table.raw("default")
        if default is not None and type(default) is not ATTRIBUTE_TYPES[type_name]:
            table.fault("default", f"is not of type {type_name}")
        elif isinstance(default, list) and not all(isinstance(item, str) for item in default):
            table.fault("default", "expected a list of texts")
        elif isinstance(default, list) and type_name == "limits":
            _check_limits(table, default)
        elif isinstance(default, list) and name == origins:
            _check_origins(table, default)
        attributes[name] = Attribute(
            type=type_name,
            required=table.boolean("required", default=False),
            bundle=table.boolean("bundle", default=False),
            default=default,
            description=table.text("description", ""),
            origins=type_name == "list" and name == origins,
        )
        table.finish()
    return attributes


def _check_limits(table: Table, texts: list[str]) -> None:
    try:
        parse_limits(texts)
    except UsageError as error:
        table.fault("default", error.message)


def _check_origins(table: Table, texts: list[str]) -> None:
    for text in texts:
        try:
            origin = parse_origin(text)
        except UsageError as error:
            table.fault("default", error.message)
        else:
            if origin != text:
                table.fault("default", f"browsers send {text} as {origin}")


def _read_scopes(root: Table, owners: OwnerRules, plans: Mapping[str, Plan]) -> ScopeRules:
    table = root.table("scopes")
    catalogue: dict[str, Scope] = {}
    for name, entry in table.tables("list"):
        catalogue[name] = Scope(
            name=name,
            description=entry.text("description", ""),
            tag=entry.text("tag", None),
            owner_kinds=entry.texts("owner_kinds"),
            plans=entry.texts("plans"),
            implies=entry.texts("implies"),
        )
        _check_known(entry, "owner_kinds", catalogue[name].owner_kinds, owners.kinds)
        _check_known(entry, "plans", catalogue[name].plans, plans)
        entry.finish()
    for matrix in table.array("matrix"):
        catalogue |= _read_matrix(matrix, catalogue)
    if len(catalogue) > _MOST_SCOPES:
        table.fault("", f"has {len(catalogue):,} scopes: at most {_MOST_SCOPES:,}")
        return ScopeRules({})
    for name, scope in catalogue.items():
        if not SCOPE_NAME.fullmatch(name):
            table.fault(("list", name[:40]), "a scope's name may hold only letters, digits and : . _ / -")
        for glob in scope.implies:
            if len(glob) > _LONGEST_GLOB:
                table.fault(("list", name, "implies"), f"has a glob of more than {_LONGEST_GLOB} characters")
            elif not any(fnmatchcase(other, glob) for other in catalogue if other != name):
                table.fault(("list", name, "implies"), f'"{glob}" matches no other scope')
    tags = [scope.tag for scope in catalogue.values() if scope.tag]
    if len(set(tags)) < len(tags):
        table.fault("list", "gives one tag to two scopes")
    rules = ScopeRules(
        catalogue=catalogue,
        assign=table.text("assign", "request", choices=("request", "owner_kind")),
        exclusive=table.boolean("exclusive", default=False),
        required=table.boolean("required", default=False),
        primary=table.text("primary", None, choices=("first",)),
    )
    if rules.required and not catalogue:
        table.fault("required", "requires a scope, and none is listed")
    if rules.assign == "owner_kind":
        for kind in owners.kinds:
            following = [scope.name for scope in catalogue.values() if kind in scope.owner_kinds]
            if len(following) != 1:
                table.fault("assign", f'owner_kind needs exactly one scope for the kind "{kind}", not {len(following)}')
    table.finish()
    return rules


def _read_matrix(matrix: Table, catalogue: Mapping[str, Scope]) -> dict[str, Scope]:
    template = matrix.text("name", "{resource}:{action}")
    if "{resource}" not in template or "{action}" not in template:
        matrix.fault("name", "needs {resource} and {action}")
    plans = matrix.texts("plans")
    descriptions = matrix.table("descriptions")
    described = {resource: descriptions.text(resource) for resource in descriptions.names()}
    scopes = {}
    for actions, resources in (
        (("read", "write"), matrix.texts("read_write")),
        (("read",), matrix.texts("read_only")),
    ):
        for resource in resources:
            for action in actions:
                name = template.replace("{resource}", resource).replace("{action}", action)
                if name in catalogue or name in scopes:
                    matrix.fault("name", f'gives "{name}" a second time')
                scopes[name] = Scope(name, described.get(resource, ""), plans=plans)
    matrix.finish()
    return scopes


def _read_services(root: Table) -> tuple[Service, ...]:
    services = []
    for table in root.array("services"):
        services.append(Service(table.text("name"), table.text("url")))
        table.finish()
    return tuple(services)


def _check_defaults(profile: Profile, defaults: Table) -> None:
    environments = list(profile.environments.values())
    if environments and profile.default_environment not in environments:
        defaults.fault("environment", f'"{profile.default_environment}" is not one of {", ".join(environments)}')
    _check_known(defaults, "scopes", profile.default_scopes, profile.scopes.catalogue)
    if profile.scopes.exclusive and len(profile.default_scopes) > 1:
        defaults.fault("scopes", "lists several, and scopes.exclusive allows one")
    if profile.default_plan is not None:
        _check_known(defaults, "plan", (profile.default_plan,), profile.plans)
    if profile.default_owner is not None:
        if not HANDLE.fullmatch(profile.default_owner):
            defaults.fault("owner", f'"{profile.default_owner[:40]}" cannot be an owner\'s handle')
        kind = profile.owners.kinds.get(profile.owners.default_kind)
        if kind and kind.parent not in (None, kind.name):
            defaults.fault("owner", f"is added as a {kind.name}, which requires a {kind.parent} as its parent")


def _check_known(table: Table, key: str, names: tuple[str, ...], known: Mapping[str, object]) -> None:
    for name in names:
        if name not in known:
            table.fault(key, f'"{name[:40]}" is not known{table.suggest(name, known)}')
