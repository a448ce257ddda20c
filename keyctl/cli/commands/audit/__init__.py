"""List changes and verify the store against them.

\b
Examples:
  keyctl audit list --limit 20
  keyctl audit verify
  keyctl audit checkpoint > checkpoints
"""
