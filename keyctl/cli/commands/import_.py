"""`keyctl import`."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, ReasonOption
from keyctl.cli.progress import counting
from keyctl.errors import UsageError, suggestion
from keyctl.text import counted

if TYPE_CHECKING:
    from keyctl.cli.output import Output

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("import", cls=Command)
def import_keys(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of JSON Lines or CSV, or - for standard input.")],
    input_format: Annotated[
        str | None, typer.Option(metavar="jsonl|csv", help="Format of the file. [default: by its name or content]")
    ] = None,
    hash_format: Annotated[
        str | None,
        typer.Option(metavar="HASH", rich_help_panel="Hashes", help="Form of the hashes. [default: as they look]"),
    ] = None,
    hash_of: Annotated[
        str | None,
        typer.Option(
            metavar="whole|secret", rich_help_panel="Hashes", help="What was hashed. [default: as the profile says]"
        ),
    ] = None,
    hash_pepper: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel="Hashes", help="Foreign pepper of the hashes, from the pepper file."
        ),
    ] = None,
    create_owner: Annotated[bool, typer.Option("--create-owner", help="Create owners that do not exist.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Import keys of another program or store, with their hashes.

    \b
    Examples:
      keyctl import keys.jsonl --dry-run
      keyctl import keys.csv --create-owner --reason "moved from Django"
      keyctl import - --hash-format keyshield-argon2 --hash-pepper old < rows.csv

    All lines are imported, or none; every line that is refused is listed. Keys stay valid as they are. For the fields,
    and for other programs, see: keyctl help import.
    """
    from keyctl.admin.importing import ImportOptions, KeyImporter
    from keyctl.exchange.hash_forms import FORMS
    from keyctl.exchange.lines import FORMS as INPUT_FORMATS
    from keyctl.exchange.lines import form_of, read
    from keyctl.exchange.records import KEY_FIELDS
    from keyctl.profiles.foreign import HASHED_PARTS

    for option, value, known in (
        ("--input-format", input_format, INPUT_FORMATS),
        ("--hash-format", hash_format, tuple(FORMS)),
        ("--hash-of", hash_of, HASHED_PARTS),
    ):
        if value is not None and value not in known:
            listing = f"known: {', '.join(known)}"
            raise UsageError(f"{option} is unknown", hint=suggestion(value, known, otherwise=listing))
    context = context_of(ctx)
    context.authorise()
    with _opened(file) as opened:
        options = ImportOptions(hash_format, hash_of, hash_pepper, create_owner, _why_no_texts(opened))
        form = input_format or form_of(file.name, _beginning(opened))
        with counting(context.output, "lines") as advance:
            importer = KeyImporter(context.store, context.actor, peppers=context.peppers, on_lines=advance)
            try:
                done = importer.run(read(opened, form, KEY_FIELDS), options, reason=reason, dry_run=dry_run)
            finally:
                if importer.read_texts:
                    _warn_if_readable(context.output, opened, file)
    keys, owners = counted(done.keys, "key"), counted(done.owners, "owner")
    if dry_run:
        context.output.note(f"would import {keys} and {owners}: nothing was changed")
        return
    context.output.result(f"imported {keys} and {owners}", {"imported": {"keys": done.keys, "owners": done.owners}})


def _opened(file: Path) -> BinaryIO:
    from keyctl.regular_files import open_regular

    try:
        if str(file) == "-":
            if sys.stdin is None:
                raise UsageError("standard input is closed", hint="give a file")
            return os.fdopen(os.dup(sys.stdin.fileno()), "rb")
        return open_regular(file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="give a file, or - for standard input") from None


def _beginning(opened: BinaryIO) -> bytes:
    peek = getattr(opened, "peek", None)
    return peek(512)[:512] if peek is not None else b""


def _why_no_texts(opened: BinaryIO) -> str | None:
    """Return why this file may not hold keys themselves: another user wrote it, and may have kept them."""
    status = os.fstat(opened.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_uid != os.geteuid():
        return "key is accepted only from standard input, or from a file of your own"
    return None


def _warn_if_readable(output: "Output", opened: BinaryIO, file: Path) -> None:
    status = os.fstat(opened.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        output.warn(f"{file} contains keys, and other users may read it: chmod 600 {file}, or delete it")
