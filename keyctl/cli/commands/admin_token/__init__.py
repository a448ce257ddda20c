"""Require a token for every change.

\b
Examples:
  keyctl admin-token set
  keyctl admin-token rotate --token-file new-token
"""
