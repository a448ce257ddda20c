"""The command line. Nothing outside this folder knows Typer or Rich.

A module with commands does without `from __future__ import annotations`: Typer would compile and evaluate every
annotation of the command twice, at each start.
"""

import gc

# Starting makes many objects and hardly any garbage: looking for it would take a twentieth of a command's time.
gc.set_threshold(50_000)
