"""`keyctl db hash`."""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.hash_options import Argon2Option, HashOption, hash_scheme
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, ReasonOption
from keyctl.errors import UsageError, suggestion
from keyctl.text import brief

if TYPE_CHECKING:
    from keyctl.hashing import Scheme

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("hash", cls=Command)
def set_hash(
    ctx: typer.Context,
    scheme: HashOption = None,
    argon2: Argon2Option = None,
    pepper: Annotated[
        str | None, typer.Option(metavar="PEPPER", help="Pepper for new keys, from the pepper file.")
    ] = None,
    no_pepper: Annotated[bool, typer.Option("--no-pepper", help="Hash new keys without a pepper.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Show or set the hash scheme for new keys.

    \b
    Examples:
      keyctl db hash
      keyctl db hash --argon2 m=47104,t=2,p=1
      keyctl db hash --pepper 2026-11-24 --pepper-file pepper.key

    Existing keys keep their hashes; verify --record replaces a hash that is weaker than the store's, or has another
    pepper. What is not given stays as it is.
    """
    context = context_of(ctx)
    output = context.output
    if pepper is not None and no_pepper:
        raise UsageError("--pepper cannot be used with --no-pepper", hint="omit one of them")
    if scheme is not None or argon2 is not None or pepper is not None or no_pepper:
        from keyctl.admin.hash_scheme import set_scheme

        present = context.store.hash_parameters
        wanted: Scheme = hash_scheme(scheme, argon2) if scheme is not None or argon2 is not None else present
        if pepper is not None:
            wanted = replace(wanted, pepper=_known(context, pepper))
        else:
            wanted = replace(wanted, pepper=None if no_pepper else present.pepper)
        context.authorise()
        if not set_scheme(context.store, context.actor, wanted, reason=reason, dry_run=dry_run):
            output.note(f"the store already uses {wanted}: nothing was changed")
        elif dry_run:
            output.note(f"would hash new keys with {wanted}: nothing was changed")
        _warn_of_unverifiable_keys(context)
    in_force = context.store.hash_parameters
    output.result(str(in_force), {"hash": str(in_force), "pepper": in_force.pepper})


def _warn_of_unverifiable_keys(context: CommandContext) -> None:
    """Name the hashes that the pepper file in use does not accept: their keys cannot be verified with it."""
    from keyctl.store.keys import count_by_scheme
    from keyctl.times import utc_now

    peppers = context.peppers
    if peppers is None:
        return
    counts: Counter[str | None] = Counter()
    with context.store.read() as connection:
        for scheme, number in count_by_scheme(connection, now=utc_now()).items():
            counts[scheme.pepper if scheme else None] += number
    for pepper, number in counts.items():
        if not peppers.accepts(pepper):
            which, line = (f'with the pepper "{pepper}"', f"of {pepper}") if pepper else ("without a pepper", "none")
            keys = "1 key has" if number == 1 else f"{number:,} keys have"
            context.output.warn(f"{keys} a hash {which}: to verify them, {peppers.path} must have the line {line}")


def _known(context: CommandContext, pepper: str) -> str:
    """Return the id of a pepper that is in the pepper file. Raises UsageError."""
    peppers = context.peppers
    if peppers is None:
        raise UsageError("--pepper requires a pepper file", hint="--pepper-file FILE, or KEYCTL_PEPPER_FILE")
    if pepper not in peppers.ids:
        hint = suggestion(pepper, peppers.ids, otherwise=f"it has: {', '.join(peppers.ids)}")
        raise UsageError(f'{peppers.path} has no pepper "{brief(pepper)}"', hint=hint)
    return pepper
