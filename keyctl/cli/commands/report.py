"""`keyctl report`."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.filter_options import FilterOptions
from keyctl.cli.help_layout import Command
from keyctl.cli.options import split_commas
from keyctl.cli.output import to_json
from keyctl.errors import CheckFailed, StoreUnavailable, UsageError, suggestion
from keyctl.text import brief
from keyctl.times import parse_duration, utc_now

if TYPE_CHECKING:
    from keyctl.report.model import Report

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def report(
    ctx: typer.Context,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            rich_help_panel="Output",
            help="Print text, json, markdown, html or prometheus.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel="Output", help="Write to a file, replacing it in one step."),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, max=1000, rich_help_panel="Output", help="Keys to name in each section.")
    ] = 5,
    expiring_within: Annotated[
        str, typer.Option(metavar="TIME", rich_help_panel="Findings", help="Keys that expire within TIME.")
    ] = "30d",
    unused_for: Annotated[
        str, typer.Option(metavar="TIME", rich_help_panel="Findings", help="Keys that were not used for TIME.")
    ] = "90d",
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECTION", rich_help_panel="Findings", help="Exit 9 if this section has a finding; repeatable."
        ),
    ] = None,
    owner: Annotated[
        list[str] | None, typer.Option(metavar="HANDLE", rich_help_panel="Filters", help="Keys of this owner.")
    ] = None,
    below: Annotated[
        bool, typer.Option("--below", rich_help_panel="Filters", help="With --owner: also keys of the owners below it.")
    ] = False,
    env: Annotated[
        list[str] | None, typer.Option(metavar="ENV", rich_help_panel="Filters", help="Keys in this environment.")
    ] = None,
) -> None:
    """Show what to rotate, revoke or look at.

    \b
    Examples:
      keyctl report
      keyctl report --format html --out report.html
      keyctl report --fail-on expiring,stale > report.txt || mail ops < report.txt
      keyctl report --format prometheus --out /var/lib/node_exporter/keyctl.prom

    Sections: due (for rotation), expiring, stale (not used for long), never-used, moved (replaced, and no longer used),
    refused (out of proportion), no-owner, no-expiry, unused-scopes. A number that cannot be known is a question mark;
    --fail-on exits 5 for it. No key is changed.
    """
    from keyctl.report.gathering import gather
    from keyctl.report.model import Thresholds

    context = context_of(ctx)
    chosen = _form(context, form)
    watched = _sections(fail_on)
    thresholds = Thresholds(parse_duration(expiring_within), parse_duration(unused_for))
    filters = FilterOptions(owner=owner, below=below, env=env)
    made = gather(
        context.store,
        filters.read(context),
        only=_typed(filters),
        thresholds=thresholds,
        now=utc_now(),
        examples=limit,
    )
    text = FORMS[chosen](context, made)
    if out is None:
        context.output.answer_exactly(text if not context.output.on_terminal else text.removesuffix("\n"))
    else:
        _write(out, text)
        context.output.note(f"wrote {out}")
    _fail(made, watched)


def _text(context: CommandContext, made: "Report") -> str:
    from keyctl.cli.report_page import report_lines
    from keyctl.cli.screen import size

    return "\n".join(report_lines(made, width=size()[0], style=context.output.style)) + "\n"


def _json(_: CommandContext, made: "Report") -> str:
    from keyctl.report.as_json import report_object

    return to_json(report_object(made)) + "\n"


def _markdown(_: CommandContext, made: "Report") -> str:
    from keyctl.report.as_markdown import markdown

    return markdown(made)


def _html(_: CommandContext, made: "Report") -> str:
    from keyctl.report.as_html import html

    return html(made)


def _prometheus(_: CommandContext, made: "Report") -> str:
    from keyctl.report.as_prometheus import prometheus

    return prometheus(made)


FORMS: Mapping[str, Callable[[CommandContext, "Report"], str]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
    "html": _html,
    "prometheus": _prometheus,
}


def _form(context: CommandContext, given: str | None) -> str:
    """Raises UsageError for an unknown form, or for two of them."""
    if given is None:
        return "json" if context.output.json else "text"
    if given not in FORMS:
        hint = suggestion(given, FORMS, otherwise=f"known: {', '.join(FORMS)}")
        raise UsageError(f'unknown format "{brief(given)}"', hint=hint)
    if context.output.json and given != "json":
        raise UsageError(f"--json cannot be used with --format {given}", hint="omit one of them")
    return given


def _sections(given: list[str] | None) -> list[str]:
    """Raises UsageError for an unknown section."""
    from keyctl.report.model import SECTIONS

    names = split_commas(given) or []
    for name in names:
        if name not in SECTIONS:
            hint = suggestion(name, SECTIONS, otherwise=f"known: {', '.join(SECTIONS)}")
            raise UsageError(f'unknown section "{brief(name)}"', hint=hint)
    return names


def _typed(filters: FilterOptions) -> str:
    """Return the filters as they are typed, for commands that are suggested."""
    words = [word for handle in filters.owner or () for word in ("--owner", handle)]
    words += ["--below"] if filters.below else []
    words += [word for name in filters.env or () for word in ("--env", name)]
    return shlex.join(words)


def _write(path: Path, text: str) -> None:
    """Write a file that others may read as the umask says: a collector of metrics is another user."""
    from keyctl import private_files

    if not private_files.is_replaceable(path):
        raise UsageError(f"{path} is a link, a device or a pipe: it is never replaced", hint="give a regular file")
    try:
        private_files.replace(path, [text.encode()], shared=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="give a file in a folder that exists") from None


def _fail(made: "Report", watched: list[str]) -> None:
    """Raises CheckFailed if a watched section has a finding, and StoreUnavailable if that is unknown."""
    sections = [section for section in made.sections if section.name in watched]
    found = [section.found for section in sections if section.count]
    if found:
        raise CheckFailed(f"the report has findings: {', '.join(found)}", hint="see: keyctl report")
    unknown = [section for section in sections if section.count is None]
    if unknown:
        names = ", ".join(section.name for section in unknown)
        raise StoreUnavailable(f"it is unknown whether there are findings: {names}", hint=unknown[0].note)
