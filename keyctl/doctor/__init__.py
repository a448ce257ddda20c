"""The checks of `keyctl doctor`. Each is a function that yields what is wrong, and raises nothing but KeyctlError."""
