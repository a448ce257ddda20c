"""Add, list and change owners.

\b
Examples:
  keyctl owner add acme --name "Acme Ltd"
  keyctl owner list
"""
