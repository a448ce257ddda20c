"""Loads profiles: the built-in presets, and the user's own files."""

from __future__ import annotations

from pathlib import Path

from keyctl.errors import NotFound, ProfileInvalid, suggestion
from keyctl.profiles.builtin import PRESETS, preset_names
from keyctl.profiles.http import read_http
from keyctl.profiles.model import Profile, read_profile
from keyctl.text import brief
from keyctl.toml_text import LARGEST, parse_toml


def load_profile(name: str) -> Profile:
    """Read a preset by its name, or a file: anything with a `/` or ending in `.toml`.

    Raises NotFound, or ProfileInvalid with every fault.
    """
    if "/" not in name and not name.endswith(".toml"):
        if name not in preset_names():
            listing = "see: keyctl profile list; give a file as ./NAME.toml"
            raise NotFound(f'no profile "{brief(name)}"', hint=suggestion(name, preset_names(), otherwise=listing))
        return read_profile(preset_document(name), source=f"profile {name}", also=read_http)
    return read_profile(_parse(Path(name)), source=name, also=read_http)


def preset_document(name: str) -> dict[str, object]:
    return _parse(PRESETS / f"{name}.toml")


def _parse(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise NotFound(f"cannot read the profile {path}: {error.strerror}", hint="see: keyctl profile list") from None
    try:
        return parse_toml(raw)
    except ValueError as error:
        raise ProfileInvalid(str(path), [str(error)]) from None
