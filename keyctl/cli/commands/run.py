"""`keyctl run`."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl import private_files
from keyctl.cli.argument_guard import refuse_exposed_keys
from keyctl.cli.child import Child, CommandNotExecutable, CommandNotFound, find_program
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.new_key_options import NewKeyOptions
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, ReasonOption
from keyctl.errors import KeyctlError, NotDelivered, UsageError
from keyctl.text import brief
from keyctl.times import NEVER, describe_relative, format_duration, format_time, parse_duration, utc_now

if TYPE_CHECKING:
    from keyctl.admin.delivery import Minted
    from keyctl.admin.minting import NewKey
    from keyctl.models import KeyRecord

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ENDED = "run ended"  # why the key is revoked
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KEYCTLS_OWN = ("KEYCTL_", "_KEYCTL_")
_LIFETIME = timedelta(hours=1)


class RunCommand(Command):
    """A command whose own options end at `--`: what follows is another program's, whatever it looks like."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = args[: args.index("--")] if "--" in args else args
        program = args[len(own) + 1 :]
        rest = super().parse_args(ctx, [*own, "--", *program] if program or ctx.resilient_parsing else own)
        words = ctx.params["command"] or []
        if len(words) > len(program) and not ctx.resilient_parsing:
            raise UsageError(
                f'"{brief(words[0])}" is not an option: the command must follow --',
                hint="keyctl run [OPTIONS] -- COMMAND",
            )
        return rest


