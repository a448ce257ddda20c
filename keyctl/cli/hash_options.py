"""The options of `init` and `db hash` that choose how new keys are hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.errors import UsageError, suggestion
from keyctl.text import brief

if TYPE_CHECKING:
    from keyctl.hashing import Scheme

HashOption = Annotated[
    str | None,
    typer.Option(
        "--hash", metavar="SCHEME", help="Hash scheme: argon2id, or sha256 for high rates. [default: argon2id]"
    ),
]
Argon2Option = Annotated[
    str | None,
    typer.Option("--argon2", metavar="m=KIB,t=PASSES,p=LANES", help="Cost of Argon2id. [default: m=19456,t=2,p=1]"),
]


def hash_scheme(name: str | None, argon2: str | None) -> Scheme:
    """Return the scheme with its parameters. Raises UsageError."""
    from keyctl.hashing import DEFAULT, SCHEMES, Sha256, parse_parameters

    if name not in (None, *SCHEMES):
        hint = suggestion(name, SCHEMES, otherwise=f"known: {', '.join(SCHEMES)}")
        raise UsageError(f'unknown hash scheme "{brief(name)}"', hint=hint)
    if name == "sha256":
        if argon2 is not None:
            raise UsageError("--argon2 cannot be used with --hash sha256")
        return Sha256()
    try:
        return parse_parameters(argon2) if argon2 is not None else DEFAULT
    except ValueError as error:
        raise UsageError(str(error)) from None
