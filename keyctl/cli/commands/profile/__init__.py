"""List, show, check and apply profiles.

\b
Examples:
  keyctl profile show
  keyctl profile check ./acme.toml
"""
