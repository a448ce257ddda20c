"""keyctl's tests: a file per module, and real processes for the command line (`tests.runner`)."""
