"""The README and the topics of `keyctl help` are true."""
