"""`keyctl profile …`."""

import json
from datetime import timedelta
from typing import Annotated

import typer

from keyctl.cli.command import Command, Group
from keyctl.cli.context import DryRunOption, ReasonOption, context_of
from keyctl.cli.output import Column
from keyctl.profiles.beginnings import preset_names
from keyctl.profiles.files import load_profile
from keyctl.profiles.model import Profile
from keyctl.times import NEVER, format_duration
from keyctl.visible import visible

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""List, show, check and apply profiles.

\b
Examples:
  keyctl profile show
  keyctl profile check ./acme.toml
""",
)


@app.command("list", cls=Command)
def list_profiles(ctx: typer.Context) -> None:
    """List the built-in profiles.

    \b
    Examples:
      keyctl profile list
    """
    output = context_of(ctx).output
    profiles = [load_profile(name) for name in preset_names()]
    if output.json:
        output.answer_json({"profiles": [{"name": one.name, "description": one.description} for one in profiles]})
        return
    rows = [[one.name, one.description] for one in profiles]
    output.table([Column("NAME"), Column("DESCRIPTION", elastic=True)], rows, rows)


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="A profile. [the store's]", show_default=False)
    ] = None,
) -> None:
    """Show a profile: the store's, a built-in one, or a file.

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


@app.command(cls=Command)
def check(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A TOML file.")]) -> None:
    """Report every fault of a profile at once.

    \b
    Examples:
      keyctl profile check ./acme.toml
    """
    output = context_of(ctx).output
    profile = load_profile(name)
    example = _example(profile)
    if output.json:
        output.answer_json({"valid": True, "name": profile.name, "example": example})
    else:
        output.answer(f"{profile.name}: no faults; its keys look like {example}")


@app.command(cls=Command)
def apply(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="The profile that the store is to have.")],
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change the profile of a live store.

    \b
    Examples:
      keyctl profile apply ./acme.toml --dry-run
      keyctl profile apply ./acme.toml --reason "a scope for invoices"

    Prints the differences. Refused where live keys hold, or owners have, what the new profile removes. Keys of an
    earlier format keep verifying.
    """
    context = context_of(ctx)
    new = load_profile(name)
    change = context.profile_admin.apply(new, reason=reason, dry_run=dry_run)
    if not change.differences:
        context.output.note("the store has this profile already: nothing was changed")
    elif dry_run:
        context.output.note("nothing was changed")
    if context.output.json:
        changed = bool(change.differences) and not dry_run
        context.output.answer_json({"profile": new.name, "changed": changed, "differences": list(change.differences)})
    elif change.differences:
        context.output.answer("\n".join(map(visible, change.differences)))


def _facts(profile: Profile) -> list[tuple[str, str]]:
    lifetime = profile.lifetime
    return [
        ("profile", profile.name),
        ("description", profile.description),
        ("keys look like", _example(profile)),
        ("environments", ", ".join(profile.environments.values())),
        *((f"scope {one.name}", one.description) for one in profile.scopes.catalogue.values()),
        *((f"owner kind {one.name}", one.description) for one in profile.owners.kinds.values()),
        *((f"plan {one.name}", one.description) for one in profile.plans.values()),
        ("default lifetime", _length(lifetime.default)),
        ("longest lifetime", _length(lifetime.maximum)),
        ("rotate every", _length(lifetime.rotate_every)),
        ("grace", _length(lifetime.grace) if lifetime.grace else "none"),
        *((f"service {one.name}", one.url) for one in profile.services),
    ]


def _example(profile: Profile) -> str:
    """Return the prefix of a made-up key, with the secret left out."""
    key_format = profile.key_format
    env = next(iter(profile.environments))
    scope = key_format.scopes[0] if key_format.has("scope") else None
    return f"{key_format.generate(env=env, scope=scope)[0].prefix}…"


def _length(duration: timedelta | None) -> str:
    return NEVER if duration is None else format_duration(duration)
