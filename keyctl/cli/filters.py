"""The filters by which `list` and `bundle export` select keys."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from keyctl import policy
from keyctl.errors import UsageError, suggestion
from keyctl.models import Status
from keyctl.text import brief
from keyctl.times import parse_duration

if TYPE_CHECKING:
    from keyctl.cli.context import CommandContext
    from keyctl.profiles.model import Profile
    from keyctl.store.keys import Filters


def read_filters(
    context: CommandContext,
    *,
    status: str | None = None,
    owner: str | None = None,
    below: bool = False,
    env: str | None = None,
    scope: str | None = None,
    name: str | None = None,
    expires_within: str | None = None,
    older_than: str | None = None,
    unused_for: str | None = None,
    due: bool = False,
    pepper: str | None = None,
) -> tuple[Filters, dict[str, str]]:
    """Return the filters, and those that were given as they were typed. Raises UsageError and NotFound."""
    from keyctl.store import owners
    from keyctl.store.keys import Filters

    profile = context.store.profile
    if below and owner is None:
        raise UsageError("--below requires --owner", hint="add --owner HANDLE, the owner above")
    owner_id = None
    if owner is not None:
        with context.store.read() as connection:
            owner_id = owners.get(connection, owner).id
    filters = Filters(
        status=_status(status) if status is not None else None,
        owner_id=owner_id,
        below=below,
        environment=policy.environment(profile, env) if env is not None else None,
        scope=policy.known_scopes(profile, [scope])[0] if scope is not None else None,
        name=name,
        expires_within=parse_duration(expires_within) if expires_within is not None else None,
        older_than=parse_duration(older_than) if older_than is not None else None,
        unused_for=parse_duration(unused_for) if unused_for is not None else None,
        due_after=_rotation_interval(profile) if due else None,
        pepper=pepper,
    )
    given = {
        "status": status,
        "owner": owner_id,
        "environment": env,
        "scope": scope,
        "name": name,
        "expires_within": expires_within,
        "older_than": older_than,
        "unused_for": unused_for,
        "pepper": pepper,
    }
    return filters, {key: value for key, value in given.items() if value is not None}


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
