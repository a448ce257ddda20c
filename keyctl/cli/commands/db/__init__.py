"""Check, upgrade and configure the database.

\b
Examples:
  keyctl db status
  keyctl db upgrade
"""
