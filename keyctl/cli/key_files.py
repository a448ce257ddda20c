"""The files that new keys of a description are delivered to: one for each, named after its key."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from keyctl import private_files
from keyctl.desired.plan import KeyStep
from keyctl.errors import NotDelivered, Refused

_UNSAFE = re.compile(r"[^A-Za-z0-9._@+-]", re.ASCII)
_LONGEST = 200  # characters; file systems allow 255 bytes, and a temporary name is longer
_EXAMPLES = 5


def files_for(folder: Path, steps: Sequence[KeyStep]) -> dict[str, Path]:
    """Return the file of each new key, by its path in the description. Raises Refused if one exists."""
    files = {
        step.described.path: folder / file_name(step.owner, step.described.name, step.environment) for step in steps
    }
    there = [path for path in files.values() if os.path.lexists(path)]
    if there:
        shown = ", ".join(map(str, there[:_EXAMPLES])) + (", …" if len(there) > _EXAMPLES else "")
        raise Refused(f"a new key would replace {shown}", hint="move these files away, or choose another --out-dir")
    return files


def make_folder(folder: Path) -> None:
    """Make the folder if it is not there, for its owner alone. Raises NotDelivered if it cannot be written to."""
    try:
        private_files.make_folder(folder)
    except OSError as error:
        raise NotDelivered(f"cannot make the folder {folder}: {error.strerror}", hint="no key was minted") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotDelivered(f"cannot write to the folder {folder}", hint="no key was minted; choose another --out-dir")


def file_name(owner: str | None, name: str, environment: str) -> str:
    """Return `OWNER~NAME~ENVIRONMENT.key`, without the owner if there is none; unsafe characters are `%` and hex."""
    parts = [owner, name, environment] if owner is not None else [name, environment]
    stem = "~".join(_escaped(part) for part in parts)
    if len(stem) > _LONGEST:
        stem = f"{stem[: _LONGEST - 17]}~{hashlib.sha256(stem.encode()).hexdigest()[:16]}"
    return f"{stem}.key"


def _escaped(part: str) -> str:
    text = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), part)
    return f"%2E{text[1:]}" if text.startswith(".") else text
