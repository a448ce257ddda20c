"""The store in the test's own process, as in tests/store."""

from tests.store.conftest import open_new

__all__ = ["open_new"]
