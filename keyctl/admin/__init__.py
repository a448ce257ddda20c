"""Changes to a store, each checked against the profile, in one transaction with its audit event."""
