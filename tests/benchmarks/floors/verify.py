"""The least that checks one key: open the store, look the hash up by its prefix, compare.

usage: verify.py STORE PREFIX < KEY
"""

import sqlite3
import sys

from argon2 import PasswordHasher

store, prefix = sys.argv[1:]
key = sys.stdin.read().strip()
connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
[phc] = connection.execute("select phc from keys where prefix = ?", (prefix,)).fetchone()
PasswordHasher().verify(phc, key)
print("VALID")
