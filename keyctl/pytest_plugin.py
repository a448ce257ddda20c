"""The fixture `keyctl_store` of pytest, for the tests of applications. Until it is used, nothing else is imported.

`-p no:keyctl` switches it off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from keyctl.testing import MemoryStore


@pytest.fixture
def keyctl_profile() -> str:
    """The profile of `keyctl_store`: a name, or the path of a file. Define this fixture again to choose another."""
    return "standard"


@pytest.fixture
def keyctl_store(keyctl_profile: str) -> Iterator[MemoryStore]:
    """A new store of API keys in memory: `mint`, `revoke`, a `clock` to turn, and a `verifier` for the application."""
    from keyctl.testing import MemoryStore  # noqa: PLC0415 - most tests of most applications need none

    with MemoryStore(keyctl_profile) as store:
        yield store
