"""The parts of a Verifier: where keys are looked up, how secrets are checked, when to refresh, and threads."""
