"""The platform whose keys the applications verify."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.frameworks.exchange import Reply, exchange
from tests.stores import Opened

PROFILE = Path(__file__).with_name("shop.toml")


@dataclass(frozen=True)
class Shop:
    """A store, and a key that may read orders, of the owner acme."""

    opened: Opened
    key: str = field(repr=False)
    prefix: str

    @property
    def url(self) -> str:
        return str(self.opened.path)

    def ask(self, port: int, line: str, headers: list[tuple[str, str]], **how: Any) -> Reply:
        """Send a request, with the key in place of `KEY`."""
        filled = [(name, value.replace("KEY", self.key)) for name, value in headers]
        return exchange(port, line.replace("KEY", self.key), filled, **how)
