"""`systemd-credential`: the key alone, without a line end, for `LoadCredential=`."""

from __future__ import annotations

import re

from keyctl.delivery_formats.format import Content, Format, line_of
from keyctl.errors import UsageError
from keyctl.text import brief

_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,255}", re.ASCII)


def render(key: Content) -> bytes:
    return key.text.encode()


def read(content: bytes, _: str | None) -> str | None:
    return line_of(content)


def check_name(name: str | None) -> None:
    """Raise UsageError for what cannot be a credential's name. None is right: the file's name is taken."""
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            f'"{brief(name)}" cannot be the name of a credential: letters, digits, - _ .',
            hint="for example: --as service-key",
        )


SYSTEMD_CREDENTIAL = Format("systemd-credential", render, read, check_name=check_name)
