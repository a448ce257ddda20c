"""The platform's HTTP responses to minting and revoking a key, and to adding an owner, for `--http`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli.context import CommandContext
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from keyctl.admin.owners import OwnerChange
    from keyctl.models import KeyRecord


def require_answer(context: CommandContext, name: str) -> None:
    """Raise UsageError unless the store's profile has the response `name`. Called before anything is changed."""
    from keyctl.profiles.http import rules_of

    profile = context.store.profile
    if name not in rules_of(profile).responses:
        raise UsageError(
            f'profile "{profile.name}" has no HTTP response for this command',
            hint=f"define it in the profile: [http.responses.{name}]",
        )


def administration_answer(context: CommandContext, name: str, record: KeyRecord, *, text: str | None = None) -> str:
    """Return the response `minted` or `revoked` of the store's profile, which must have one."""
    from keyctl.http.responses import answer_administration
    from keyctl.profiles.http import rules_of

    profile = context.store.profile
    answer = answer_administration(profile, rules_of(profile), name, record, text=text)
    if answer is None:
        raise RuntimeError(f"no response {name}: call require_answer first")
    return str(answer)


def owner_answer(context: CommandContext, change: OwnerChange) -> str:
    """Return the response `owner_added` or `owner_found` of the store's profile, which must have one."""
    from keyctl.http.responses import answer_owner
    from keyctl.profiles.http import rules_of

    answer = answer_owner(rules_of(context.store.profile), change.owner, added=change.changed)
    if answer is None:
        raise RuntimeError("no response owner_added: call require_answer first")
    return str(answer)
