"""Sends requests as they are written, and reads what comes back."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any


@dataclass(frozen=True)
class Reply:
    """A response. Header names are in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of a refusal by default."""
        return self.json["error"]["code"] if self.body else None


def exchange(port: int, line: str, headers: Iterable[tuple[str, str]] = (), *, host: str = "shop.example") -> Reply:
    """Send a request: `GET /path`, and headers in their order, spelt as they are."""
    method, _, target = line.partition(" ")
    fields = "".join(f"{name}: {value}\r\n" for name, value in (("Host", host), *headers))
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        head = f"{method} {target} HTTP/1.1\r\n{fields}{length}Connection: close\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        return _read_reply(connection, method)


def _read_reply(connection: Any, method: str = "GET") -> Reply:
    response = HTTPResponse(connection, method=method)
    response.begin()
    with closing(response):
        return Reply(response.status, [(name.lower(), value) for name, value in response.getheaders()], response.read())


def shake_hands(port: int, target: str, *headers: tuple[str, str]) -> tuple[Reply, Any]:
    """Open a WebSocket; return the answer to the handshake, and the first message if it was accepted."""
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    fields = [("Host", "shop.example"), *upgrade, ("Sec-WebSocket-Key", key), *headers]
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        connection.sendall(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(1)
        if not data.startswith(b"HTTP/1.1 101"):
            return _read_reply(_Rest(connection, data)), None
        lines = [line.partition(": ") for line in data.decode().split("\r\n")[1:-2]]
        reply = Reply(101, [(name.lower(), value) for name, _, value in lines], b"")
        return reply, json.loads(_message(connection))


class _Rest:
    """A connection of which the beginning was read already."""

    def __init__(self, connection: socket.socket, read: bytes) -> None:
        self._connection = connection
        self._read = read

    def makefile(self, _mode: str) -> io.BytesIO:
        rest = b""
        while piece := self._connection.recv(65536):
            rest += piece
        return io.BytesIO(self._read + rest)


def _message(connection: socket.socket) -> bytes:
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[2:4]):
        data += connection.recv(65536)
    assert data[1] == 126, "the test's messages are between 126 and 65,535 bytes long"
    return data[4 : 4 + int.from_bytes(data[2:4])]
