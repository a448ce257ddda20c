"""`keyctl apply`."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.confirmation import confirm_change
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.delivery_options import Destination
from keyctl.cli.help_layout import Command
from keyctl.cli.options import YesOption
from keyctl.cli.output import Output
from keyctl.cli.secret_input import read_bytes
from keyctl.errors import CheckFailed, Refused, UsageError
from keyctl.text import brief, counted
from keyctl.toml_text import LARGEST

if TYPE_CHECKING:
    from keyctl.admin.delivery import Delivery, Minted
    from keyctl.desired.plan import KeyStep, Plan
    from keyctl.models import KeyRecord

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def apply(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Description in TOML, or - for standard input.")
    ] = None,
    out_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write each new key to a file of its own in this folder.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--exec", metavar="COMMAND", help="Give each new key to a shell command on its standard input."),
    ] = None,
    command_timeout: Annotated[
        str | None, typer.Option("--exec-timeout", metavar="TIME", help="Time limit of that command. [default: 60s]")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Revoke the keys that are not described.")] = False,
    export: Annotated[bool, typer.Option("--export", help="Print the description of the store.")] = False,
    yes: YesOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the differences; change nothing. Exits 9 if there are any.")
    ] = False,
) -> None:
    """Change owners and keys to what a file describes.

    \b
    Examples:
      keyctl apply --export > keys.toml
      keyctl apply keys.toml --dry-run
      keyctl apply keys.toml --out-dir new-keys
      keyctl apply keys.toml --prune --yes

    Everything is checked before the first change. Applying the same file again changes nothing. The file contains no
    secret: new keys go to --out-dir or --exec.
    """
    context = context_of(ctx)
    if out_dir is not None and command is not None:
        raise UsageError("--exec cannot be used with --out-dir", hint="omit one of them")
    destination = Destination(out_dir, command=command, command_timeout=command_timeout)
    destination.check(to_stdout=False)
    if export:
        if file or prune or dry_run or destination.elsewhere:
            raise UsageError("--export takes no other option and no FILE", hint="keyctl apply --export > FILE")
        _export(context)
        return
    if file is None:
        raise UsageError("missing argument FILE", hint="keyctl apply FILE, or keyctl apply --export > FILE")
    _apply(context, file, destination, prune=prune, yes=yes, dry_run=dry_run)


def _apply(
    context: CommandContext, file: Path, destination: Destination, *, prune: bool, yes: bool, dry_run: bool
) -> None:
    from keyctl.admin.apply import Applier
    from keyctl.cli import plan_view
    from keyctl.cli.key_files import files_for, make_folder
    from keyctl.desired.description import parse_description

    output = context.output
    source = "standard input" if str(file) == "-" else brief(str(file), 200)
    description = parse_description(read_bytes(file, longest=LARGEST + 1), source)
    context.authorise()
    applier = Applier(context.store, context.actor, source, peppers=context.peppers)
    plan = applier.plan(description, prune=prune)
    _note(context, plan)
    if not plan.size or dry_run:
        _show(output, plan)
        if plan.size:
            differences = counted(plan.size, "difference")
            raise CheckFailed(f"{differences} from {source}: {plan_view.summary(plan)}", hint=_hint(file, plan))
        output.note(f"the store is as {source} describes it: nothing was changed")
        return
    if plan.new_keys and not destination.elsewhere:
        count = counted(len(plan.new_keys), "new key")
        raise Refused(f"there is no place for {count}: nothing was changed", hint="add --out-dir FOLDER")
    folder = destination.out
    files = files_for(folder, plan.new_keys) if folder is not None else {}
    question = f"apply {source}: {plan_view.summary(plan)}"
    if not yes and not (sys.stdin and sys.stdin.isatty()):  # refused before anything is printed
        confirm_change(context, question)
    if not output.json:
        plan_view.show(output, plan)
    if not yes:
        confirm_change(context, question)
    if files and folder is not None:
        make_folder(folder)
    minted: dict[str, KeyRecord] = {}

    def on_minted(step: "KeyStep", record: "KeyRecord") -> None:
        path = step.described.path
        minted[path] = record
        place = f"in {files[path]}" if path in files else "passed to the command"
        output.note(f"minted {record.key.prefix}, {place}")

    applier.carry_out(description, plan, lambda step: _delivery(output, destination, files, step), on_minted)
    if output.json:
        output.answer_json(plan_view.plan_object(plan, applied=True, minted=minted, files=files))
    output.note(f"applied {source}: {plan_view.summary(plan, done=True)}")


def _delivery(
    output: Output, destination: Destination, files: Mapping[str, Path], step: "KeyStep"
) -> "Delivery[Minted]":
    from keyctl.admin.command_delivery import CommandDelivery
    from keyctl.admin.delivery import FileDelivery

    if destination.command is None:
        return FileDelivery(files[step.described.path])
    names = {"KEY_NAME": step.described.name, "KEY_OWNER": step.owner or "", "KEY_ENVIRONMENT": step.environment}
    # Assigned by the shell, so that the command can choose a place for each key.
    known = " ".join(f"{name}={shlex.quote(value)}" for name, value in names.items())
    return CommandDelivery(
        f"export {known}\n{destination.command}",
        lambda minted: f"{minted[0].text}\n".encode(),
        output.relay,
        seconds=destination.seconds,
    )


def _show(output: Output, plan: "Plan") -> None:
    """Print the differences and that nothing was done about them."""
    from keyctl.cli import plan_view

    if output.json:
        output.answer_json(plan_view.plan_object(plan, applied=False))
    else:
        plan_view.show(output, plan)


def _note(context: CommandContext, plan: "Plan") -> None:
    """Note what is not described."""
    output = context.output
    for key in plan.expired:
        output.note(f"{key.path}: {key.name} has expired, as described")
    if plan.undescribed and not plan.prune:
        several = len(plan.undescribed) > 1
        output.note(
            f"{len(plan.undescribed):,} {'keys are' if several else 'key is'} not described; "
            f"to revoke {'them' if several else 'it'}: --prune"
        )
    if plan.undescribed_owners:
        several = len(plan.undescribed_owners) > 1
        output.note(f"{len(plan.undescribed_owners):,} {'owners are' if several else 'owner is'} not described")


def _hint(file: Path, plan: "Plan") -> str:
    options = [*(["--out-dir FOLDER"] if plan.new_keys else []), *(["--prune"] if plan.prune else [])]
    return " ".join(["keyctl apply", brief(str(file)), *options])


def _export(context: CommandContext) -> None:
    from keyctl.admin.apply import read_existing
    from keyctl.desired.export import export
    from keyctl.times import utc_now

    now = utc_now()
    with context.store.read() as connection:
        existing = read_existing(connection, now=now)
    exported = export(existing, now=now)
    context.output.answer(exported.text.rstrip("\n"))
    if missing := exported.not_described:
        are, them = ("key is", "it") if missing == 1 else ("keys are", "them")
        context.output.note(
            f"{missing:,} {are} not described, and --prune would revoke {them}: see the end of the file"
        )
