"""Bundles: signed, dated copies of a store, for verification without it."""
