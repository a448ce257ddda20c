"""The command line. Nothing outside this folder knows Typer or Rich.

Command modules do not use `from __future__ import annotations`: Typer would then compile and evaluate every annotation
twice at each start.
"""

import gc

# Start-up creates many objects and hardly any garbage to collect (tests/benchmarks, "keyctl --help").
gc.set_threshold(50_000)
