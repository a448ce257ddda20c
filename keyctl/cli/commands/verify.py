"""`keyctl verify`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from keyctl import policy
from keyctl.cli.bundle_files import open_bundle
from keyctl.cli.context import DEFAULT_PROFILE, CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import LimiterOption, split_commas
from keyctl.cli.secret_input import read_presented_key, read_request_head
from keyctl.codes import Code
from keyctl.decision import Decision, Request
from keyctl.errors import BundleUntrusted, UsageError
from keyctl.text import brief, is_utf8, visible
from keyctl.times import describe_relative, utc_now

if TYPE_CHECKING:
    from keyctl.profiles.model import Profile
    from keyctl.verification.keyring import Keyring

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def verify(
    ctx: typer.Context,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel="Key", help="Read the key from a file. [default: standard input]"),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE", rich_help_panel="Conditions", help="Required scope; repeatable or comma-separated."
        ),
    ] = None,
    env: Annotated[
        str | None, typer.Option(metavar="ENV", rich_help_panel="Conditions", help="Required environment.")
    ] = None,
    ip: Annotated[
        str | None, typer.Option(metavar="ADDRESS", rich_help_panel="Conditions", help="Client address of the request.")
    ] = None,
    resource_owner: Annotated[
        str | None,
        typer.Option(metavar="HANDLE", rich_help_panel="Conditions", help="Owner of the requested resource."),
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel="Request", help="Verify an HTTP request head; - is standard input."
        ),
    ] = None,
    scheme: Annotated[
        str, typer.Option(metavar="SCHEME", rich_help_panel="Request", help="Scheme of the request: https or http.")
    ] = "https",
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR", rich_help_panel="Request", help="Trust X-Forwarded-* from this network; repeatable."
        ),
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", rich_help_panel="Request", help="Print the platform's HTTP response.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel="Bundle", help="Verify against a bundle, without a store."),
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="PUBLIC-KEY", rich_help_panel="Bundle", help="Trusted signer of the bundle; repeatable."),
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(metavar="TIME", rich_help_panel="Bundle", help="Refuse a bundle older than TIME.")
    ] = None,
    no_state: Annotated[
        bool,
        typer.Option("--no-state", rich_help_panel="Bundle", help="Do not check or record the newest bundle seen."),
    ] = False,
    limiter: LimiterOption = None,
    record: Annotated[bool, typer.Option("--record", help="Record the use of a valid key.")] = False,
) -> None:
    """Verify a key and its permissions.

    \b
    Examples:
      keyctl verify --scope read < key.txt
      keyctl verify --key-file key.txt --env live --ip 192.0.2.7
      keyctl verify --request head.txt --ip 192.0.2.7 --http

    Prints one line; its first word is the code. The exit code is 0 only for VALID; for the others, see: keyctl help
    exit-codes. Changes nothing in the store without --record. With a limiter, a valid key uses up one request of its
    rate limits.
    """
    from keyctl.verifier import Verifier

    context = context_of(ctx)
    if request is not None and key_file is not None:
        raise UsageError(
            "--request cannot be used with --key-file", hint="omit --key-file: the request contains the key"
        )
    if scheme not in ("https", "http"):
        raise UsageError(f'--scheme must be https or http, not "{brief(scheme)}"')
    if bundle is None and (trust or max_age or no_state):
        raise UsageError("--trust, --max-age and --no-state require --bundle", hint="add --bundle FILE")
    if bundle is not None and not trust:
        hint = "add --trust PUBLIC-KEY; the signer prints it with: keyctl bundle key"
        raise UsageError("--bundle requires --trust", hint=hint)
    if bundle is not None and record:
        raise UsageError("--record cannot be used with --bundle", hint="--record writes to a store: omit --bundle")
    if resource_owner is not None and not is_utf8(resource_owner):
        raise UsageError(f'--resource-owner "{brief(resource_owner)}" is not UTF-8: no owner can match it')
    address = context.limiter_address(limiter)
    counting = context.open_limiter(address) if address else None
    head = read_request_head(request) if request is not None else None
    text = read_presented_key(key_file) if head is None else ""
    try:
        if bundle is not None:
            keyring: Keyring = open_bundle(bundle, trust or [], max_age=max_age, keep_state=not no_state)
        else:
            keyring = context.store if record else context.keyring
    except BundleUntrusted as error:
        from keyctl.profiles.files import load_profile

        context.output.warn(error.message)
        if error.hint:
            context.output.note(error.hint)
        untrusted = Decision(Code.UNTRUSTED_BUNDLE, error.reason)
        _answer(context, untrusted, load_profile(DEFAULT_PROFILE), http=http)
    asked = Request(
        scopes=policy.known_scopes(keyring.profile, split_commas(scope) or []),
        environment=policy.environment(keyring.profile, env) if env is not None else None,
        ip=_address(ip) if ip is not None else None,
        resource_owner=resource_owner,
    )
    verifier = Verifier(keyring, wait=context.wait, peppers=context.peppers, limiter=counting)
    if head is None:
        decision = verifier.verify(text, asked.scopes, asked.environment, asked.ip, asked.resource_owner)
    else:
        proxies = _networks(trusted_proxy)
        decision = verifier.verify_request(
            head.method, head.target, head.headers, asked.ip, scheme=scheme, trusted_proxies=proxies, asked=asked
        )
    if decision.code is Code.FORBIDDEN_OWNER and bundle is not None and not keyring.find_owners(resource_owner or ""):
        context.output.note(
            "this bundle identifies owners by id; to include handles: keyctl bundle export --with-names"
        )
    if counting and counting.last_failure:
        context.output.warn(f"the request was not counted: {counting.last_failure.message}")
    if record and decision:
        _record_use(context, decision, text)
    facts = _bundle_facts(keyring) if bundle else None
    _answer(context, decision, keyring.profile, http=http, bundle=facts, content=head is None or head.method != "HEAD")


def _answer(
    context: CommandContext,
    decision: Decision,
    profile: "Profile",
    *,
    http: bool,
    bundle: dict[str, Any] | None = None,
    content: bool = True,
) -> NoReturn:
    """Print the decision, and exit with its code. Without `content`, as for HEAD, a response has no body."""
    if http:
        from keyctl.http.responses import answer_decision
        from keyctl.profiles.http import rules_of

        answer = answer_decision(profile, rules_of(profile), decision)
        context.output.answer_exactly(str(answer if content else answer._replace(body=None)))
    elif context.output.json:
        from keyctl.cli.decision_object import decision_object

        context.output.answer_json(decision_object(decision, profile, now=utc_now()) | {"bundle": bundle})
    else:
        context.output.answer(_line(decision, bundle))
    raise typer.Exit(decision.code.exit_code)


def _bundle_facts(keyring: "Keyring") -> dict[str, Any]:
    from keyctl.bundles.bundle import bundle_facts
    from keyctl.bundles.reload import FollowedBundle

    if not isinstance(keyring, FollowedBundle):
        raise TypeError("not a bundle")
    return bundle_facts(keyring.bundle, now=utc_now())


def _networks(texts: list[str] | None) -> tuple[str, ...]:
    from keyctl.networks import parse_networks

    return parse_networks(texts or [])


def _address(ip: str) -> str:
    from keyctl.networks import parse_address

    return parse_address(ip)


def _line(decision: Decision, bundle: dict[str, Any] | None) -> str:
    words = [str(decision.code)]
    if decision.record:
        words.append(decision.record.key.prefix)
    if decision.code is Code.VALID and decision.record and decision.record.owner:
        words.append(f"owner {decision.record.owner.handle}")
    if decision.reason:
        words.append(f"({visible(decision.reason)})")  # it may quote a header or a path
    if bundle:
        age = describe_relative(datetime.fromisoformat(bundle["made_at"]), now=utc_now())
        words.append(f"[bundle made {age}, valid until {bundle['valid_until']}]")
    return " ".join(words)


def _record_use(context: CommandContext, decision: Decision, text: str) -> None:
    from keyctl.admin.last_use import record_use

    if decision.record is None:
        return
    missing = record_use(context.store, context.actor, decision.record, text, now=utc_now(), peppers=context.peppers)
    if missing:
        context.output.warn(f"the use was recorded, and the key keeps its hash: {missing.message}")
