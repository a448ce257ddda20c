"""`keyctl bundle show`."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.bundle_files import load_signing_key
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import SigningKeyOption
from keyctl.errors import BundleUntrusted
from keyctl.times import describe_relative, format_time, utc_now

if TYPE_CHECKING:
    from keyctl.bundles.bundle import Bundle

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Bundle to check.")],
    trust: Annotated[
        list[str] | None, typer.Option(metavar="PUBLIC-KEY", help="Trusted signer; repeatable. [default: your own key]")
    ] = None,
    key: SigningKeyOption = None,
) -> None:
    """Check a bundle's signature and content, and describe it.

    \b
    Examples:
      keyctl bundle show keys.bundle
      keyctl bundle show keys.bundle --trust PUBLIC-KEY
    """
    from keyctl.bundles.bundle import Bundle, bundle_facts
    from keyctl.bundles.signing import Trust, parse_trust

    context = context_of(ctx)
    output, now = context.output, utc_now()
    trusted = [parse_trust(one) for one in trust] if trust else [Trust(load_signing_key(key).public_bytes)]
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
            ("filter", narrowed or "none"),
            *([("peppers", ", ".join(header.peppers))] if header.peppers else []),
            *((f"keys {name}", f"{number:,}") for name, number in counts.items()),
            ("owners", f"{facts['owners']:,}"),
            (
                "verifies",
                "signature and all digests are valid, but the bundle cannot be used now"
                if refused
                else "yes: signature and all digests are valid",
            ),
        ]
    )
    if refused:
        raise refused


def _refused(bundle: "Bundle", now: datetime) -> BundleUntrusted | None:
    try:
        bundle.check_age(now)
    except BundleUntrusted as error:
        return error
    return None


def _counts(bundle: "Bundle") -> dict[str, int]:
    from keyctl.models import Status

    now = utc_now()
    counted = Counter(str(record.status(now)) for record in bundle.every_record())
    return {str(status): counted[status] for status in reversed(Status)}
