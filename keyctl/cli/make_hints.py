"""Errors in the words of `make`, for a command that the Makefile runs: its variables, and where it installed keyctl."""

from __future__ import annotations

import re

_VARIABLES = {
    "name": "NAME",
    "owner": "OWNER",
    "create-owner": "OWNER",
    "owner-kind": "OWNER_KIND",
    "env": "ENV",
    "scope": "SCOPES",
    "expires": "EXPIRES",
    "profile": "PROFILE",
    "store": "STORE",
    "out": "OUT",
    "as": "AS",
}
# An option, and the value after it, which is a placeholder, a duration, a path or an address.
_OPTION = re.compile(rf"--({'|'.join(_VARIABLES)})(?![\w-])(?: ([A-Z][A-Z.|]*|[0-9./]\S*|never))?")
# What it says otherwise. OWNER=… creates the owner, and a token is no file.
_PHRASES = {
    " --owner HANDLE --create-owner": " OWNER=HANDLE",
    "--admin-token-file FILE": "ADMIN_TOKEN=TOKEN",
    "the option": "the variable",
    "--replace": "REPLACE=yes",
}
_COMMAND = re.compile(r"(?:^|(?<=[:;] )|(?<=or ))keyctl (?=[a-z])")


def message_for_make(text: str) -> str:
    """Return a message with make's variables in place of options."""
    for phrase, here in _PHRASES.items():
        text = text.replace(phrase, here)
    return _OPTION.sub(lambda found: _VARIABLES[found[1]] + (f"={found[2]}" if found[2] else ""), text)


def hint_for_make(text: str, program: str) -> str:
    """Return a hint for make. In one with a whole command, its options stay, and `program` is what to type."""
    typed, commands = _COMMAND.subn(lambda _: f"{program} ", text)
    return typed if commands else message_for_make(text)
