"""Bundles for tests: exported from stores, and forged by a signer who is trusted and has gone mad."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from keyctl.admin.bundle_export import BundleExporter
from keyctl.bundles.bundle import Bundle, Header
from keyctl.bundles.format import signed_bytes, write_first_line
from keyctl.bundles.signing import SigningKey, Trust
from keyctl.store.keys import Filters
from tests.stores import ACTOR, Opened

HOURS = timedelta(hours=1)


def export(
    opened: Opened,
    path: Path,
    key: SigningKey,
    *,
    filters: Filters | None = None,
    valid_for: timedelta = 24 * HOURS,
    described: Mapping[str, Any] | None = None,
    **how: Any,
) -> Header:
    exporter = BundleExporter(opened.store, ACTOR, key, clock=opened.clock)
    return exporter.export(path, filters=filters or Filters(), described=described or {}, valid_for=valid_for, **how)


def trusting(key: SigningKey, store_id: str | None = None) -> list[Trust]:
    return [Trust(key.public_bytes, store_id)]


def read_all(path: Path, key: SigningKey) -> int:
    """Read every part of a bundle, and return how many rows it has."""
    bundle = Bundle(path, trust=trusting(key))
    try:
        rows = [*bundle.every_key(), *bundle.every_owner()]
        names = sum(bool(bundle.find_owners(owner.handle)) for owner in bundle.every_owner())
        return len(rows) + names
    finally:
        bundle.close()


def split(path: Path) -> tuple[bytes, bytes]:
    """Return a bundle's header and all after its first line."""
    line, _, body = path.read_bytes().partition(b"\n")
    return line.split(b" ", 3)[3], body


def sign(path: Path, key: SigningKey, header: bytes | dict[str, Any], body: bytes) -> Path:
    """Write a bundle in one step, whatever it says."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    new = path.with_name(path.name + ".new")
    new.write_bytes(write_first_line(key.public_bytes, key.sign(signed_bytes(raw)), raw) + body)
    new.replace(path)
    return path


def forge(path: Path, key: SigningKey, **changes: Any) -> Path:
    """Change fields of the header, and sign it anew."""
    header, body = split(path)
    return sign(path, key, json.loads(header) | changes, body)
