"""`keyctl inspect`."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.secret_input import read_presented_key
from keyctl.errors import CheckFailed
from keyctl.keyformat import KeyFormat, MalformedKey, ParsedKey
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from keyctl.profiles.model import Profile

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def inspect(
    ctx: typer.Context,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the key from a file. [default: standard input]")
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="Profile to try; repeatable. [default: all built-in ones]"),
    ] = None,
) -> None:
    """Decode a key without a store.

    \b
    Examples:
      keyctl inspect < key.txt
      keyctl inspect --profile ./acme.toml --key-file key.txt

    Prints the profile, the environment, the prefix, and whether the checksum is right; exits 9 if it is wrong, or if no
    profile has keys of this form. It does not check whether the key is valid: use verify.
    """
    output = context_of(ctx).output
    text = read_presented_key(key_file)
    facts = [found for name in profile or preset_names() if (found := _inspect(load_profile(name), text))]
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


def _inspect(profile: Profile, text: str) -> dict[str, Any] | None:
    for key_format in profile.formats:
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
