"""Refuses keys in arguments and variables, before anything else reads them.

Every process on the machine can read arguments. Variables are quoted in messages, and one is kept in the audit log.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from keyctl.errors import KeyctlError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from keyctl.keyformat import KeyFormat

# No prefix is shorter than two fixed characters and its unique part, so most arguments are dismissed here.
_SUSPICIOUS = re.compile(r"[0-9A-Za-z_.:~-]{12}", re.ASCII)
_MAY_BE_SECRET = re.compile(r"[!-~]{20,}", re.ASCII)  # none is shorter, since it has 128 bits
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{16,}", re.ASCII)
_VARIABLES = (
    "KEYCTL_STORE",
    "KEYCTL_CONFIG",
    "KEYCTL_WAIT",
    "KEYCTL_ACTOR",
    "KEYCTL_ADMIN_TOKEN_FILE",
    "KEYCTL_PEPPER_FILE",
    "KEYCTL_LIMITER",
)
_RANDOM = ("--after", "--trust")  # options whose values look like secrets
# Seconds to wait for a store that another process writes to. The command itself waits as long as --wait says, and
# searches the arguments again once it has opened the store.
_WAIT = 0.2
_LAYERS = 3  # of encodings


class Given(NamedTuple):
    """One reading of an argument or a variable: as it was given, or decoded. `name` is the variable's."""

    text: str
    name: str | None = None
    random: bool = False


def refuse_exposed_keys(arguments: Sequence[str]) -> None:
    """Raise UsageError if an argument or a variable contains a key, whole, truncated, encoded or in another case.

    The message contains only its length. This checks the formats of the built-in profiles and of the SQLite store in
    use; any other store is checked once it is open, before the first query.
    """
    suspicious = [one for one in everything_given(arguments) if _SUSPICIOUS.search(one.text)]
    if suspicious:
        refuse_keys_of(_known_formats(arguments, suspicious), suspicious)


def everything_given(arguments: Sequence[str]) -> list[Given]:
    """Return the arguments and keyctl's variables, in every reading: a key can be percent-encoded, or in base64."""
    given = [
        Given(argument, random=argument.startswith(tuple(f"{option}=" for option in _RANDOM)) or before in _RANDOM)
        for before, argument in zip(("", *arguments), arguments, strict=False)
    ]
    given += [Given(os.environ[name], name) for name in _VARIABLES if name in os.environ]
    layer = given
    for _ in range(_LAYERS):
        layer = [one._replace(text=text) for one in layer for text in _decoded(one.text)]
        given += layer
    return given


def refuse_keys_of(formats: Iterable[KeyFormat], given: Sequence[Given]) -> None:
    """Raise UsageError if an argument or a variable contains a key of one of these formats, or part of one."""
    for key_format in formats:
        from keyctl.exposed_keys import length_exposed_in, length_of_secret_in

        for text, name, random in given:
            length = length_exposed_in(key_format, text) or (0 if random else length_of_secret_in(key_format, text))
            if length and name is None:
                raise UsageError(
                    f"an argument contains a key or part of one ({length} characters), "
                    "visible to every process on this machine",
                    hint="the key is exposed: keyctl rotate PREFIX; pass keys on standard input or with --key-file",
                )
            if length:
                raise UsageError(
                    f"{name} contains a key or part of one ({length} characters)",
                    hint=f"correct {name}, or unset it; pass keys on standard input or with --key-file",
                )


def _decoded(text: str) -> Iterator[str]:
    """Yield what a text says if it is percent-encoded, and each word in it that is base64."""
    if "%" in text:
        from urllib.parse import unquote

        if (decoded := unquote(text, errors="replace")) != text:
            yield decoded
    for word in _BASE64.findall(text):
        from base64 import b64decode

        whole = word[: len(word) - (len(word) % 4 == 1)]  # a truncated one
        raw = b64decode(whole.translate({ord("-"): "+", ord("_"): "/"}) + "=" * (-len(whole) % 4))
        with suppress(UnicodeDecodeError):
            yield raw.decode("ascii")


def _known_formats(arguments: Sequence[str], suspicious: Sequence[Given]) -> Iterator[KeyFormat]:
    from keyctl.profiles.builtin import find_presets_in, may_hold_key
    from keyctl.store.setting_names import SettingName

    texts = [one.text for one in suspicious]
    for name in find_presets_in(texts):
        from keyctl.profiles.files import preset_document
        from keyctl.profiles.model import read_profile

        yield read_profile(preset_document(name), source=name).key_format
    if value_of("--bundle", arguments) is not None:
        return  # offline verification never opens a store, not even for this check
    may_be_secret = any(_MAY_BE_SECRET.search(one.text) for one in suspicious if not one.random)
    settings = _settings_of_store(arguments)
    with suppress(AttributeError, KeyError, TypeError, ValueError, KeyctlError):
        document = json.loads(settings[SettingName.PROFILE])
        earlier = json.loads(settings.get(SettingName.EARLIER_FORMATS, "[]"))
        shapes = [document["key"], *document.get("foreign", []), *earlier]
        if may_be_secret or any(
            may_hold_key(texts, template=shape["template"], brand=shape.get("brand", "")) for shape in shapes
        ):
            from keyctl.keyformat import KeyFormat
            from keyctl.profiles.model import read_profile

            yield from read_profile(document, source="the store's profile").formats
            yield from map(KeyFormat.from_dict, earlier)


def _settings_of_store(arguments: Sequence[str]) -> dict[str, str]:
    """Read the settings of the SQLite store that is in use, if there is one."""
    from keyctl.store.sqlite_file import read_settings

    try:
        file = _store_file(arguments)
        return read_settings(file, wait=_WAIT) if file is not None and file.is_file() else {}
    except (KeyctlError, OSError, ValueError):
        return {}  # opening the store will report what is wrong


def _store_file(arguments: Sequence[str]) -> Path | None:
    """Return the SQLite file in use, or the default one if what should name it does not: that may be a key."""
    from keyctl.cli.configuration import default_store, locate_store, read_config

    try:
        return locate_store(value_of("--store", arguments), read_config(value_of("--config", arguments)))[0].file
    except KeyctlError:
        return default_store().file


def value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Return the option's last value, as far as it is known before the arguments are parsed."""
    found = None
    for i, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            found = argument.removeprefix(f"{option}=")
        elif argument == option and i + 1 < len(arguments):
            found = arguments[i + 1]
    return found
