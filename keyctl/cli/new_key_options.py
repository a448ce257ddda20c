"""The options that describe a new key, for every command that mints one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.options import split_commas
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from keyctl.admin.minting import NewKey


def _option(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, rich_help_panel="Key", help=text)


@dataclass(frozen=True)
class NewKeyOptions:
    """A new key as it was typed, but for its expiry, whose default depends on the command."""

    name: Annotated[str | None, _option("TEXT", "Name of the key.")] = None
    owner: Annotated[str | None, _option("HANDLE", "Owner of the key.")] = None
    create_owner: Annotated[
        bool,
        typer.Option("--create-owner", rich_help_panel="Key", help="Create the owner if it does not exist."),
    ] = False
    owner_kind: Annotated[str | None, _option("KIND", "Kind of the new owner.")] = None
    env: Annotated[str | None, _option("ENV", "Environment of the key, such as live or test.")] = None
    scope: Annotated[list[str] | None, _option("SCOPE", "Scope to grant; repeatable or comma-separated.")] = None
    allow_ip: Annotated[list[str] | None, _option("CIDR", "Accept the key only from this network; repeatable.")] = None
    meta: Annotated[list[str] | None, _option("K=V", "Metadata to store with the key; repeatable.")] = None

    def read(self, *, expires: str | None) -> NewKey:
        """Return the key that the options describe. Raises UsageError if they contradict each other."""
        from keyctl.admin.minting import NewKey
        from keyctl.admin.owners import NewOwner

        if self.create_owner and self.owner is None:
            raise UsageError("--create-owner requires --owner", hint="add --owner HANDLE")
        if self.owner_kind is not None and not self.create_owner:
            raise UsageError("--owner-kind requires --create-owner", hint="add --owner HANDLE --create-owner")
        return NewKey(
            name=self.name,
            owner=NewOwner(self.owner, kind=self.owner_kind) if self.owner is not None else None,
            create_owner=self.create_owner,
            environment=self.env,
            scopes=split_commas(self.scope),
            expires=expires,
            allowed_ips=self.allow_ip or [],
            metadata=self.meta or [],
        )
