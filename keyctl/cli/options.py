"""Options that several commands share, named once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyctl.errors import UsageError

SelectorArgument = Annotated[str, typer.Argument(metavar="SELECTOR", help="A key's id or its whole prefix.")]
SelectorsArgument = Annotated[list[str], typer.Argument(metavar="SELECTOR...", help="Keys' ids or whole prefixes.")]
ReasonOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the audit log.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the key to a new file (0600), not to stdout.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Let --out replace a file.")]
HttpOption = Annotated[bool, typer.Option("--http", help="Print the platform's own answer, as a response.")]
JsonLinesOption = Annotated[bool, typer.Option("--jsonl", help="Print JSON Lines: one object a line.")]
HandleArgument = Annotated[str, typer.Argument(metavar="HANDLE", help="The owner's handle or id.")]
NameOption = Annotated[str | None, typer.Option(metavar="TEXT", help="A name for people.")]
ParentOption = Annotated[str | None, typer.Option(metavar="HANDLE", help="The owner above.")]
PlanOption = Annotated[str | None, typer.Option(metavar="PLAN", help="The plan, from the profile.")]
AttributeOption = Annotated[
    list[str] | None, typer.Option(metavar="K=V", help="An attribute, from the profile; repeatable.")
]
TokenFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read the new token from a file. [standard input]")
]
SigningKeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The signing key's file. [in the configuration folder]")
]


def split_commas(values: list[str] | None) -> list[str] | None:
    """Return the values of a repeatable option that also takes commas; None if it was not given."""
    if not values:
        return None
    parts = [part.strip() for value in values for part in value.split(",")]
    if not all(parts):
        raise UsageError("a value between commas is empty", hint="leave the option out, or name something")
    return parts
