"""Show how often keys are used, and who records it.

\b
Examples:
  keyctl usage
  keyctl usage kc_live_3fa9c2d1e8b7 --since 7d
  keyctl usage --denied-over 100 --since 1h
  keyctl usage import usage.jsonl

Without a command, it is keyctl usage show: see its options there.
"""
