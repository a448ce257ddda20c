"""The server that the tests start themselves: shared by those who need it, and gone when they are."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests import postgres

HOLDER = """
import sys, time
from pathlib import Path
from tests.postgres import shared_server
with shared_server(Path(sys.argv[1]), sys.argv[2]) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def folder_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0]).parent


def gone(folder: Path) -> bool:
    end = time.monotonic() + 30
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return not folder.exists()


def test_a_server_ends_with_the_last_who_needs_it_even_if_that_one_is_killed(tmp_path: Path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path), postgres.OLDEST]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    assert holder.stdout
    url = holder.stdout.readline().strip()

    with postgres.shared_server(tmp_path, postgres.OLDEST) as shared:
        assert shared == url
        holder.kill()
        holder.wait()
        holder.stdout.close()
        with psycopg.connect(url) as connection:
            [version] = connection.execute("show server_version").fetchone() or [""]
            assert version.startswith(postgres.OLDEST)

    assert gone(folder_of(url))
    with postgres.shared_server(tmp_path, postgres.OLDEST) as another:
        assert another != url
    assert gone(folder_of(another))


def test_without_a_server_there_is_an_error_and_no_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEYCTL_TEST_PG_BIN", str(tmp_path))

    with (
        pytest.raises(RuntimeError, match=f"no PostgreSQL 18 is in {tmp_path}"),
        postgres.shared_server(tmp_path, "18"),
    ):
        raise AssertionError("there is none")


def test_a_server_that_does_not_start_says_why(tmp_path: Path):
    with (
        pytest.raises(RuntimeError, match="nonsense"),
        postgres.shared_server(tmp_path, postgres.NEWEST, settings=["nonsense=1"]),
    ):
        raise AssertionError("it cannot have started")
