"""`keyctl verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl import policy
from keyctl.cli.command import Command
from keyctl.cli.context import CommandContext, context_of, split_commas
from keyctl.cli.presented import read_presented_key
from keyctl.decision import Code, Decision, Request
from keyctl.json_objects import decision_object
from keyctl.times import utc_now
from keyctl.verifier import Verifier

if TYPE_CHECKING:
    from keyctl.verifier import Keyring

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def verify(
    ctx: typer.Context,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the key from a file. [standard input]")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="What the key must be good for: all of them; repeatable.")
    ] = None,
    env: Annotated[str | None, typer.Option(metavar="ENV", help="The environment the key must be for.")] = None,
    ip: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where the request comes from.")] = None,
    resource_owner: Annotated[
        str | None, typer.Option(metavar="HANDLE", help="To whom belongs what the request reaches for.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Note the time as the key's last use, if it is valid.")
    ] = False,
) -> None:
    """Decide whether a key is good for something.

    \b
    Examples:
      keyctl verify --scope read < key.txt
      keyctl verify --key-file key.txt --env live --ip 192.0.2.7

    Prints one line; its first word is the code. The exit code is 0 only for VALID: the README lists the others.
    Writes nothing unless --record.
    """
    context = context_of(ctx)
    text = read_presented_key(key_file)
    keyring: Keyring = context.store if record else context.keyring
    request = Request(
        scopes=policy.known_scopes(keyring.profile, split_commas(scope) or []),
        environment=policy.environment(keyring.profile, env) if env is not None else None,
        ip=_address(ip) if ip is not None else None,
        resource_owner=resource_owner,
    )
    decision = Verifier(keyring).verify(text, request)
    if record and decision:
        _record_use(context, decision)
    if context.output.json:
        context.output.answer_json(decision_object(decision, keyring.profile, now=utc_now()))
    else:
        context.output.answer(_line(decision))
    raise typer.Exit(decision.code.exit_code)


def _address(ip: str) -> str:
    from keyctl.networks import parse_address

    return parse_address(ip)


def _line(decision: Decision) -> str:
    words = [str(decision.code)]
    if decision.record:
        words.append(decision.record.key.prefix)
    if decision.code is Code.VALID and decision.record and decision.record.owner:
        words.append(f"owner {decision.record.owner.handle}")
    if decision.reason:
        words.append(f"({decision.reason})")
    return " ".join(words)


def _record_use(context: CommandContext, decision: Decision) -> None:
    from keyctl.store import usage

    if decision.record is None:
        return
    key_id, now = decision.record.key.id, utc_now()
    context.store.write(lambda connection: usage.record(connection, key_id, at=now))
