"""`keyctl bundle …`."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.command import Command, Group
from keyctl.cli.config import default_folder
from keyctl.cli.context import ReasonOption, context_of
from keyctl.errors import BundleUntrusted, UsageError
from keyctl.times import describe_relative, format_time, parse_duration, utc_now

if TYPE_CHECKING:
    from keyctl.bundle import Bundle
    from keyctl.cli.output import Output

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Export signed copies for verification offline.

\b
Examples:
  keyctl bundle key --create
  keyctl bundle export keys.bundle --valid-for 24h
  keyctl verify --bundle keys.bundle --trust PUBLIC-KEY < key.txt
""",
)

KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The signing key's file. [in the configuration folder]")
]
_DEFAULT_VALIDITY = "24h"


@app.command(cls=Command)
def export(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write; what is there is replaced in one step.")
    ],
    valid_for: Annotated[str, typer.Option(metavar="TIME", help="How long it may be used.")] = _DEFAULT_VALIDITY,
    key: KeyOption = None,
    with_names: Annotated[bool, typer.Option("--with-names", help="Include names and handles.")] = False,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Only keys of this status.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="HANDLE", help="Only keys of this owner.")] = None,
    env: Annotated[str | None, typer.Option(metavar="ENV", help="Only keys of this environment.")] = None,
    scope: Annotated[str | None, typer.Option(metavar="SCOPE", help="Only keys that carry this scope.")] = None,
    name: Annotated[str | None, typer.Option(metavar="GLOB", help="Only keys with such a name.")] = None,
    reason: ReasonOption = None,
) -> None:
    """Write a signed copy of what verification needs.

    \b
    Examples:
      keyctl bundle export keys.bundle
      keyctl bundle export live.bundle --env live --valid-for 1h

    A bundle holds hashes and never a secret. Keys that are revoked after the export stay good in it until it is too
    old: revoke and lock say until when.
    """
    from keyctl.bundle_export import BundleExporter
    from keyctl.cli.filters import read_filters

    context = context_of(ctx)
    lifetime = parse_duration(valid_for)
    if lifetime <= timedelta(0):
        raise UsageError("a bundle is valid for some time", hint="--valid-for 24h")
    filters, described = read_filters(context, status=status, owner=owner, env=env, scope=scope, name=name)
    signing_key = _load(key)
    context.authorise()
    with _progress(context.output) as advance:
        exporter = BundleExporter(context.store, context.actor, signing_key, on_key=advance)
        header = exporter.export(
            file, filters=filters, described=described, valid_for=lifetime, with_names=with_names, reason=reason
        )
    if context.output.json:
        facts = {"file": str(file), "sequence": header.sequence, "signer": signing_key.public_text}
        times = {"made_at": format_time(header.made_at), "valid_until": format_time(header.valid_until)}
        context.output.answer_json(facts | times | {"store_id": header.store_id})
    else:
        context.output.answer(str(file))
        context.output.aside(
            [
                ("valid until", f"{format_time(header.valid_until)}"),
                ("signed by", signing_key.public_text),
                ("use it", f"keyctl verify --bundle {file} --trust {signing_key.public_text}"),
            ]
        )


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle.")],
    trust: Annotated[
        list[str] | None, typer.Option(metavar="PUBLIC-KEY", help="Who may have signed it; repeatable. [our own key]")
    ] = None,
    key: KeyOption = None,
) -> None:
    """Check a bundle to the last byte, and tell what it is.

    \b
    Examples:
      keyctl bundle show keys.bundle
      keyctl bundle show keys.bundle --trust PUBLIC-KEY
    """
    from keyctl.bundle import Bundle, bundle_facts
    from keyctl.signing import Trust, parse_trust

    context = context_of(ctx)
    output, now = context.output, utc_now()
    trusted = [parse_trust(one) for one in trust] if trust else [Trust(_load(key).public_bytes)]
    bundle = Bundle(file, trust=trusted)
    counts = _counts(bundle)
    refused = _refused(bundle, now)
    facts: dict[str, Any] = {
        **bundle_facts(bundle, now=now),
        "verifies": refused is None,
        "keys": counts,
        "owners": sum(1 for _ in bundle.every_owner()),
    }
    if output.json:
        output.answer_json(facts)
        if refused:
            raise refused
        return
    header = bundle.header
    narrowed = ", ".join(f"{name} {value}" for name, value in header.filter.items())
    output.details(
        [
            ("store", header.store_id),
            ("profile", bundle.profile.name),
            ("signed by", facts["signer"]),
            ("sequence", str(header.sequence)),
            ("made", f"{format_time(header.made_at)} ({describe_relative(header.made_at, now=now)})"),
            ("valid until", f"{format_time(header.valid_until)} ({describe_relative(header.valid_until, now=now)})"),
            ("only", narrowed or "everything"),
            *((f"keys {name}", f"{number:,}") for name, number in counts.items()),
            ("owners", f"{facts['owners']:,}"),
            (
                "verifies",
                "signature and every digest are right, but it is not in force"
                if refused
                else "yes: signature and every digest",
            ),
        ]
    )
    if refused:
        raise refused


@app.command("key", cls=Command)
def show_key(
    ctx: typer.Context,
    create: Annotated[bool, typer.Option("--create", help="Make the pair of keys first.")] = False,
    key: KeyOption = None,
) -> None:
    """Print the public key that bundles are verified with.

    \b
    Examples:
      keyctl bundle key --create
      keyctl bundle key

    The private key stays in its file, outside the database: whoever steals or rewrites the database cannot forge
    bundles.
    """
    from keyctl.signing import SigningKey

    context = context_of(ctx)
    path = key or _default_key()
    signing_key = SigningKey.create(path) if create else SigningKey.load(path)
    if create:
        context.output.note(f"the private key is in {path}: keep a copy of it somewhere safe")
    if context.output.json:
        context.output.answer_json({"public_key": signing_key.public_text, "file": str(path)})
    else:
        context.output.answer(signing_key.public_text)


def _load(key: Path | None) -> Any:
    from keyctl.signing import SigningKey

    return SigningKey.load(key or _default_key())


def _default_key() -> Path:
    return default_folder("config") / "bundle.key"


def _refused(bundle: "Bundle", now: datetime) -> BundleUntrusted | None:
    try:
        bundle.check_age(now)
    except BundleUntrusted as error:
        return error
    return None


def _counts(bundle: "Bundle") -> dict[str, int]:
    from keyctl.models import Status

    now = utc_now()
    counted = Counter(str(key.status(now)) for key in bundle.every_key())
    return {str(status): counted[status] for status in reversed(Status)}


@contextmanager
def _progress(output: "Output") -> Iterator[Callable[[], None]]:
    """Show on a terminal's stderr how many keys are written."""
    if output.quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} keys"))
    console = Console(stderr=True, no_color=not output.color)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("export", total=None)
        yield lambda: progress.advance(task)
