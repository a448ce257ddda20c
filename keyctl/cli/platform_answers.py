"""The platform's own answers to minting and revoking, for `--http`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli.context import CommandContext
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from keyctl.models import KeyRecord


def require_answer(context: CommandContext, name: str) -> None:
    """Raise UsageError unless the store's profile has the answer `minted` or `revoked`: before anything is changed."""
    from keyctl.profiles.http import rules_of

    profile = context.store.profile
    if name not in rules_of(profile).responses:
        raise UsageError(
            f'profile "{profile.name}" has no answer to this for --http',
            hint=f"its file may have one: [http.responses.{name}]",
        )


def administration_answer(context: CommandContext, name: str, record: KeyRecord, *, text: str | None = None) -> str:
    """Return the answer `minted` or `revoked` of the store's profile. It must have one."""
    from keyctl.http.responses import answer_administration
    from keyctl.profiles.http import rules_of

    profile = context.store.profile
    answer = answer_administration(profile, rules_of(profile), name, record, text=text)
    if answer is None:
        raise RuntimeError(f"no answer {name}: require_answer comes first")
    return str(answer)
