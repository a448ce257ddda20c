"""Profiles: the rules of one platform, as a TOML file."""
