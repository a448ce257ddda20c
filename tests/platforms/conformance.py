"""A platform as its users and its administrators see it: keyctl with one profile, run as processes.

Requests are raw heads, as curl would send them; answers are taken apart again, byte for byte.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.helpers import CHEAP
from tests.runner import Cli, Result

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Response:
    """What the platform answers. `status` is the status line after the version; no body is ""."""

    status: str
    headers: Mapping[str, str]
    body: str
    code: int

    @classmethod
    def read(cls, result: Result) -> Response:
        """Take standard output apart; claim that it is one response and nothing else."""
        assert "Traceback" not in result.err, result
        head, separator, body = result.out.partition("\r\n\r\n")
        version, _, status = head.partition("\r\n")[0].partition(" ")
        assert (separator, version) == ("\r\n\r\n", "HTTP/1.1"), result
        fields = [line.split(": ", 1) for line in head.split("\r\n")[1:]]
        headers = {name: value for name, value in fields}  # noqa: C416 - lists of two
        assert len(headers) == len(fields), result
        return cls(status, headers, body, result.code)


class Platform:
    """A store with one profile, a preset's name or a file. Without either: the store that `cli` has already."""

    def __init__(self, cli: Cli, profile: str | Path | None = None):
        self.cli = cli
        if profile is not None:
            cli("init", "--profile", profile, *CHEAP, check=0)

    @classmethod
    def copied(cls, cli: Cli, home: Path) -> Platform:
        """The store in another home, copied into that of `cli`: quicker than a new one with the same owners."""
        shutil.copytree(home, cli.home, dirs_exist_ok=True)
        return cls(cli)

    # ── administration ───────────────────────────────────────────────────────────────────────────────────────────

    def mint(self, *args: str) -> dict[str, Any]:
        """Mint a key; return its JSON object, with the credential in `key`."""
        minted: dict[str, Any] = self.cli("mint", "--json", *args, check=0).json
        return minted

    def owner(self, handle: str, *args: str) -> dict[str, Any]:
        """Add an owner; return its JSON object."""
        added: dict[str, Any] = self.cli("owner", "add", handle, "--json", *args, check=0).json
        return added

    def answer(self, *args: str) -> Response:
        """Run `mint …` or `revoke …` and return the platform's own answer."""
        return Response.read(self.cli(*args, "--http", check=0))

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def request(self, method: str, path: str, headers: Headers = (), **how: Any) -> Response:
        """Send a request; return the platform's answer. `how` is that of `send`."""
        return Response.read(self.send(method, path, headers, "--http", **how))

    def decide(self, method: str, path: str, headers: Headers = (), **how: Any) -> dict[str, Any]:
        """Send a request; return keyctl's decision as its JSON object."""
        decision: dict[str, Any] = self.send(method, path, headers, "--json", **how).json
        return decision

    def code(self, method: str, path: str, headers: Headers = (), **how: Any) -> str:
        """Send a request; return the canonical code of the decision."""
        return self.send(method, path, headers, **how).out.split()[0]

    def send(
        self,
        method: str,
        path: str,
        headers: Headers = (),
        *args: str,
        ip: str | None = None,
        scheme: str | None = None,
        proxy: str | None = None,
        check: int | None = None,
    ) -> Result:
        """Run `keyctl verify --request -`. `headers` may repeat a name if they are pairs; `proxy` is a trusted CIDR."""
        options = {"--ip": ip, "--scheme": scheme, "--trusted-proxy": proxy}
        given = [word for name, value in options.items() if value is not None for word in (name, value)]
        return self.cli("verify", "--request", "-", *given, *args, stdin=head(method, path, headers), check=check)


def head(method: str, path: str, headers: Headers = ()) -> str:
    """Write a request's head as curl would."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [f"{method} {path} HTTP/1.1", "Host: api.example", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join([*lines, "", ""])


def bearer(key: Mapping[str, Any] | str) -> dict[str, str]:
    """Return the Authorization header that carries a key: its text, or what `mint` returned."""
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key['key']}"}
