"""`raw`: the key and a line end."""

from __future__ import annotations

from keyctl.delivery_formats.format import Content, Format, line_of


def render(key: Content) -> bytes:
    return f"{key.text}\n".encode()


def read(content: bytes, _: str | None) -> str | None:
    return line_of(content)


RAW = Format("raw", render, read, many=True)
