"""Show the settings in use, and choose the store.

\b
Examples:
  keyctl config show
  keyctl config add staging ./staging.db
  keyctl config use staging
"""
