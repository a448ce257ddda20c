"""The command line. Nothing outside this folder knows Typer or Rich."""

import gc

# Starting makes many objects and hardly any garbage: looking for it would take a twentieth of a command's time.
gc.set_threshold(50_000)
