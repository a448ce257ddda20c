"""`keyctl mint`."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.admin.delivery import StreamDelivery
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.delivery_options import DeliveryOptions, Destination, warn_of_readers
from keyctl.cli.ensured_key import ensure_key, require_file
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import key_object
from keyctl.cli.new_key_options import NewKeyOptions
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, HttpOption, JsonLinesOption, ReasonOption
from keyctl.cli.output import delivered, to_json
from keyctl.cli.platform_answers import administration_answer, require_answer
from keyctl.cli.progress import filling
from keyctl.errors import UsageError
from keyctl.times import describe_relative, utc_now

if TYPE_CHECKING:
    from keyctl.admin.delivery import Minted
    from keyctl.models import KeyRecord

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_RUNNING = 60.0  # seconds: a temporary file of another bring-up that still runs is younger


@app.command(cls=Command)
@expand_options
def mint(
    ctx: typer.Context,
    described: NewKeyOptions,
    delivery_options: DeliveryOptions,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", rich_help_panel="Key", help="Expiry: 30d, 2027-01-31 (included) or never."),
    ] = None,
    count: Annotated[
        int, typer.Option(metavar="N", rich_help_panel="Key", help="Number of keys; either all are minted or none.")
    ] = 1,
    ensure: Annotated[
        bool,
        typer.Option("--ensure", rich_help_panel="Output", help="Mint only if --out does not hold such a key yet."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", rich_help_panel="Output", help="Let --ensure rotate a key that --out lacks.")
    ] = False,
    jsonl: JsonLinesOption = False,
    http: HttpOption = False,
    init: Annotated[
        bool, typer.Option("--init", rich_help_panel="Store", help="Create the store first if it does not exist.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", rich_help_panel="Store", help="Profile of the store that --init creates."),
    ] = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Create a key and print it once.

    \b
    Examples:
      keyctl mint --name ci --scope read --expires 30d
      KEY=$(keyctl mint --owner acme --create-owner)
      keyctl mint --ensure --name api --format dotenv --as API_KEY --out .env

    Prints only the key to stdout; the store keeps only its hash. A key that cannot be delivered is revoked. The first
    mint creates the default store.
    """
    context = context_of(ctx)
    output = context.output
    new = described.read(expires=expires)
    if profile is not None and not init:
        raise UsageError("--profile requires --init", hint="keyctl init --profile NAME")
    many = count != 1
    to = delivery_options.destination(many=many)
    to.print_json_if_asked(output)
    if http and (many or to.elsewhere or to.format):
        raise UsageError(
            "--http cannot be used with --count, --out, --exec or --format",
            hint="omit --count, --out, --exec, --format",
        )
    if replace and not ensure:
        raise UsageError("--replace requires --ensure", hint="keyctl rotate SELECTOR --out FILE --force")
    if ensure:
        require_file(to, new, http=http, jsonl=jsonl)
    if output.json or jsonl:
        to.refuse_with("--json" if output.json else "--jsonl")

    def fields(one: "Minted") -> dict[str, Any]:
        return key_object(one.record, context.store.profile, now=utc_now())

    def render(minted: Sequence["Minted"]) -> str:
        if http:
            return administration_answer(context, "minted", minted[0].record, text=minted[0].text)
        if not (output.json or jsonl):
            return "\n".join(one.text for one in minted)
        return _as_json([fields(one) | {"key": one.text} for one in minted], many=many, lines=jsonl)

    if to.out:
        output.warn_of_leftovers(to.out, seconds=_RUNNING if ensure else 0)
    to_stdout = StreamDelivery(partial(output.deliver, exactly=http), render)
    delivery = to.delivery(output, to_stdout, fields, wait=context.wait)
    if not dry_run:
        context.create_store_if_missing(profile, asked=init)
    if ensure:
        ensure_key(context, new, to, rotate=replace, reason=reason, dry_run=dry_run)
        return
    if http:
        require_answer(context, "minted")
    with filling(output, f"hashing {count:,} keys", count) as advance:
        records = context.minter(advance).mint(new, delivery, count=count, reason=reason, dry_run=dry_run)
    if dry_run:
        output.note(f"would mint {count:,} {'keys' if many else 'key'} like {_masked(records[0])}: nothing was changed")
        return
    if to.elsewhere and (output.json or jsonl):
        now = utc_now()
        objects = [key_object(one, context.store.profile, now=now) | to.json_fields() for one in records]
        with delivered(to.place):
            output.answer(_as_json(objects, many=many, lines=jsonl))
    warn_of_readers(output, to)
    _describe(context, records, to)


def _as_json(objects: list[dict[str, Any]], *, many: bool, lines: bool) -> str:
    if lines:
        return "\n".join(map(to_json, objects))
    return to_json({"keys": objects} if many else objects[0])


def _masked(record: "KeyRecord") -> str:
    return f"{record.key.prefix}…"


def _describe(context: CommandContext, records: Sequence["KeyRecord"], to: Destination) -> None:
    """Describe the new keys on stderr: at a terminal in full, elsewhere if stdout does not name them."""
    output = context.output
    key, owner = records[0].key, records[0].owner
    many = len(records) > 1
    if to.elsewhere and not output.json and not output.on_stderr_terminal:
        output.note(f"minted {f'{len(records):,} keys' if many else key.prefix}, {to.place}")
    if many:
        output.aside([("minted", f"{len(records):,} keys"), *([("", to.place)] if to.elsewhere else [])])
        return
    expires = describe_relative(key.expires_at, now=key.created_at) if key.expires_at else "never"
    output.aside(
        [
            ("prefix", f"{key.prefix}   (safe to log)"),
            *([("name", key.name)] if key.name else []),
            *([("owner", owner.handle)] if owner else []),
            ("environment", key.environment),
            ("scopes", ", ".join(key.scopes) or "none"),
            ("expires", expires),
            ("", to.place if to.elsewhere else "shown only once: store it now"),
        ]
    )
