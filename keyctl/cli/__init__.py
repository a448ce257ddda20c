"""The command line. Nothing outside this folder knows Typer or Rich."""
