"""`k8s-secret`: the manifest of a Secret. Its strings are JSON, which every reader of YAML understands."""

from __future__ import annotations

import json
import re

from keyctl.delivery_formats.format import Content, Format
from keyctl.errors import UsageError
from keyctl.text import brief

DEFAULT_ENTRY = "API_KEY"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ENTRY = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,253}", re.ASCII)
_LONGEST_NAME = 253
_HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n"
_MANIFEST = re.compile(
    re.escape(_HEAD)
    + r'  name: "([^"]+)"\n(?:  namespace: "([^"]+)"\n)?type: Opaque\nstringData:\n  "([^"]+)": (".*")\n'
)


def render(key: Content) -> bytes:
    namespace, secret, entry = _parts(key.name)
    place = f"  namespace: {json.dumps(namespace)}\n" if namespace else ""
    return (
        f"{_HEAD}  name: {json.dumps(secret)}\n{place}type: Opaque\nstringData:\n"
        f"  {json.dumps(entry)}: {json.dumps(key.text)}\n"
    ).encode()


def read(content: bytes, name: str | None) -> str | None:
    """Read what `render` writes, and no other YAML."""
    match = _MANIFEST.fullmatch(content.decode(errors="replace"))
    if match is None or (match[2], match[1], match[3]) != _parts(name):
        return None
    try:
        text = json.loads(match[4])
    except ValueError:
        return None
    return text if isinstance(text, str) else None


def check_name(name: str | None) -> None:
    if name is None:
        raise UsageError("--format k8s-secret requires the name of a Secret", hint="add --as [NAMESPACE/]SECRET[:KEY]")
    namespace, secret, entry = _parts(name)
    valid = (
        (namespace is None or _LABEL.fullmatch(namespace))
        and len(secret) <= _LONGEST_NAME
        and all(_LABEL.fullmatch(part) for part in secret.split("."))
        and _ENTRY.fullmatch(entry)
    )
    if not valid:
        raise UsageError(
            f'"{brief(name)}" cannot be a Secret: lowercase letters, digits and -, and KEY in letters, digits, - _ .',
            hint="for example: --as production/payments:API_KEY",
        )


def _parts(name: str | None) -> tuple[str | None, str, str]:
    """Return the namespace, the name of the Secret and the entry in it of `[NAMESPACE/]SECRET[:KEY]`."""
    place, colon, entry = (name or "").partition(":")
    namespace, slash, secret = place.rpartition("/")
    return namespace if slash else None, secret, entry if colon else DEFAULT_ENTRY


K8S_SECRET = Format("k8s-secret", render, read, check_name=check_name)
