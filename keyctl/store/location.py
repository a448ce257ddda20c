"""The location of a store, a SQLite file or a database URL, and how it is shown without its password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from keyctl.errors import UsageError
from keyctl.text import brief

SQLITE = "sqlite:///"
POSTGRES = "postgresql://"
_LOCAL = ("", "localhost", "127.0.0.1", "[::1]")
_HINT = (
    "give a file (./keys.db) or a URL (sqlite:////var/lib/keyctl/keys.db, postgresql://user@host/database, "
    "postgresql:///?service=NAME)"
)
# Greedy, since hiding too much is better than hiding too little.
_PASSWORDS = (re.compile(r"(?<=://)([^:/@?]*):(.*)@"), re.compile(r"([?&]password)=([^&]*)"))


@dataclass(frozen=True)
class StoreLocation:
    """A store's URL. Its password never appears in `str` or `repr`."""

    url: str

    @classmethod
    def of_file(cls, path: Path) -> StoreLocation:
        try:
            return cls(SQLITE + str(path.expanduser().absolute()))
        except RuntimeError:  # from expanduser, for a user without a home folder
            raise UsageError(f'there is no home folder for "{brief(str(path))}"', hint="use an absolute path") from None

    @classmethod
    def parse(cls, text: str) -> StoreLocation:
        """Read a URL, or the path of a SQLite file. Raises UsageError for an unsupported scheme."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls.of_file(Path(text))
        if scheme in {"postgresql", "postgres"}:
            return cls(POSTGRES + rest)
        if scheme != "sqlite":
            raise UsageError(f'unsupported store URL scheme "{brief(scheme)}://"', hint=_HINT)
        if not rest.startswith("/"):
            raise UsageError(f'"{brief(text)}" names no file', hint="a file's URL has three slashes: sqlite:///keys.db")
        return cls.of_file(Path(rest[1:]))

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None for a server."""
        return Path(self.url.removeprefix(SQLITE)) if self.url.startswith(SQLITE) else None

    @property
    def has_password(self) -> bool:
        return self.file is None and any(pattern.search(self.url) for pattern in _PASSWORDS)

    @property
    def may_be_overheard(self) -> bool:
        """Whether this is a remote server whose certificate is not verified."""
        if self.file is not None or "service=" in self.url:
            return False
        authority = self.url.removeprefix(POSTGRES).partition("/")[0].partition("?")[0].rpartition("@")[2]
        named = re.search(r"[?&]host=([^&]*)", self.url)
        host = named[1] if named else re.sub(r":\d+$", "", authority) or os.environ.get("PGHOST", "")
        mode = re.search(r"[?&]sslmode=([^&]*)", self.url)
        verified = (mode[1] if mode else os.environ.get("PGSSLMODE")) == "verify-full"
        return not (verified or host in _LOCAL or host.startswith(("/", "%2F", "%2f")))

    def without_password(self, text: str) -> str:
        """Return `text` with every occurrence of this store's password replaced by `***`."""
        for pattern in _PASSWORDS:
            for _, password in pattern.findall(self.url):
                text = text.replace(password, "***") if password else text
        return text

    def __str__(self) -> str:
        if self.file is not None:
            return str(self.file)
        return _PASSWORDS[1].sub(r"\1=***", _PASSWORDS[0].sub(r"\1:***@", self.url))

    def __repr__(self) -> str:
        return f"StoreLocation({str(self)!r})"
