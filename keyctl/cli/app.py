"""The command line's top: a static table of commands, so that only the one that is called is imported."""

import os
import re
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer import core

# Typer bundles Click since 0.26, without public names for its errors; the range in pyproject.toml is narrow for it.
from typer._click.core import Command as ClickCommand
from typer._click.exceptions import ClickException, NoArgsIsHelpError, NoSuchOption

from keyctl import __version__
from keyctl.cli.command import Group
from keyctl.cli.context import CommandContext
from keyctl.cli.guard import refuse_exposed_keys
from keyctl.cli.output import AnswerLost, Output, debug_traceback
from keyctl.errors import KeyctlError, NotDelivered, UsageError


class Entry(NamedTuple):
    section: str
    module: str
    help: str


# A test compares the help lines with the commands' own.
COMMANDS: dict[str, Entry] = {
    "init": Entry("Set up", "setup", "Create a store with the rules of a profile."),
    "profile": Entry("Set up", "profile", "List, show, check and apply profiles."),
    "config": Entry("Set up", "config_command", "Show which store and settings are in force."),
    "admin-token": Entry("Set up", "admin_token", "Protect every change with a token."),
    "db": Entry("Set up", "db", "Look after the database: its schema, its hashes."),
    "mint": Entry("Keys", "mint", "Make a key and print it, once."),
    "list": Entry("Keys", "list_command", "List keys by their prefixes."),
    "show": Entry("Keys", "show", "Show one key."),
    "rotate": Entry("Keys", "rotate", "Replace a key by a new one."),
    "revoke": Entry("Keys", "state", "End keys for good."),
    "lock": Entry("Keys", "state", "Suspend keys, for a time or until unlocked."),
    "unlock": Entry("Keys", "state", "Lift a lock."),
    "expire": Entry("Keys", "state", "Set or clear when keys end."),
    "scope": Entry("Keys", "change", "Add, remove or replace scopes."),
    "update": Entry("Keys", "change", "Change names, allowed networks and metadata."),
    "owner": Entry("Owners", "owner", "Add, list and change owners."),
    "verify": Entry("Verification", "verify", "Decide whether a key is good for something."),
    "inspect": Entry("Verification", "inspect_command", "Take a key apart without any store."),
    "bundle": Entry("Verification", "bundle", "Export signed copies for verification offline."),
    "audit": Entry("Watch", "audit", "Read and verify the log of changes."),
}
_ELSEWHERE = "--store, --json and the other global options work here too: keyctl --help"


