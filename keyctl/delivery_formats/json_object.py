"""`json`: the object that `--json` prints."""

from __future__ import annotations

import json

from keyctl.delivery_formats.format import Content, Format


def render(key: Content) -> bytes:
    return (json.dumps({**key.fields, "key": key.text}, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def read(content: bytes, _: str | None) -> str | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    text = value.get("key") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


JSON = Format("json", render, read, many=True)
