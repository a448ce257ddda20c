"""`keyctl init`."""

from typing import Annotated

import typer

from keyctl.cli.context import DEFAULT_PROFILE, context_of
from keyctl.cli.hash_options import Argon2Option, HashOption, hash_scheme
from keyctl.cli.help_layout import Command
from keyctl.store.setting_names import SettingName

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def init(
    ctx: typer.Context,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help=f"Built-in profile or TOML file. [default: {DEFAULT_PROFILE}]"),
    ] = None,
    scheme: HashOption = None,
    argon2: Argon2Option = None,
    reader_group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Let this group read the SQLite file (modes 0640 and 0750)."),
    ] = None,
) -> None:
    """Create a store from a profile.

    \b
    Examples:
      keyctl init
      keyctl init --profile ./acme.toml
      keyctl init --store /var/lib/keyctl/keys.db --reader-group www-data

    The profile is kept in the store, so that all users of a store share its rules. If an admin token is given, the new
    store requires it for every change; with a pepper file, it uses the first pepper. An existing store is not changed.
    """
    context = context_of(ctx)
    created = context.create_store(profile, hash_scheme(scheme, argon2), reader_group=reader_group)
    store, output = context.store, context.output
    if not created:
        output.note("the store already exists: nothing was changed")
    if output.json:
        output.answer_json(
            {
                "store": str(store.location),
                "store_id": store.settings[SettingName.STORE_ID],
                "profile": store.profile.name,
                "hash": str(store.hash_parameters),
                "pepper": store.hash_parameters.pepper,
                "reader_group": store.settings.get(SettingName.READER_GROUP),
                "admin_token": "set" if context.admin_token.is_set else None,
                "created": created,
            }
        )
    else:
        output.answer(str(store.location))
        token = [("admin token", "required")] if context.admin_token.is_set else []
        output.aside([("profile", store.profile.name), *token, ("next", "keyctl mint --name first")])
