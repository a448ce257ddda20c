"""Protect every change with a token.

\b
Examples:
  keyctl admin-token set
  keyctl admin-token rotate --token-file new-token
"""
