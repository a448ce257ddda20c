"""Reads bundles as a gateway in another language would: written from the page on their format, without keyctl."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class SecondReader:
    """An open bundle. Raises ValueError, or InvalidSignature, if it cannot be trusted."""

    def __init__(self, path: Path, trusted: str, now: datetime) -> None:
        self.path = path
        with path.open("rb") as file:
            line = file.readline(262_144)
        if not line.endswith(b"\n"):
            raise ValueError("no first line")
        magic, signer, signature, header = line[:-1].split(b" ", 3)
        if magic != b"keyctl-bundle-v1" or signer != trusted.encode():
            raise ValueError("another format, or another signer")
        content = b"keyctl-bundle-v1\n" + header
        Ed25519PublicKey.from_public_bytes(unpadded(signer)).verify(unpadded(signature), content)
        self.start = len(line)
        self.header = json.loads(header)
        if self.header["version"] != 1:
            raise ValueError("another version")
        made_at, valid_until = (datetime.fromisoformat(self.header[name]) for name in ("made_at", "valid_until"))
        if now >= valid_until or made_at > now + timedelta(minutes=5):
            raise ValueError("not now")
        self.rules = json.loads(self.block(self.header["rules"]))

    def key(self, prefix: str) -> dict[str, Any] | None:
        row = self.find("keys", prefix)
        if row is not None:
            row["scopes"], row["allowed_ips"] = json.loads(row["scopes"]), json.loads(row["allowed_ips"])
        return row

    def owners(self, owner_id: str | None) -> list[dict[str, Any]]:
        """Return an owner and those above it."""
        chain = []
        while owner_id is not None:
            row = self.find("owners", owner_id)
            if row is None:
                raise ValueError("an owner is missing")
            chain.append(row)
            owner_id = row["parent_id"]
        return chain

    def find(self, table: str, name: str) -> Any:
        index = last_not_after(self.header[table], name)
        row_block = last_not_after(json.loads(self.block(index)), name) if index else None
        lines = self.block(row_block).splitlines() if row_block else []
        return dict(json.loads(line) for line in lines).get(name)

    def block(self, reference: list[Any]) -> bytes:
        _, offset, length, digest = reference
        with self.path.open("rb") as file:
            file.seek(self.start + offset)
            content = file.read(length)
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("altered")
        return content


def last_not_after(references: list[Any], name: str) -> Any:
    return next((reference for reference in reversed(references) if reference[0] <= name), None)


def unpadded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
