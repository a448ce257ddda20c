"""Show which store and settings are in force.

\b
Examples:
  keyctl config show
"""
