"""The location of a store, a SQLite file or a database URL, and how it is shown without its password."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from keyctl.errors import UsageError
from keyctl.text import brief, is_utf8

SQLITE = "sqlite:///"
POSTGRES = "postgresql://"
_LOOPBACK = re.compile(r"127(\.\d+){3}|::1", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)
_LONGEST = 4096  # characters: no path is longer, and patterns take time by the square of it
_HINT = (
    "give a file (./keys.db) or a URL (sqlite:////var/lib/keyctl/keys.db, postgresql://user@host/database, "
    "postgresql:///?service=NAME)"
)
# Parameters of libpq whose values are shown; the others may be secrets, known to libpq or misspelled.
_SHOWN = {
    *("host", "hostaddr", "port", "dbname", "user", "service", "application_name", "connect_timeout", "options"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "target_session_attrs", "channel_binding"),
}
_ASSIGNMENT = re.compile(r"([^?&=]*)=([^&]*)")  # wherever it is: a URL with a mistake is shown as well
_PASSWORD = re.compile(r"(?:pass\w*|pwd|secret)\s*=", re.IGNORECASE)
# Greedy, since hiding too much is better than hiding too little: libpq ends a password at the first `@`, and does not
# find one that contains a `/`.
_CREDENTIALS = re.compile(r"(?::|%3a)(.*)(?:@|%40)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class StoreLocation:
    """A store's URL. Its password never appears in `str` or `repr`."""

    url: str

    @classmethod
    def of_file(cls, path: Path) -> StoreLocation:
        if not is_utf8(str(path)):
            raise UsageError(
                f'the path "{brief(str(path))}" is not UTF-8, which SQLite requires', hint="rename the file"
            )
        if "\0" in str(path):
            raise UsageError(f'the path "{brief(str(path))}" holds a NUL character', hint=_HINT)
        try:
            return cls(SQLITE + str(path.expanduser().absolute()))
        except RuntimeError:  # from expanduser, for a user without a home folder
            raise UsageError(f'there is no home folder for "{brief(str(path))}"', hint="use an absolute path") from None

    @classmethod
    def parse(cls, text: str) -> StoreLocation:
        """Read a URL, or the path of a SQLite file. Raises UsageError for an unsupported scheme.

        A text that seems to hold a password, and is neither a URL of PostgreSQL nor a file that exists, is refused: as
        the path of a file it would be in many messages.
        """
        _refuse_long(text)
        scheme, separator, rest = text.partition("://")
        if separator and scheme in {"postgresql", "postgres"}:
            return cls(POSTGRES + rest)
        if separator and scheme != "sqlite":
            shown = brief(scheme) if _SCHEME.fullmatch(scheme) else ""
            raise UsageError(f'unsupported store URL scheme "{shown}://"', hint=_HINT)
        refuse_password(rest or text, path=rest[1:] if separator else text)
        if not separator:
            return cls.of_file(Path(text))
        if not rest.startswith("/"):
            raise UsageError(f'"{brief(text)}" names no file', hint="a file's URL has three slashes: sqlite:///keys.db")
        return cls.of_file(Path(rest[1:]))

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None for a server."""
        return Path(self.url.removeprefix(SQLITE)) if self.url.startswith(SQLITE) else None

    @property
    def has_password(self) -> bool:
        return self.file is None and any(self._hidden())

    @property
    def may_be_overheard(self) -> bool:
        """Whether this is a remote server whose certificate is not verified."""
        given = {unquote(name): unquote(value) for name, value in self._parameters()}
        if self.file is not None or "service" in given:
            return False
        authority = unquote(re.split("[/?]", self._after_user)[0].rpartition("@")[2])
        named = authority if any(map(_without_port, authority.split(","))) else os.environ.get("PGHOST")
        hosts = given.get("host") or named or given.get("hostaddr", "")
        verified = given.get("sslmode", os.environ.get("PGSSLMODE")) == "verify-full"
        return not (verified or all(map(_is_local, hosts.split(","))))

    def without_password(self, text: str) -> str:
        """Return `text` with every occurrence of this store's password, or of a part of it, replaced by `***`."""
        hidden = {one for raw in self._hidden() for one in (raw, unquote(raw))}
        for whole in sorted(hidden, key=len, reverse=True):
            text = text.replace(whole, "***") if whole else text
        # libpq reads a password that is not encoded as a host or a port, and quotes that part of it.
        for part in {part for one in hidden for part in re.split(r"\W+", one) if part}:
            text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "***", text)
        return text

    @property
    def _rest(self) -> str:
        return self.url.removeprefix(POSTGRES)

    @property
    def _after_user(self) -> str:
        # As libpq does it: the name of a user may contain a `?`.
        user, at, after = self._rest.partition("@")
        return after if at and "/" not in user else self._rest

    def _parameters(self) -> list[tuple[str, str]]:
        """Return the names and values in the URL's query, percent-encoded as they are."""
        pairs = (part.partition("=") for part in self._after_user.partition("?")[2].split("&"))
        return [(name, value) for name, _, value in pairs if name]

    def _hidden(self) -> Iterator[str]:
        yield from (value for name, value in _ASSIGNMENT.findall(self._rest) if _is_hidden(name, value))
        yield from _CREDENTIALS.findall(self._rest)

    def __str__(self) -> str:
        if self.file is not None:
            return str(self.file)
        # First the credentials: a password may end with a "=".
        shown = _CREDENTIALS.sub(":***@", self._rest)
        return POSTGRES + _ASSIGNMENT.sub(lambda one: f"{one[1]}=***" if _is_hidden(one[1], one[2]) else one[0], shown)

    def __repr__(self) -> str:
        return f"StoreLocation({str(self)!r})"


def refuse_password(text: str, *, path: str = "") -> None:
    """Raise UsageError, without `text`, if it seems to hold a password, and no file is at `path`."""
    _refuse_long(text)
    decoded = unquote(text)
    if (_PASSWORD.search(decoded) or _CREDENTIALS.search(decoded)) and not (path and _exists(path)):
        raise UsageError("the store seems to hold a password, and is not a URL of PostgreSQL", hint=_HINT)


def _refuse_long(text: str) -> None:
    if len(text) > _LONGEST:
        raise UsageError(f"the store has {len(text):,} characters: at most {_LONGEST:,}", hint=_HINT)


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _is_hidden(name: str, value: str) -> bool:
    return unquote(name) not in _SHOWN or bool(_PASSWORD.search(unquote(value)))


def _is_local(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine; so is a socket's folder."""
    name = _without_port(host)
    return name in ("", "localhost") or name.startswith(("/", "@")) or bool(_LOOPBACK.fullmatch(name.strip("[]")))


def _without_port(host: str) -> str:
    return host if host.count(":") > 1 and not host.startswith("[") else re.sub(r":\d*$", "", host)
