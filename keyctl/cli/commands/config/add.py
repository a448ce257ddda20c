"""`keyctl config add`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from keyctl.cli.configuration_edit import check_store_name, editing
from keyctl.cli.configuration_text import with_store
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.secret_input import read_bytes
from keyctl.errors import Refused, UsageError
from keyctl.store.location import StoreLocation, refuse_password
from keyctl.text import brief

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_LONGEST = 4096  # bytes


@app.command(cls=Command)
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="A URL or a file; - reads it from standard input.")],
) -> None:
    """Add a name for a store, for --store and config use.

    \b
    Examples:
      keyctl config add staging ./staging.db
      keyctl config add team postgresql://ops@db.example/keys?sslmode=verify-full

    Give a URL with a password on standard input, with - as URL: other processes can see an argument.
    """
    context = context_of(ctx)
    check_store_name(name)
    location = _location(_standard_input() if url == "-" else url)
    if location.has_password and url != "-":
        context.output.warn(
            "the password in the URL is visible to every process on this machine: give - and the URL on standard input"
        )
    context.warn_of_exposure(location, "URL")
    with editing(context.settings.config, wait=context.wait) as file:
        known = file.config.stores.get(name)
        changed = known is None
        if known is not None and StoreLocation.parse(known) != location:
            raise Refused(
                f'the store "{name}" is {StoreLocation.parse(known)} already', hint=f"keyctl config remove {name}"
            )
        if changed:
            written = str(location.file) if location.file else location.url
            file.change(lambda text: with_store(text, name, written), f'[stores] {name} = "…"')
        if location.has_password and file.others_may_read:
            context.output.warn(f"{file.config.path} holds a password, and other users may read it: chmod 600")
    if not changed:
        context.output.note(f"{name} is there already: nothing was changed")
    elif location.file is not None and not os.path.lexists(location.file):
        context.output.note(f"there is no store at {location} yet: keyctl init --store {name}")
    answer = {"name": name, "store": str(location), "config": str(file.config.path)}
    context.output.result(f"{'added' if changed else 'unchanged'} {name}", answer)


def _location(text: str) -> StoreLocation:
    """Return where a store is, a file by its absolute path: the configuration is used in every folder."""
    if "/" not in text and not text.endswith(".db"):
        refuse_password(text)
        raise UsageError(f'"{brief(text)}" is neither a URL nor a file', hint=f"for a file: ./{brief(text)}")
    return StoreLocation.parse(text)


def _standard_input() -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        from keyctl.cli.terminal import ask

        raw = ask("URL: ", hidden=True)
    else:
        raw = read_bytes(Path("-"), longest=_LONGEST)
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8 text") from None
    if not text.isprintable() or not text:
        raise UsageError("standard input must contain one line with a URL")
    return text
