"""The filters of keys, as every command that lists or changes keys takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from keyctl import policy
from keyctl.cli.options import split_commas
from keyctl.errors import UsageError, suggestion
from keyctl.models import Status
from keyctl.text import brief
from keyctl.times import parse_duration, parse_since, utc_now

if TYPE_CHECKING:
    from keyctl.cli.context import CommandContext
    from keyctl.profiles.model import Profile
    from keyctl.store.selection import Filters

T = TypeVar("T")
_PANEL = "Filters"
_Values = list[str] | None


def _option(metavar: str, text: str, *names: str) -> Any:
    return typer.Option(*names, metavar=metavar, rich_help_panel=_PANEL, help=text)


@dataclass(frozen=True)
class FilterOptions:
    """The filters as they were typed. Values of one option are alternatives; different options must all be met."""

    status: Annotated[
        _Values, _option("STATUS", "With status active, retiring, disabled, locked, expired or revoked.")
    ] = None
    owner: Annotated[_Values, _option("HANDLE", "Keys of this owner.")] = None
    below: Annotated[
        bool, typer.Option("--below", rich_help_panel=_PANEL, help="With --owner: also keys of the owners below it.")
    ] = False
    env: Annotated[_Values, _option("ENV", "Keys in this environment.")] = None
    scope: Annotated[_Values, _option("SCOPE", "Keys with this scope.")] = None
    plan: Annotated[_Values, _option("PLAN", "Keys of owners on this plan.")] = None
    meta: Annotated[_Values, _option("K=V", "Keys with this metadata.")] = None
    name: Annotated[_Values, _option("TEXT", "Keys whose name contains TEXT, or matches a pattern: 'ci-*'.")] = None
    created_by: Annotated[_Values, _option("TEXT", "Keys whose creator contains TEXT, or matches a pattern.")] = None
    created_since: Annotated[_Values, _option("TIME", "Keys created since TIME, or TIME ago.")] = None
    created_before: Annotated[_Values, _option("TIME", "Keys created before TIME, or TIME ago.")] = None
    expires_within: Annotated[_Values, _option("TIME", "Keys that expire within TIME.")] = None
    older_than: Annotated[_Values, _option("TIME", "Keys created more than TIME ago.")] = None
    unused_for: Annotated[_Values, _option("TIME", "Keys not used for TIME.")] = None
    due: Annotated[
        bool,
        typer.Option("--due", rich_help_panel=_PANEL, help="Active keys that are due for rotation, by the profile."),
    ] = False
    pepper: Annotated[_Values, _option("PEPPER", "Keys whose hash needs this pepper; none is without a pepper.")] = None

    def given(self) -> dict[str, Any]:
        """Return the filters that were given, by option."""
        return {name: value for name, value in asdict(self).items() if value and name in _NAMES}

    def described(self, filters: Filters) -> dict[str, Any]:
        """Return the filters as the header of a bundle has them: owners by id, since handles may be omitted there."""
        given = self.given() | ({"owner": list(filters.owner_ids)} if filters.owner_ids else {})
        return {{"env": "environment"}.get(name, name): value for name, value in given.items()}

    def read(self, context: CommandContext) -> Filters:
        """Return the filters with what the store knows about them. Raises UsageError and NotFound."""
        from keyctl.store import owners
        from keyctl.store.selection import Filters

        profile, now = context.store.profile, utc_now()
        if self.below and not self.owner:
            raise UsageError("--below requires --owner", hint="add --owner HANDLE, the owner above")
        owner_ids: tuple[str, ...] = ()
        if self.owner:
            with context.store.read() as connection:
                owner_ids = tuple(owners.get(connection, handle).id for handle in split_commas(self.owner) or ())
        filters = Filters(
            statuses=tuple(map(_status, split_commas(self.status) or ())),
            owner_ids=owner_ids,
            below=self.below,
            environments=tuple(policy.environment(profile, name) for name in split_commas(self.env) or ()),
            scopes=policy.known_scopes(profile, split_commas(self.scope) or ()),
            plans=tuple(policy.known_plan(profile, name) for name in split_commas(self.plan) or ()),
            metadata=tuple(pair for one in self.meta or () for pair in policy.metadata([one]).items()),
            names=_not_empty(self.name),
            created_by=_not_empty(self.created_by),
            created_since=_widest(min, lambda text: parse_since(text, now=now), self.created_since),
            created_before=_widest(max, lambda text: parse_since(text, now=now), self.created_before),
            expires_within=_widest(max, parse_duration, self.expires_within),
            older_than=_widest(min, parse_duration, self.older_than),
            unused_for=_widest(min, parse_duration, self.unused_for),
            due_after=_rotation_interval(profile) if self.due else None,
            peppers=_not_empty(self.pepper),
        )
        _refuse_contradiction(filters, now)
        return filters


_NAMES = FilterOptions.__dataclass_fields__.keys()


def _widest(widest: Callable[[list[T]], T], parse: Callable[[str], T], texts: Sequence[str] | None) -> T | None:
    """Return the value that the alternatives come to; None if there is none."""
    return widest([parse(text) for text in texts]) if texts else None


def _not_empty(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Return the texts. Raises UsageError for an empty one, which a script has by mistake: every name contains it."""
    if not all(text.strip() for text in texts or ()):
        raise UsageError("an empty value is not allowed", hint="omit the option, or give a value")
    return tuple(texts or ())


def _refuse_contradiction(filters: Filters, now: datetime) -> None:
    """Refuse what no key can meet at any time, because it was typed wrongly."""
    since, before = filters.created_since, filters.created_before
    if since is not None and before is not None and since >= before:
        raise UsageError("--created-since is not before --created-before: no key can match both")
    if filters.older_than is not None and since is not None and now - filters.older_than < since:
        raise UsageError("--older-than and --created-since cannot both match a key")
    if filters.due_after is not None and filters.statuses and Status.ACTIVE not in filters.statuses:
        raise UsageError("--due is for active keys: no key can match --status as well", hint="omit --status")
    if filters.expires_within is not None and filters.statuses == (Status.EXPIRED,):
        raise UsageError("--expires-within is for keys that are not expired yet", hint="omit --expires-within")


def _rotation_interval(profile: Profile) -> timedelta:
    if profile.lifetime.rotate_every is None:
        raise UsageError(
            f'profile "{profile.name}" does not say how often keys are to be rotated',
            hint="keyctl list --older-than TIME; or set lifetime.rotate_every in the profile",
        )
    return profile.lifetime.rotate_every


def _status(name: str) -> Status:
    try:
        return Status(name)
    except ValueError:
        known = f"known: {', '.join(reversed(Status))}"
        raise UsageError(f'unknown status "{brief(name)}"', hint=suggestion(name, Status, otherwise=known)) from None
