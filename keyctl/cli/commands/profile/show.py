"""`keyctl profile show`."""

import json
from datetime import timedelta
from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.details import example_prefix
from keyctl.cli.help_layout import Command
from keyctl.profiles.files import load_profile
from keyctl.profiles.model import Profile
from keyctl.times import NEVER, format_duration

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="Profile to show. [default: the store's]", show_default=False),
    ] = None,
) -> None:
    """Show the store's profile, a built-in one, or a file.

    \b
    Examples:
      keyctl profile show
      keyctl profile show standard --json
    """
    context = context_of(ctx)
    profile = load_profile(name) if name is not None else context.store.profile
    if context.output.json:
        context.output.answer(json.dumps(profile.document, ensure_ascii=False))
    else:
        context.output.details(_facts(profile))


def _facts(profile: Profile) -> list[tuple[str, str]]:
    lifetime = profile.lifetime
    return [
        ("profile", profile.name),
        ("description", profile.description),
        ("keys look like", example_prefix(profile)),
        *((f"foreign keys {one.key_format.foreign}", one.key_format.template) for one in profile.foreign),
        ("environments", ", ".join(profile.environments.values())),
        *((f"scope {one.name}", one.description) for one in profile.scopes.catalogue.values()),
        *((f"owner kind {one.name}", one.description) for one in profile.owners.kinds.values()),
        *((f"plan {one.name}", one.description) for one in profile.plans.values()),
        ("default lifetime", _length(lifetime.default)),
        ("maximum lifetime", _length(lifetime.maximum)),
        ("rotate every", _length(lifetime.rotate_every)),
        ("grace period", _length(lifetime.grace) if lifetime.grace else "none"),
        *((f"service {one.name}", one.url) for one in profile.services),
    ]


def _length(duration: timedelta | None) -> str:
    return NEVER if duration is None else format_duration(duration)
