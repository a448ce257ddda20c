"""Export signed bundles for offline verification.

\b
Examples:
  keyctl bundle key --create
  keyctl bundle export keys.bundle --valid-for 24h
  keyctl verify --bundle keys.bundle --trust PUBLIC-KEY < key.txt
"""
