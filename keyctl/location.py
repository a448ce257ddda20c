"""Where a store is: a SQLite file or a database's URL, and what may be shown of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from keyctl.errors import UsageError
from keyctl.visible import brief

SQLITE = "sqlite:///"
_SCHEMES = ("sqlite",)


@dataclass(frozen=True)
class StoreLocation:
    """A store's URL. Its password never appears in `str` or `repr`."""

    url: str

    @classmethod
    def of_file(cls, path: Path) -> StoreLocation:
        return cls(SQLITE + str(path.expanduser().absolute()))

    @classmethod
    def parse(cls, text: str) -> StoreLocation:
        """Read a URL, or the path of a SQLite file. Raises UsageError for a scheme keyctl does not know."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls.of_file(Path(text))
        if scheme not in _SCHEMES:
            raise UsageError(
                f'a store cannot be reached by "{brief(scheme)}://"',
                hint="give a file (./keys.db) or a URL (sqlite:////var/lib/keyctl/keys.db)",
            )
        if scheme == "sqlite" and not rest.startswith("/"):
            raise UsageError(f'"{brief(text)}" names no file', hint="a file's URL has three slashes: sqlite:///keys.db")
        return cls.of_file(Path(rest[1:]))

    @property
    def file(self) -> Path | None:
        """The SQLite file, if it is one."""
        return Path(self.url.removeprefix(SQLITE)) if self.url.startswith(SQLITE) else None

    def __str__(self) -> str:
        return str(self.file) if self.file else re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", self.url)

    def __repr__(self) -> str:
        return f"StoreLocation({str(self)!r})"
