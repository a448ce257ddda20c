"""How often keys are used: what recorders count and report, how it is kept, and what can be concluded from it."""
