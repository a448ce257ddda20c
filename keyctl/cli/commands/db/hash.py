"""`keyctl db hash`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.hash_options import Argon2Option, HashOption, hash_scheme
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, ReasonOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("hash", cls=Command)
def set_hash(
    ctx: typer.Context,
    scheme: HashOption = None,
    argon2: Argon2Option = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Show or set the hash scheme for new keys.

    \b
    Examples:
      keyctl db hash
      keyctl db hash --argon2 m=47104,t=2,p=1

    Existing keys keep their hashes; verify --record replaces a hash that is weaker than the store's.
    """
    context = context_of(ctx)
    output = context.output
    if scheme is not None or argon2 is not None:
        from keyctl.admin.hash_scheme import set_scheme

        wanted = hash_scheme(scheme, argon2)
        context.authorise()
        if not set_scheme(context.store, context.actor, wanted, reason=reason, dry_run=dry_run):
            output.note(f"the store already uses {wanted}: nothing was changed")
        elif dry_run:
            output.note(f"would hash new keys with {wanted}: nothing was changed")
    present = str(context.store.hash_parameters)
    output.result(present, {"hash": present})
