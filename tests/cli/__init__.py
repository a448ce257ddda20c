"""The command line as processes: one file per command group."""
