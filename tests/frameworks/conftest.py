from __future__ import annotations

from collections.abc import Iterator

import pytest

from keyctl.times import utc_now
from tests.frameworks.shop import PROFILE, Shop
from tests.stores import new_store


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A store of the shop, with one owner who has a key."""
    opened = new_store(tmp_path_factory.mktemp("shop") / "keys.db", str(PROFILE))
    opened.clock.now = utc_now()
    [minted] = opened.mint(owner="acme", scopes=("orders:read",))
    opened.owners.update("acme", attributes=["origins=https://app.example"])
    yield Shop(opened, minted.text, minted.record.key.prefix)
    opened.store.close()
