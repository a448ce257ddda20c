"""What the owners and keys of a store should be: read from a file, compared with what is there, written from it."""