class LazyCommands(MutableMapping[str, ClickCommand]):
    """The commands by name, each imported when it is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, ClickCommand] = {}

    def __getitem__(self, name: str) -> ClickCommand:
        if name not in self._loaded:
            module = import_module(f"keyctl.cli.{COMMANDS[name].module}")
            built = typer.main.get_command(module.app)
            command = getattr(built, "commands", {}).get(name, built)
            command.name = name
            self._loaded[name] = _with_global_options(command)
        return self._loaded[name]

    def __setitem__(self, name: str, command: ClickCommand) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("the table of commands is fixed")

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(Group):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LazyCommands()
        self.params = [*_global_options(), *self.params]

    def help_lines(self) -> dict[str, str]:
        return {name: entry.help for name, entry in COMMANDS.items()}

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the base class's signature
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            rows = [(name, entry.help) for name, entry in COMMANDS.items() if entry.section == section]
            with formatter.section(section):
                formatter.write_dl(rows, col_max=12, col_spacing=2)


def _set(ctx: typer.Context, param: Any, value: Any) -> Any:
    """Keep a global option. The side nearer to the command wins."""
    found = ctx.find_root().obj
    if value == "":
        raise typer.BadParameter("it is empty")
    if value and isinstance(found, CommandContext):
        setattr(found.settings, param.name, value)
    return value


def _global_options(*, hidden: bool = False) -> list[Any]:
    def option(*names: str, flag: bool = False, metavar: str | None = None, text: str) -> core.TyperOption:
        return core.TyperOption(
            param_decls=list(names),
            type=None if flag else str,
            is_flag=flag or None,
            metavar=metavar,
            help=text,
            callback=_set,
            expose_value=False,
            hidden=hidden,
        )

    return [
        option("--store", metavar="URL|NAME", text="The store: a URL, a file, or a name from the configuration."),
        option("--config", metavar="FILE", text="The configuration file."),
        option("--json", flag=True, text="Print JSON, errors too."),
        option("--quiet", "-q", flag=True, text="Leave out notes."),
        option("--no-color", flag=True, text="Print without colours; so does NO_COLOR=1."),
        option("--admin-token-file", metavar="FILE", text="The admin token, where the store needs one."),
        option("--wait", metavar="TIME", text="How long to wait for another writer. [default: 5s]"),
    ]


def _with_global_options(command: ClickCommand) -> ClickCommand:
    for child in getattr(command, "commands", {}).values():
        _with_global_options(child)
    command.params = [*command.params, *_global_options(hidden=True)]
    command.epilog = _ELSEWHERE
    return command


app = typer.Typer(
    cls=LazyGroup,
    name="keyctl",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        typer.echo(f"keyctl {__version__}")
        raise typer.Exit


@app.callback()
def keyctl(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_print_version, help="Print the version."),
) -> None:
    """Administer API keys: mint, list, rotate, revoke, lock and verify them.

    \b
    Examples:
      keyctl mint --name ci --scope read --expires 30d
      keyctl list --expires-within 7d
      keyctl rotate kc_live_3fa9c2d1e8b7
      keyctl verify --scope read < key.txt
    """


def main() -> int:
    """Run one command; return its exit code."""
    context = CommandContext()
    try:
        return _run(context)
    except NoArgsIsHelpError as help_text:
        sys.stdout.write(help_text.format_message() + "\n")
        return 0
    except ClickException as error:
        context.output.error(_as_usage_error(error))
        return 2
    except KeyctlError as error:
        debug_traceback()
        if isinstance(error, NotDelivered):
            _forget_stdout()
        context.output.error(error)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the answer has had enough of it.
        _forget_stdout()
        return 141
    except OSError as error:
        debug_traceback()
        _forget_stdout()
        context.output.error(AnswerLost(f"the answer could not be written: {error.strerror or error}"))
        return AnswerLost.exit_code
    except KeyboardInterrupt:
        _forget_stdout()
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort: no operator sees a traceback unasked
        debug_traceback()
        # The text of an unforeseen error may quote anything; its kind is safe.
        bug = KeyctlError(f"a bug: {type(error).__name__}", hint="KEYCTL_DEBUG=1 shows where; please report it")
        context.output.error(bug)
        return bug.exit_code
    finally:
        context.close()


def _run(context: CommandContext) -> int:
    arguments = sys.argv[1:]
    context.settings.json = "--json" in arguments
    _keep_closed_streams_closed()
    if instruction := os.environ.get("_KEYCTL_COMPLETE"):
        from keyctl.cli.completion import respond

        return respond(instruction, typer.main.get_command(app), context)
    if sys.stdout is None:
        raise AnswerLost("standard output is closed: nothing was done", hint="to throw the answer away: >/dev/null")
    refuse_exposed_keys(arguments)
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="keyctl", standalone_mode=False, obj=context)
    except SystemExit as end:  # what Typer makes of a broken pipe, with the exit code of a bug
        raise BrokenPipeError from end
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _as_usage_error(error: ClickException) -> UsageError:
    message = error.format_message().rstrip(".")
    path = error.ctx.command_path if getattr(error, "ctx", None) else "keyctl"  # type: ignore[attr-defined]
    text, _, near = message.partition(". Did you mean ")
    if isinstance(error, NoSuchOption) and error.possibilities:
        text, near = error.message, f"{error.possibilities[0]}?"
    text = re.sub(r"'([^']*)'", r'"\1"', text[:1].lower() + text[1:])
    near = near.replace("'", '"').replace(", ", " or ")
    hint = f"did you mean {near}" if near else f"see: {path} --help"
    return UsageError(text, hint=hint)


def _keep_closed_streams_closed() -> None:
    """Fill file descriptors 0 to 2 if they are closed, so that no database or key file is opened as one of them."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return


def _forget_stdout() -> None:
    """Point stdout at nothing, so that what could not be written is not tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


__all__ = ["COMMANDS", "Output", "app", "main"]
