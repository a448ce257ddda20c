"""The entry point: runs one command, and turns every outcome into an exit code."""

import os
import re
import sys
from typing import Any

import typer

from keyctl import __version__
from keyctl.cli.argument_guard import refuse_exposed_keys
from keyctl.cli.command_groups import LazyGroup
from keyctl.cli.context import CommandContext
from keyctl.cli.global_options import global_options
from keyctl.cli.help_layout import see_help
from keyctl.cli.output import debug_traceback
from keyctl.cli.own_arguments import own_arguments, runs_another
from keyctl.cli.signals import Interrupted, ignore_signals, raise_on_signals
from keyctl.cli.streams import replace_standard_streams
from keyctl.cli.typer_internals import ClickException, NoArgsIsHelpError, NoSuchOption
from keyctl.errors import KeyctlError, NotDelivered, UsageError


class TopLevel(LazyGroup):
    """The top level: its options come first in its help, and `--version` last."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.params = [*global_options(), *self.params]


app = typer.Typer(
    cls=TopLevel,
    name="keyctl",
    epilog="Topics, such as the tour and the exit codes: keyctl help",
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
    replace_standard_streams()
    raise_on_signals()
    context = CommandContext()
    try:
        return _outcome(context)
    except KeyboardInterrupt as interrupt:
        _forget_stdout()
        for note in getattr(interrupt, "__notes__", ()):
            context.output.error(NotDelivered(note))
        return interrupt.exit_code if isinstance(interrupt, Interrupted) else 130
    finally:
        ignore_signals()
        context.close()


def _outcome(context: CommandContext) -> int:
    try:
        return _run(context)
    except ClickException as error:
        return context.fail(_as_usage_error(error))
    except KeyctlError as error:
        debug_traceback()
        if isinstance(error, NotDelivered):
            _forget_stdout()
        return context.fail(error)
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does.
        _forget_stdout()
        return 141
    except OSError as error:
        debug_traceback()
        _forget_stdout()
        return context.fail(NotDelivered(f"the output could not be written: {error.strerror or error}"))
    except Exception as error:  # noqa: BLE001 - the last resort: tracebacks are printed only with KEYCTL_DEBUG=1
        debug_traceback()
        # The text of an unforeseen error may contain a secret; its type is safe.
        bug = KeyctlError(
            f"internal error: {type(error).__name__}",
            hint="KEYCTL_DEBUG=1 prints a traceback; please report it",
        )
        return context.fail(bug)


def _run(context: CommandContext) -> int:
    arguments = sys.argv[1:]
    own = own_arguments(arguments)
    context.settings.json = "--json" in own
    context.settings.json_lines = "--jsonl" in own
    context.runs_another = runs_another(arguments)
    _keep_closed_streams_closed()
    if instruction := os.environ.get("_KEYCTL_COMPLETE"):
        from keyctl.cli.completion_answers import respond

        return respond(instruction, typer.main.get_command(app), context)
    if sys.stdout is None:
        raise NotDelivered("standard output is closed: nothing was done", hint="to discard the output: >/dev/null")
    refuse_exposed_keys(own_arguments(arguments))
    if arguments[:1] in (["--help"], ["-h"]) and any(not one.startswith("-") for one in arguments[1:2]):
        arguments = [*arguments[1:], "--help"]  # `keyctl --help list` is asked for the help of `list`
    command = typer.main.get_command(app)
    try:
        # Not `command.main`, which would make every interruption one by Ctrl-C.
        with command.make_context("keyctl", arguments, obj=context) as ctx:
            code = command.invoke(ctx)
    except typer.Exit as end:
        code = end.exit_code
    except NoArgsIsHelpError as help_text:
        context.output.answer(help_text.format_message())
        return 0
    except SystemExit as end:  # Rich's reaction to a broken pipe
        raise BrokenPipeError from end
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _as_usage_error(error: ClickException) -> UsageError:
    message = error.format_message().rstrip(".")
    ctx = error.ctx  # type: ignore[attr-defined]
    hint = None
    if isinstance(error, NoSuchOption):
        from keyctl.cli.synonyms import option_hint

        message = error.message
        known = [name for param in ctx.command.params for name in param.opts]
        hint = option_hint(ctx.command_path.removeprefix("keyctl "), error.option_name, known)
    text = re.sub(r"'([^']*)'", r'"\1"', message[:1].lower() + message[1:])
    return UsageError(text, hint=hint or see_help(ctx))


def _keep_closed_streams_closed() -> None:
    """Fill file descriptors 0 to 2 if they are closed, so that no database or key file is opened as one of them."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return


def _forget_stdout() -> None:
    """Redirect stdout to /dev/null, so that a failed write is not retried at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
