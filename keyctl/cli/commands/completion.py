"""`keyctl completion`."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from keyctl import private_files
from keyctl.cli import completion_scripts
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.errors import NotDelivered, Refused, UsageError
from keyctl.text import brief

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def completion(
    ctx: typer.Context,
    shell: Annotated[
        str | None, typer.Argument(metavar="[SHELL]", help="Shell: bash, zsh or fish. [default: the one in SHELL]")
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Write the script to where the shell looks for it.")
    ] = False,
) -> None:
    """Print or install shell completion.

    \b
    Examples:
      keyctl completion bash
      keyctl completion --install

    Start-up files such as ~/.bashrc and ~/.zshrc are never changed.
    """
    output = context_of(ctx).output
    shell = shell or _current_shell()
    script = completion_scripts.script(shell)
    if not install:
        output.result(script.rstrip("\n"), {"shell": shell, "script": script})
        return
    file = completion_scripts.place(shell, program=Path(sys.argv[0]).name)
    changed = _write(file, script, otherwise=f"keyctl completion {shell} > FILE")
    output.result(
        f"{'wrote' if changed else 'unchanged'} {file}", {"shell": shell, "file": str(file), "changed": changed}
    )
    output.note(completion_scripts.AFTER[shell].format(folder=shlex.quote(str(file.parent))))


def _current_shell() -> str:
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in completion_scripts.SHELLS:
        found = f'the variable SHELL names "{brief(shell)}"' if shell else "the variable SHELL is not set"
        raise UsageError(f"the shell is not known: {found}", hint="name one: keyctl completion bash, zsh or fish")
    return shell


def _write(file: Path, script: str, *, otherwise: str) -> bool:
    """Write the script unless the file already has it; return whether it was written."""
    try:
        present = file.read_text(encoding="utf-8") if file.exists() else None
        if present == script:
            return False
        if present is not None and completion_scripts.MARK not in present:
            raise Refused(f"{file} exists and was not written by keyctl", hint="move it away and retry")
        file.parent.mkdir(parents=True, exist_ok=True)
        # Written beside it and renamed, so that no shell reads half of it. A link, as dotfile managers set, stays one.
        target = file.resolve()
        temporary = private_files.temporary_beside(target)
        try:
            temporary.write_text(script, encoding="utf-8")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the file exists and is not text"
        raise NotDelivered(f"cannot write {file}: {reason}", hint=f"write it elsewhere: {otherwise}") from None
    return True
