"""`keyctl export`."""

import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from keyctl import private_files
from keyctl.cli.context import context_of
from keyctl.cli.filter_options import FilterOptions
from keyctl.cli.help_layout import Command
from keyctl.cli.option_groups import expand_options
from keyctl.cli.progress import counting
from keyctl.cli.streams import sync
from keyctl.errors import Refused, UsageError, suggestion
from keyctl.text import counted

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
@expand_options
def export(
    ctx: typer.Context,
    which: FilterOptions,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel="Output", help="Write to a file (mode 0600); - is stdout."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", rich_help_panel="Output", help="Let --out replace an existing file.")
    ] = False,
    output_format: Annotated[
        str | None,
        typer.Option(
            metavar="jsonl|csv", rich_help_panel="Output", help="Format. [default: from the file's name, or jsonl]"
        ),
    ] = None,
) -> None:
    """Export keys with their hashes, for an import.

    \b
    Examples:
      keyctl export --out keys.jsonl
      keyctl export --owner acme --out acme.csv

    No secret is in it, but every hash: protect it like the store. JSON Lines also hold the owners; CSV has only their
    handles. To copy a whole store, with its audit log: db backup or db copy.
    """
    from keyctl.admin.exporting import KeyExporter
    from keyctl.exchange.lines import FORMS, JSONL, form_of

    if output_format is not None and output_format not in FORMS:
        hint = suggestion(output_format, FORMS, otherwise=f"known: {', '.join(FORMS)}")
        raise UsageError("--output-format is unknown", hint=hint)
    context = context_of(ctx)
    out = None if str(out) == "-" else out
    form = output_format or (form_of(out.name, b"{") if out else JSONL)
    filters = which.read(context)
    if out is None and context.output.on_terminal:
        context.output.warn("the hashes of keys are sensitive: to write them to a private file, give --out FILE")
    written = 0

    def count() -> None:
        nonlocal written
        written += 1
        advance(1)

    exporter = KeyExporter(context.store, on_key=count)
    with counting(context.output, "keys") as advance, closing(exporter.lines(form, filters)) as lines:
        if out is None:
            _to_stdout(lines)
            return
        _to_file(out, lines, replace=force)
    if context.output.json:
        context.output.answer_json({"file": str(out), "keys": written})
    else:
        context.output.note(f"exported {counted(written, 'key')} to {out}")


def _to_stdout(lines: Iterable[bytes]) -> None:
    if sys.stdout is None:
        raise UsageError("standard output is closed", hint="give --out FILE")
    for line in lines:
        sys.stdout.buffer.write(line)
    sync(sys.stdout)


def _to_file(out: Path, lines: Iterable[bytes], *, replace: bool) -> None:
    if not private_files.is_replaceable(out):
        raise Refused(f"{out} is a folder, a link or a device: it is never replaced", hint="give a regular file")
    if not replace and out.exists():
        raise Refused(f"{out} already exists", hint="choose another file, or add --force to replace it")
    temporary = private_files.temporary_beside(out)
    try:
        private_files.write_new(temporary, lines)
        if replace:
            temporary.replace(out)
        else:
            private_files.move_without_replacing(temporary, out)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}", hint="give another file") from None
    finally:
        private_files.remove(temporary)
