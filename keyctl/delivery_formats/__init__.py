"""How a new key is written where it is delivered: one file for each format. Pure: nothing here opens a file."""
