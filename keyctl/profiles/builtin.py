"""Which built-in profiles there are, and which of their keys may occur in a text.

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


def presets_beginning_in(texts: Sequence[str]) -> list[str]:
    """Return the presets whose keys' first fixed characters stand in one of `texts`, in any case."""
    found = []
    for name in preset_names():
        raw = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
        template, brand = _TEMPLATE.search(raw), _BRAND.search(raw)
        if stands_in(template[1] if template else "", brand[1] if brand else "", texts):
            found.append(name)
    return found


def stands_in(template: str, brand: str, texts: Iterable[str]) -> bool:
    """Tell whether the first fixed characters of a template stand in one of `texts`, in any case."""
    beginning = template.replace("{brand}", brand).partition("{")[0].lower()
    return any(beginning in text.lower() for text in texts)
