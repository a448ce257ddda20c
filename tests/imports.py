"""What a process imports, as Python itself reports it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def imported_by(
    *args: str | Path, env: Mapping[str, str], stdin: str = "", code: Sequence[int] = (0,), cwd: Path | None = None
) -> set[str]:
    """Run `python -P ARGS` from scratch; return the names of all modules that it imported, packages included."""
    done = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", *args],
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **env},
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in code, f"{args} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


def packages(modules: set[str]) -> set[str]:
    """Return the top-level packages among the modules."""
    return {module.partition(".")[0] for module in modules}