@app.command(cls=RunCommand)
@expand_options
def run(
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The command, after --.")],
    described: NewKeyOptions,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", rich_help_panel="Key", help="Expiry time, if it is not revoked before. [default: 1h]"
        ),
    ] = None,
    variable: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", rich_help_panel="Command", help="Variable for the key. [default: API_KEY]"
        ),
    ] = None,
    file: Annotated[
        bool,
        typer.Option(
            "--file",
            rich_help_panel="Command",
            help="Put the key into a private file, and its path into API_KEY_FILE.",
        ),
    ] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", rich_help_panel="Command", help="Keep this KEYCTL_ variable; repeatable."),
    ] = None,
    kill_after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", rich_help_panel="Command", help="Kill the command TIME after the first signal to end it."
        ),
    ] = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run a command with a new key, and revoke the key when it ends.

    \b
    Examples:
      keyctl run --env test --scope read --expires 15m -- pytest -q
      keyctl run --as ACME_TOKEN --owner acme -- ./smoke-test.sh
      keyctl run --file -- sh -c 'curl -H @"$API_KEY_FILE" https://api.example'

    The exit code is that of the command, or 128 and the number of the signal that ended it; 125 if keyctl fails, 126 if
    the command cannot be executed, and 127 if it does not exist. Signals are passed on. If keyctl is killed, the key
    expires.
    """
    context = context_of(ctx)
    output = context.output
    child = Child(_find(command[0]), command, kill_after=_kill_after(kill_after))
    delivery = _ToChild(context, child, _variable(variable, file=file), _environment(keep or []), file=file)
    if expires == NEVER:
        raise UsageError("the key of a command must expire", hint="for example: --expires 15m")
    if not dry_run:
        context.create_store_if_missing(None, asked=False)
    new = described.read(expires=expires or _default_lifetime(context))
    if dry_run:
        [record] = context.minter().mint(new, delivery, reason=reason, dry_run=True)
        output.note(f"would run {command[0]} with a key like {record.key.prefix}…: nothing was changed")
        return
    try:
        _start(context, new, delivery, child, reason=reason)
        code = child.wait()
    finally:
        if child.started:
            _revoke(context, delivery.record)
        delivery.remove_file(context)
    expiry = delivery.record.key.expires_at
    if expiry is not None and expiry <= utc_now():
        output.warn(f"{delivery.record.key.prefix} expired before the command ended: choose a longer --expires")
    raise typer.Exit(code)


class _ToChild:
    """Delivers one key to a program by starting it: the key is in its environment, or in a file that this names."""

    def __init__(
        self, context: CommandContext, child: Child, variable: str, environment: Mapping[str, str], *, file: bool
    ) -> None:
        self._context = context
        self._child = child
        self._variable = variable
        self._environment = environment
        self._in_file = file
        self._folder: Path | None = None
        self._text = ""
        self.record: KeyRecord
        self.refused: OSError | None = None  # what the system said, if it did not start the program

    def prepare(self, minted: Sequence["Minted"]) -> None:
        self.remove_file(self._context)
        self._child.hold_signals()  # from before the key exists until the program has it
        self.record = minted[0].record
        self._text = minted[0].text
        if not self._in_file:
            return
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="keyctl-", dir=_private_place()))  # of mode 0700
            private_files.write_new(self._folder / "key", [f"{self._text}\n".encode()])
        except OSError as error:
            raise NotDelivered(
                f"cannot write a file for the key: {error.strerror}",
                hint="no key was minted; without --file, none is needed",
            ) from None

    def hand_over(self) -> None:
        key = self.record.key
        value, where = self._text, self._variable
        if self._folder is not None:
            value = str(self._folder / "key")
            where = f"the file that {self._variable} names"
        self._text = ""
        if key.expires_at is not None:
            expires = f"expires {describe_relative(key.expires_at, now=key.created_at)}"
            self._context.output.note(f"{key.prefix} is in {where}, and {expires}, at {format_time(key.expires_at)}")
        self._context.store.close()  # no connection is kept while the command runs: the revocation makes a new one
        try:
            self._child.start({**self._environment, self._variable: value})
        except OSError as error:
            self.refused = error
            raise

    def abandon(self) -> None:
        self._text = ""
        self.remove_file(self._context)
        self._child.release_signals()

    def remove_file(self, context: CommandContext) -> None:
        """Remove the file with the key, and what the program may have put beside it."""
        if self._folder is None:
            return
        try:
            shutil.rmtree(self._folder)
        except FileNotFoundError:
            pass  # the command has done it
        except OSError as error:
            context.output.warn(f"{self._folder} contains a key, and cannot be removed: {error.strerror}")
        self._folder = None


def _start(context: CommandContext, new: "NewKey", delivery: _ToChild, child: Child, *, reason: str | None) -> None:
    """Mint the key and start the program with it."""
    try:
        context.minter().mint(new, delivery, reason=reason)
    except KeyctlError as error:
        if delivery.refused is not None:
            raise CommandNotExecutable(
                f"the command cannot be executed: {delivery.refused.strerror}; {error.message}", hint=None
            ) from error
        if not child.started:
            raise
        context.output.warn(error.message)  # the delivery was not recorded; the key is revoked all the same


def _revoke(context: CommandContext, record: "KeyRecord") -> None:
    from keyctl.admin.keys import KeyAdmin
    from keyctl.store.selection import Selection

    key = record.key
    try:
        # Not `context.admin`: it was authorised before, and would ask for the admin token again.
        KeyAdmin(context.store, context.actor).revoke(Selection.named(key.id), reason=ENDED)
    except KeyctlError as error:
        expires = f"it expires at {format_time(key.expires_at)}" if key.expires_at else "it does not expire"
        context.output.warn(
            f"{key.prefix} could not be revoked, and {expires}: {error.message}; to end it: keyctl revoke {key.prefix}"
        )


def _find(name: str) -> str:
    """Return the path of the program. Raises CommandNotFound or CommandNotExecutable, which never contain a key."""
    try:
        return find_program(name)
    except (CommandNotFound, CommandNotExecutable):
        refuse_exposed_keys([name])  # a key that was typed in the place of the command
        raise


def _variable(given: str | None, *, file: bool) -> str:
    name = given or ("API_KEY_FILE" if file else "API_KEY")
    if not _VARIABLE.fullmatch(name):
        raise UsageError(f'"{brief(name)}" is not the name of a variable', hint="for example: --as API_KEY")
    return name


def _environment(keep: Sequence[str]) -> dict[str, str]:
    """Return the environment of the command: keyctl's own variables are not for it, unless they are named."""
    for name in keep:
        if name == "KEYCTL_ADMIN_TOKEN":
            raise UsageError("the admin token is never passed to a command", hint="omit --keep KEYCTL_ADMIN_TOKEN")
        if not name.startswith("KEYCTL_"):
            raise UsageError(
                f'--keep is for the variables of keyctl, not for "{brief(name)}"', hint="all other variables are kept"
            )
    return {name: value for name, value in os.environ.items() if not name.startswith(_KEYCTLS_OWN) or name in keep}


def _kill_after(text: str | None) -> timedelta | None:
    if text is None:
        return None
    duration = parse_duration(text)
    if not duration:
        raise UsageError("--kill-after must be greater than zero", hint="for example: --kill-after 10s")
    return duration


def _default_lifetime(context: CommandContext) -> str:
    """Return the lifetime of a key for which none is given: an hour, or less if the profile allows no more."""
    maximum = context.store.profile.lifetime.maximum
    return format_duration(min(_LIFETIME, maximum) if maximum else _LIFETIME)


def _private_place() -> str:
    """Return the folder of the user's session if there is one, which is in memory; else that for temporary files."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    path = Path(given)
    if (
        given
        and path.is_absolute()
        and path.is_dir()
        and os.access(path, os.W_OK)
        and path.stat().st_uid == os.getuid()
    ):
        return given
    return tempfile.gettempdir()
