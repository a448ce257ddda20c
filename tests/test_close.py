"""What is closed while threads use it ends their calls with an error, and not the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keyctl.admin.hash_scheme import set_scheme
from keyctl.hashing import Sha256
from tests.documents.pages import ROOT
from tests.stores import ACTOR, new_store


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_closing_while_threads_verify_raises_in_them_and_nothing_more(
    kind: str, tmp_path: Path, rounds: Callable[[int, int], int]
):
    opened = new_store(tmp_path / "keys.db")
    set_scheme(opened.store, ACTOR, Sha256())  # so that most of the time is look-ups
    keys = [one.text for one in opened.mint(count=5, owner="acme")]
    opened.store.close()

    done = subprocess.run(
        [sys.executable, "-m", "tests.closing", str(rounds(6, 500)), *([str(opened.path)] if kind == "file" else [])],
        input="\n".join(keys),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
