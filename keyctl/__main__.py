"""`python -m keyctl`, where another program is named keyctl too."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

from keyctl.cli.app import main


def run() -> NoReturn:
    """Run one command, and end without finalizing the interpreter (tests/benchmarks, "keyctl --help").

    The command has closed what it opened by then, and what it printed is flushed here.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
