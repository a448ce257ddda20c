"""A store in the test's own process, beside the `cli` and `store` of every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from tests import postgres
from tests.stores import Opened, new_store


@pytest.fixture
def opened(open_new: Callable[[], Opened]) -> Opened:
    """An open store, empty, on a clock that does not move."""
    return open_new()


@pytest.fixture
def open_new(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Opened]]:
    """Closes the last one, if any, and opens another empty store."""
    stores: list[Store] = []

    def open_another() -> Opened:
        if stores:
            stores.pop().close()
        if database == "sqlite":
            opened = new_store(tmp_path / "opened.db")
        else:
            url = request.getfixturevalue("postgres_schema")
            postgres.run(url, request.getfixturevalue("empty_store"))
            opened = Opened(Store(StoreLocation.parse(url)))
        stores.append(opened.store)
        return opened

    yield open_another
    for store in stores:
        store.close()
