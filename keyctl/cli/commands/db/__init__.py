"""Look after the database: its schema, its hashes.

\b
Examples:
  keyctl db status
  keyctl db upgrade
"""
