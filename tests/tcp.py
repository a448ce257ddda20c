"""A network between keyctl and a database, which can be cut at the worst moment."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Meddle = Callable[[socket.socket, socket.socket, bytes], None]


class Proxy:
    """Forwards what comes to a port of this machine to a server's Unix socket.

    `meddle` gets one COMMIT of a transaction that wrote an event, in place of the server, and the sockets of both; what
    it does not forward is lost, and the connection with it. It is the first such COMMIT, or one `after` it. With
    `silent_at`, it falls silent at the first request that holds these bytes. Each answer takes `delay` seconds.
    """

    def __init__(
        self,
        server: Path,
        *,
        meddle: Meddle | None = None,
        after: int = 0,
        port: int = 0,
        silent_at: bytes | None = None,
        delay: float = 0,
    ) -> None:
        self._server = server
        self._meddle = meddle
        self._after = after
        self._silent = False
        self._silent_at = silent_at
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def refuse(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def fall_silent(self) -> None:
        """Take connections and what is sent, and forward nothing more in either direction."""
        self._silent = True

    def speak(self) -> None:
        """Forward again, on new connections: on the others something is missing."""
        self._silent = False

    def cut(self) -> None:
        """Cut every connection."""
        while self._open:
            one = self._open.pop()
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        """Cut every connection, and take no more."""
        self.refuse()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        wrote = False
        with client, server, suppress(OSError, ValueError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is client and self._silent_at and self._silent_at in data:
                        self._silent = True
                    if self._silent:
                        continue
                    if source is server:
                        time.sleep(self._delay)
                        client.sendall(data)
                        continue
                    wrote |= b"INSERT INTO events" in data
                    if wrote and b"COMMIT" in data:
                        wrote = False
                        self._after -= 1
                        if self._meddle and self._after < 0:
                            meddle, self._meddle = self._meddle, None
                            meddle(client, server, data)
                            return
                    server.sendall(data)


def lose_the_answer(client: socket.socket, server: socket.socket, data: bytes) -> None:
    """The server commits, and its answer is lost."""
    server.sendall(data)
    server.recv(1 << 16)
    client.close()


def hear_nothing(client: socket.socket, server: socket.socket, data: bytes) -> None:
    """The server commits, and the client hears nothing, not even that the connection is lost."""
    server.sendall(data)
    server.recv(1 << 16)
    while client.recv(1 << 16):
        pass


def lose_the_request(client: socket.socket, server: socket.socket, data: bytes) -> None:
    """The server never gets the COMMIT."""
    server.close()
    client.close()


def deliver_late(client: socket.socket, server: socket.socket, data: bytes) -> None:
    """The server gets the COMMIT when the client has given it up already."""
    client.shutdown(socket.SHUT_RDWR)
    client.close()
    time.sleep(0.5)
    server.sendall(data)
    server.recv(1 << 16)
