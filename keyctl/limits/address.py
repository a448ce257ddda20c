"""The address of a limiter: a URL, and how it is shown without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from keyctl.errors import UsageError, suggestion
from keyctl.text import brief

MEMORY = "memory"
_CLUSTERS = {"redis+cluster", "valkey+cluster"}
_SCHEMES = (
    MEMORY,
    "redis",
    "rediss",
    "redis+unix",
    "redis+cluster",
    "valkey",
    "valkeys",
    "valkey+unix",
    "valkey+cluster",
)
_HINT = (
    "give memory://, redis://HOST:PORT/DB, rediss://HOST:PORT/DB, redis+unix:///PATH, "
    "redis+cluster://HOST:PORT,HOST:PORT, or one of valkey"
)
# Whatever else the client's library reads from a URL would prolong the deadline of a call, or replace the client.
_PARAMETERS = {
    *("db", "username", "password", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"),
    "ssl_check_hostname",
}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)
_LONGEST = 4096


@dataclass(frozen=True)
class LimiterAddress:
    """A limiter's URL. Its password never appears in `str` or `repr`.

    Attributes:
        scheme: One that is supported, such as `redis`.
        shown: The URL for messages, without the user, the password and the parameters.
        url: As it was given, password included.
        username: Decoded; None if the URL has none.
        password: Decoded; None if the URL has none.
    """

    scheme: str
    shown: str
    url: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> LimiterAddress:
        """Read a URL. Raises UsageError, without a password, for what cannot be one."""
        if len(text) > _LONGEST:
            raise UsageError(f"the limiter has {len(text):,} characters: at most {_LONGEST:,}", hint=_HINT)
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in _SCHEMES:
            _refuse_scheme(scheme if separator else None)
        if scheme == MEMORY:
            if rest:
                raise UsageError("nothing may follow memory://", hint="--limiter memory://")
            return cls(scheme, "memory://", text)
        parts = _split(text)
        parameters = _read_parameters(parts)
        username = parameters.get("username") or (unquote(parts.username) if parts.username else None)
        password = parameters.get("password") or (unquote(parts.password) if parts.password else None)
        return cls(scheme, _shown(parts), text, username, password)

    @property
    def local(self) -> bool:
        """Whether requests are counted in this process alone."""
        return self.scheme == MEMORY

    @property
    def cluster(self) -> bool:
        """Whether several servers count, each of them some of the subjects."""
        return self.scheme in _CLUSTERS

    @property
    def library(self) -> str:
        """The client's library: `redis` or `valkey`."""
        return "valkey" if self.scheme.startswith("valkey") else "redis"

    def __str__(self) -> str:
        return self.shown


def _refuse_scheme(scheme: str | None) -> None:
    if scheme is None or not _SCHEME.fullmatch(scheme):
        raise UsageError("the limiter is not a URL", hint=_HINT)
    raise UsageError(
        f'unsupported limiter URL scheme "{brief(scheme)}://"', hint=suggestion(scheme, _SCHEMES, otherwise=_HINT)
    )


def _split(text: str) -> SplitResult:
    if "#" in text:
        raise UsageError("the limiter is not a URL: it has a #", hint="write # in a password as %23")
    try:
        parts = urlsplit(text)
        for host in _hosts(parts):
            urlsplit(f"//{host}").port  # noqa: B018 - reads it, and raises ValueError
    except ValueError:
        raise UsageError("the limiter is not a URL: its host or port cannot be read", hint=_HINT) from None
    cluster, socket = parts.scheme in _CLUSTERS, parts.scheme.endswith("+unix")
    if cluster and not all(urlsplit(f"//{host}").hostname and urlsplit(f"//{host}").port for host in _hosts(parts)):
        raise UsageError("each node of a cluster needs a host and a port", hint=f"{parts.scheme}://HOST:PORT,HOST:PORT")
    if cluster and parts.path.strip("/"):
        raise UsageError("a cluster has no numbered databases", hint=f"{parts.scheme}://HOST:PORT,HOST:PORT")
    if socket and (_hosts(parts) != [""] or not parts.path.strip("/")):
        raise UsageError("the limiter names no socket", hint=f"{parts.scheme}:///PATH")
    if not cluster and not socket and not re.fullmatch(r"(/\d{0,9})?", parts.path, re.ASCII):
        raise UsageError("the limiter's database must be a number", hint=f"{parts.scheme}://HOST:PORT/0")
    return parts


def _hosts(parts: SplitResult) -> list[str]:
    return parts.netloc.rpartition("@")[2].split(",")


def _read_parameters(parts: SplitResult) -> dict[str, str]:
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in parameters:
        if name not in _PARAMETERS:
            raise UsageError(
                "the limiter's URL has an unknown parameter", hint=f"known: {', '.join(sorted(_PARAMETERS))}"
            )
    if not parameters.get("db", "0").isdecimal():
        raise UsageError("the limiter's database must be a number", hint="?db=0")
    return parameters


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{brief(','.join(_hosts(parts)))}{brief(unquote(parts.path))}"
