"""The least that checks one key and one signature: what verify.py does, and Ed25519 over a bundle's first line.

usage: verify_bundle.py STORE PREFIX BUNDLE < KEY
"""

import base64
import sqlite3
import sys

from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

store, prefix, bundle = sys.argv[1:]
key = sys.stdin.read().strip()
with open(bundle, "rb") as file:  # noqa: PTH123 - pathlib is an import more
    magic, signer, signature, header = file.readline().rstrip(b"\n").split(b" ", 3)
raw = [base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)) for text in (signer, signature)]
Ed25519PublicKey.from_public_bytes(raw[0]).verify(raw[1], magic + b"\n" + header)
connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
[phc] = connection.execute("select phc from keys where prefix = ?", (prefix,)).fetchone()
PasswordHasher().verify(phc, key)
print("VALID")
