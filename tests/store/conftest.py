"""A store in the test's own process, beside the `cli` and `store` of every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores import Opened, new_store


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """An open store, empty, on a clock that stands still."""
    opened = new_store(tmp_path / "opened.db")
    yield opened
    opened.store.close()
