"""Read and verify the log of changes.

\b
Examples:
  keyctl audit list --limit 20
  keyctl audit verify
"""
