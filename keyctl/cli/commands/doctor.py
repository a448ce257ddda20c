"""`keyctl doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.output import Output
from keyctl.errors import CheckFailed, UsageError
from keyctl.text import counted, visible
from keyctl.times import utc_now

if TYPE_CHECKING:
    from keyctl.cli.doctor_checks import Result
    from keyctl.doctor.finding import Finding

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MOST = 5  # findings of one check that a terminal shows
_INDENT = " " * 9


@app.command(cls=Command)
def doctor(
    ctx: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Correct modes of files, and remove leftover files.")] = False,
    key_file: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Check the mode of this key file too; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix: show what it would do.")] = False,
) -> None:
    """Check the store, its files and this machine.

    \b
    Examples:
      keyctl doctor
      keyctl doctor --fix --dry-run
      keyctl doctor --json --key-file website.key

    Exits 9 if something is wrong, also if the store cannot be opened. In a pipe: status, check, what is wrong, the
    value, and what to type, separated by tabs. What each check means: keyctl help doctor
    """
    from keyctl.cli.doctor_checks import Examined, examine

    if dry_run and not fix:
        raise UsageError("--dry-run requires --fix", hint="without --fix, nothing is changed: keyctl doctor")
    output = context_of(ctx).output
    checks: list[dict[str, Any]] = []
    for result in examine(Examined(context_of(ctx), key_file or [], utc_now())):
        findings = result.findings or []
        fixed = [one for one in findings if fix and not dry_run and _repair(one, output)]
        checks.append(_object(result, fixed))
        if not output.json:
            _print(result, fixed, output, dry_run=dry_run)
    left = [finding for check in checks for finding in check["findings"] if not finding["fixed"]]
    if output.json:
        output.answer_json({"ok": not left, "checks": checks})
    if left:
        fixable = any(finding["fixable"] for finding in left) and (dry_run or not fix)
        raise CheckFailed(
            f"{counted(len(left), 'problem')} found",
            hint="to fix modes and leftovers: keyctl doctor --fix" if fixable else "see: keyctl help doctor",
        )


def _repair(finding: "Finding", output: Output) -> bool:
    """Do what a finding's fix says, if that is safe; return whether it was done."""
    if finding.repair is None:
        return False
    try:
        finding.repair()
    except OSError as error:
        output.warn(f"not fixed: {finding.value}: {error.strerror}")
        return False
    return True


def _object(result: "Result", fixed: "list[Finding]") -> dict[str, Any]:
    findings = [
        {
            "what": one.what,
            "value": one.value,
            "fix": one.fix,
            "fixable": one.repair is not None,
            "fixed": one in fixed,
        }
        for one in result.findings or []
    ]
    ok = None if result.findings is None else all(one["fixed"] for one in findings)
    return {"name": result.name, "ok": ok, "findings": findings}


def _print(result: "Result", fixed: "list[Finding]", output: Output, *, dry_run: bool) -> None:
    """Print the result of a check: lines for people on a terminal, elsewhere one line for each finding."""
    if not result.findings:
        fields = ["skipped" if result.findings is None else "ok", result.name]
        output.answer(f"{fields[0]:<7}  {fields[1]}" if output.on_terminal else "\t".join([*fields, "", "", ""]))
        return
    shown = result.findings[:_MOST] if output.on_terminal else result.findings
    for one in shown:
        status = "fixed" if one in fixed else "fixable" if dry_run and one.repair else "found"
        fields = [visible(text or "") for text in (status, result.name, one.what, one.value, one.fix)]
        if output.on_terminal:
            _print_lines(fields, output)
        else:
            output.answer("\t".join(fields))
    if more := len(result.findings) - len(shown):
        output.answer(f"{_INDENT}… and {more:,} more: keyctl doctor | grep {result.name}")


def _print_lines(fields: list[str], output: Output) -> None:
    status, name, what, value, fix = fields
    output.answer(f"{status:<7}  {name}: {what}")
    for line in filter(None, (value, fix)):
        output.answer(f"{_INDENT}{line}")
