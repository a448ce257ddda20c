"""`keyctl inspect`."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.secret_input import read_presented_key
from keyctl.errors import CheckFailed, KeyctlError
from keyctl.keyformat import KeyFormat, MalformedKey, ParsedKey
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from keyctl.profiles.model import Profile

if TYPE_CHECKING:
    from keyctl.verification.keyring import Keyring

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def inspect(
    ctx: typer.Context,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the key from a file. [default: standard input]")
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="Profile to try; repeatable. [default: the store's, and all built-in]"),
    ] = None,
) -> None:
    """Decode a key, also without a store.

    \b
    Examples:
      keyctl inspect < key.txt
      keyctl inspect --profile ./acme.toml --key-file key.txt

    Prints the profile, the environment, the prefix, and whether the checksum is right; exits 9 if it is wrong, or if no
    profile has keys of this form. It does not check whether the key is valid: use verify.

    The store's profile is tried first if the store is a file, and last if it is on a server. It need not be there.
    """
    context = context_of(ctx)
    output = context.output
    text = read_presented_key(key_file)
    facts = [] if profile else _in_the_store(lambda: context.keyring if context.location.file else None, text)
    facts += [found for name in profile or preset_names() if (found := _inspect(load_profile(name), text))]
    if not facts and not profile:
        facts = _in_the_store(lambda: None if context.location.file else context.keyring, text)
    if not facts:
        raise CheckFailed(
            f"no profile has keys of this form ({len(text)} characters)",
            hint="for your own profile: --profile FILE",
        )
    # Two profiles may have keys of the same form; the checksum then decides between them.
    best = max(facts, key=lambda fact: fact["checksum"] == "right")
    if output.json:
        output.answer_json(best)
    else:
        output.details([(name, value or "none") for name, value in best.items()])
    if best["checksum"] == "wrong":
        raise CheckFailed("the checksum is wrong: the key was mistyped or truncated", hint="copy the whole key again")


def _in_the_store(open_keyring: Callable[[], "Keyring | None"], text: str) -> list[dict[str, Any]]:
    """Decode the key by the store's profile, and by the forms that its keys had before; nothing without a store."""
    with suppress(KeyctlError):
        keyring = open_keyring()
        found = _inspect(keyring.profile, text, keyring.formats) if keyring else None
        return [found] if found else []
    return []


def _inspect(profile: Profile, text: str, formats: Sequence[KeyFormat] | None = None) -> dict[str, Any] | None:
    for key_format in formats or profile.formats:
        with suppress(MalformedKey):
            return _facts(profile, key_format, key_format.parse_unchecked(text), text)
    return None


def _facts(profile: Profile, key_format: KeyFormat, parsed: ParsedKey, text: str) -> dict[str, Any]:
    checksum = None
    if key_format.checksum:
        checksum = "right" if key_format.format(parsed) == text else "wrong"
    scope = next((one.name for one in profile.scopes.catalogue.values() if one.tag and one.tag == parsed.scope), None)
    return {
        "profile": profile.name,
        "environment": profile.environments.get(parsed.env or ""),
        "scope": scope,
        "prefix": parsed.prefix,
        "checksum": checksum,
        **({"foreign": key_format.foreign} if key_format.foreign else {}),
    }
