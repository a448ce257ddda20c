"""The options that describe a new key, for every command that mints one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.options import split_commas
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from keyctl.admin.minting import NewKey

_PANEL = "Key"
NewNameOption = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", rich_help_panel=_PANEL, help="Name of the key.")
]
NewOwnerOption = Annotated[
    str | None, typer.Option("--owner", metavar="HANDLE", rich_help_panel=_PANEL, help="Owner of the key.")
]
CreateOwnerOption = Annotated[
    bool, typer.Option("--create-owner", rich_help_panel=_PANEL, help="Create the owner if it does not exist.")
]
OwnerKindOption = Annotated[
    str | None, typer.Option("--owner-kind", metavar="KIND", rich_help_panel=_PANEL, help="Kind of the new owner.")
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option("--env", metavar="ENV", rich_help_panel=_PANEL, help="Environment of the key, such as live or test."),
]
GrantOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scope", metavar="SCOPE", rich_help_panel=_PANEL, help="Scope to grant; repeatable or comma-separated."
    ),
]
AllowIpOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-ip",
        metavar="CIDR",
        rich_help_panel=_PANEL,
        help="Accept the key only from this network; repeatable.",
    ),
]
NewMetadataOption = Annotated[
    list[str] | None,
    typer.Option("--meta", metavar="K=V", rich_help_panel=_PANEL, help="Metadata to store with the key; repeatable."),
]


def new_key(
    *,
    name: str | None,
    owner: str | None,
    create_owner: bool,
    owner_kind: str | None,
    env: str | None,
    scope: list[str] | None,
    expires: str | None,
    allow_ip: Sequence[str] | None,
    meta: Sequence[str] | None,
) -> NewKey:
    """Return the key that the options describe. Raises UsageError if they contradict each other."""
    from keyctl.admin.minting import NewKey
    from keyctl.admin.owners import NewOwner

    if create_owner and owner is None:
        raise UsageError("--create-owner requires --owner", hint="add --owner HANDLE")
    if owner_kind is not None and not create_owner:
        raise UsageError("--owner-kind requires --create-owner", hint="add --owner HANDLE --create-owner")
    return NewKey(
        name=name,
        owner=NewOwner(owner, kind=owner_kind) if owner is not None else None,
        create_owner=create_owner,
        environment=env,
        scopes=split_commas(scope),
        expires=expires,
        allowed_ips=allow_ip or [],
        metadata=meta or [],
    )
