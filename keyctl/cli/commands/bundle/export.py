"""`keyctl bundle export`."""

import os
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl import private_files
from keyctl.cli.bundle_files import load_signing_key
from keyctl.cli.context import context_of
from keyctl.cli.filter_options import FilterOptions
from keyctl.cli.help_layout import Command
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import ReasonOption, SigningKeyOption
from keyctl.cli.progress import counting
from keyctl.errors import UsageError
from keyctl.times import format_time, parse_duration

if TYPE_CHECKING:
    from keyctl.bundles.bundle import Header

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_DEFAULT_VALIDITY = "24h"


@app.command(cls=Command)
@expand_options
def export(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write; an existing one is replaced atomically.")
    ],
    *,
    valid_for: Annotated[
        str, typer.Option(metavar="TIME", rich_help_panel="Bundle", help="How long the bundle is valid.")
    ] = _DEFAULT_VALIDITY,
    key: SigningKeyOption = None,
    with_names: Annotated[
        bool, typer.Option("--with-names", rich_help_panel="Bundle", help="Include names and handles.")
    ] = False,
    which: FilterOptions,
    reason: ReasonOption = None,
) -> None:
    """Write a signed bundle of what verification needs.

    \b
    Examples:
      keyctl bundle export keys.bundle
      keyctl bundle export live.bundle --env live --valid-for 1h

    A bundle contains hashes and never a secret. Keys that are revoked after the export remain valid in it until it
    expires; revoke and lock report that time.
    """
    from keyctl.admin.bundle_export import BundleExporter

    context = context_of(ctx)
    lifetime = parse_duration(valid_for)
    if lifetime <= timedelta(0):
        raise UsageError("--valid-for must be greater than zero", hint="for example: --valid-for 24h")
    filters = which.read(context)
    signing_key = load_signing_key(key)
    context.authorise()
    context.output.warn_of_leftovers(file)

    def export_to(path: Path) -> "Header":
        with counting(context.output, "keys") as advance:
            exporter = BundleExporter(context.store, context.actor, signing_key, on_key=lambda: advance(1))
            header = exporter.export(
                path,
                filters=filters,
                described=which.described(filters),
                valid_for=lifetime,
                with_names=with_names,
                reason=reason,
            )
        if header.peppers:
            context.output.note(f"readers of this bundle need a pepper file with {', '.join(header.peppers)}")
        return header

    if _is_stdout(file):
        if context.output.json:
            raise UsageError("--json cannot be used with a bundle on stdout", hint="give a file")
        with TemporaryDirectory() as folder:
            export_to(Path(folder) / "bundle")
            context.output.answer_file(Path(folder) / "bundle")
        return
    header = export_to(file)
    if context.output.json:
        facts = {"file": str(file), "sequence": header.sequence, "signer": signing_key.public_text}
        times = {"made_at": format_time(header.made_at), "valid_until": format_time(header.valid_until)}
        context.output.answer_json(facts | times | {"store_id": header.store_id, "peppers": list(header.peppers)})
    else:
        context.output.answer(str(file))
        context.output.aside(
            [
                ("valid until", format_time(header.valid_until)),
                ("signed by", signing_key.public_text),
                ("use it", f"keyctl verify --bundle {file} --trust {signing_key.public_text}"),
            ]
        )


def _is_stdout(file: Path) -> bool:
    """Return whether a path is a link or a device that leads to standard output, such as /dev/stdout."""
    try:
        return not private_files.is_replaceable(file) and os.path.samestat(file.stat(), os.fstat(1))
    except OSError:
        return False
