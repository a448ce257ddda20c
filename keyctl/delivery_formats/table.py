"""All formats of delivery, by their names."""

from __future__ import annotations

from collections.abc import Mapping

from keyctl.delivery_formats.dotenv import DOTENV
from keyctl.delivery_formats.format import Format
from keyctl.delivery_formats.github_env import GITHUB_ENV
from keyctl.delivery_formats.json_object import JSON
from keyctl.delivery_formats.kubernetes import K8S_SECRET
from keyctl.delivery_formats.raw import RAW
from keyctl.delivery_formats.shell import ENV
from keyctl.delivery_formats.systemd import SYSTEMD_CREDENTIAL
from keyctl.errors import UsageError, suggestion

FORMATS: Mapping[str, Format] = {
    one.name: one for one in (RAW, JSON, ENV, DOTENV, GITHUB_ENV, K8S_SECRET, SYSTEMD_CREDENTIAL)
}


def format_named(name: str) -> Format:
    """Return a format. Raises UsageError for an unknown one."""
    if name not in FORMATS:
        known = f"known: {', '.join(FORMATS)}"
        raise UsageError(f'unknown format "{name}" of a delivery', hint=suggestion(name, FORMATS, otherwise=known))
    return FORMATS[name]
