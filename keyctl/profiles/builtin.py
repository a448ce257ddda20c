"""Lists the built-in profiles, and finds those whose keys may occur in a text.

Presets are searched here and not parsed, since this runs before commands do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PRESETS = Path(__file__).parent / "presets"
_TEMPLATE = re.compile(r'^template *= *"([^"]*)"', re.MULTILINE)
_BRAND = re.compile(r'^brand *= *"([^"]*)"', re.MULTILINE)


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def find_presets_in(texts: Sequence[str]) -> list[str]:
    """Return the presets whose keys may be in one of `texts`."""
    found = []
    for name in preset_names():
        raw = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
        template, brand = _TEMPLATE.search(raw), _BRAND.search(raw)
        if may_hold_key(texts, template=template[1] if template else "", brand=brand[1] if brand else ""):
            found.append(name)
    return found


def may_hold_key(texts: Iterable[str], *, template: str, brand: str) -> bool:
    """Return whether the fixed characters that a template begins with are in one of `texts`, in upper or lower case."""
    beginning = template.replace("{brand}", brand).partition("{")[0].lower()
    return any(beginning in text.lower() for text in texts)
