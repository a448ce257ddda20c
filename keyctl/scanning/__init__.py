"""Finds keys in any data: files, the history of a repository, a stream. It knows formats, and no store."""
