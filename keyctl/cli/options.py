"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyctl.errors import UsageError

SelectorArgument = Annotated[str, typer.Argument(metavar="SELECTOR", help="Key id or prefix.")]
ReasonOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Reason to record in the audit log.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything; change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Skip confirmation.")]
HttpOption = Annotated[
    bool, typer.Option("--http", rich_help_panel="Output", help="Print the platform's HTTP response.")
]
JsonLinesOption = Annotated[
    bool, typer.Option("--jsonl", rich_help_panel="Output", help="Print JSON Lines: one object per line.")
]
HandleArgument = Annotated[str, typer.Argument(metavar="HANDLE", help="Handle or id of the owner.")]
NameOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Display name.")]
ParentOption = Annotated[str | None, typer.Option(metavar="HANDLE", help="Parent owner.")]
PlanOption = Annotated[str | None, typer.Option(metavar="PLAN", help="Plan, from the profile.")]
AttributeOption = Annotated[
    list[str] | None, typer.Option(metavar="K=V", help="Attribute, from the profile; repeatable.")
]
TokenFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read the new token from a file. [default: standard input]")
]
SigningKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        rich_help_panel="Bundle",
        help="Signing key file. [default: in the configuration folder]",
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="FILE",
        rich_help_panel="Checkpoints",
        help="Require the checkpoints in a file, or - for standard input.",
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", rich_help_panel="Checkpoints", help="Read only the events since the newest checkpoint."),
]
CheckpointTrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="PUBLIC-KEY",
        rich_help_panel="Checkpoints",
        help="Trusted signer of checkpoints; repeatable. [default: your signing key]",
    ),
]
LimiterOption = Annotated[
    str | None,
    typer.Option(metavar="URL", rich_help_panel="Limits", help="Count requests there, such as on redis://HOST."),
]


def split_commas(values: list[str] | None) -> list[str] | None:
    """Return the values of a repeatable option that also takes commas; None if it was not given. Raises UsageError."""
    if not values:
        return None
    parts = [part.strip() for value in values for part in value.split(",")]
    if not all(parts):
        raise UsageError("an empty value is not allowed", hint="omit the option, or give a value")
    return parts
