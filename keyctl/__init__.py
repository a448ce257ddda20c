"""Administer API keys: mint, list, rotate, revoke, lock and verify them, over SQLite or Postgres.

Importing this package imports nothing else: it holds the version only.
"""

__version__ = "0.1.0"
