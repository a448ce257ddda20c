"""Show the store and the settings in use.

\b
Examples:
  keyctl config show
"""
