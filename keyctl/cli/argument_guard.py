"""Refuses keys among the arguments, before anything else reads them: arguments are visible to every process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from keyctl.errors import KeyctlError, UsageError

if TYPE_CHECKING:
    from keyctl.keyformat import KeyFormat

# No prefix is shorter than two fixed characters and its unique part, so most arguments are dismissed here.
_SUSPICIOUS = re.compile(r"[0-9A-Za-z_.:~-]{12}", re.ASCII)


def refuse_exposed_keys(arguments: Sequence[str]) -> None:
    """Raise UsageError if an argument contains a key, whole, truncated or in another case.

    The message contains only its length. This checks the formats of the built-in profiles and of the SQLite store in
    use; any other store is checked once it is open, before the first query.
    """
    suspicious = [argument for argument in arguments if _SUSPICIOUS.search(argument)]
    if suspicious:
        refuse_keys_of(_known_formats(arguments, suspicious), suspicious)


def refuse_keys_of(formats: Iterable[KeyFormat], arguments: Sequence[str]) -> None:
    """Raise UsageError if an argument contains a key of one of these formats, or part of one."""
    for key_format in formats:
        for argument in arguments:
            if match := key_format.exposed_pattern.search(argument):
                raise UsageError(
                    f"an argument contains a key or part of one ({len(match[0])} characters), "
                    "visible to every process on this machine",
                    hint="the key is exposed: keyctl rotate PREFIX; pass keys on standard input or with --key-file",
                )


def _known_formats(arguments: Sequence[str], suspicious: Sequence[str]) -> Iterator[KeyFormat]:
    from keyctl.profiles.builtin import find_presets_in, may_hold_key
    from keyctl.store.setting_names import SettingName

    for name in find_presets_in(suspicious):
        from keyctl.profiles.files import preset_document
        from keyctl.profiles.model import read_profile

        yield read_profile(preset_document(name), source=name).key_format
    if value_of("--bundle", arguments) is not None:
        return  # offline verification never opens a store, not even for this check
    settings = _settings_of_store(arguments)
    with suppress(AttributeError, KeyError, TypeError, ValueError, KeyctlError):
        document = json.loads(settings[SettingName.PROFILE])
        earlier = json.loads(settings.get(SettingName.EARLIER_FORMATS, "[]"))
        shapes = [document["key"], *earlier]
        if any(may_hold_key(suspicious, template=shape["template"], brand=shape.get("brand", "")) for shape in shapes):
            from keyctl.keyformat import KeyFormat
            from keyctl.profiles.model import read_profile

            yield read_profile(document, source="the store's profile").key_format
            yield from map(KeyFormat.from_dict, earlier)


def _settings_of_store(arguments: Sequence[str]) -> dict[str, str]:
    """Read the settings of the SQLite store that is in use, if there is one."""
    from keyctl.cli.configuration import locate_store, read_config
    from keyctl.store.sqlite_file import read_settings

    try:
        file = locate_store(value_of("--store", arguments), read_config(value_of("--config", arguments)))[0].file
        return read_settings(file) if file is not None and file.is_file() else {}
    except (KeyctlError, OSError):
        return {}  # opening the store will report what is wrong


def value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Return the option's last value, as far as it is known before the arguments are parsed."""
    found = None
    for i, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            found = argument.removeprefix(f"{option}=")
        elif argument == option and i + 1 < len(arguments):
            found = arguments[i + 1]
    return found
