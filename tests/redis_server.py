"""A real Redis for the tests: Debian's `redis-server`, which the kernel ends with the process that has started it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_START_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True)
class RedisServer:
    """A running server, with what it is reached by."""

    port: int
    socket: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"redis+unix://{self.socket}"

    def client(self) -> redis.Redis:
        # By default it tries again, after seconds of waiting.
        return redis.Redis(unix_socket_path=self.socket, retry=Retry(NoBackoff(), 0))

    def stop(self) -> None:
        """Let it be silent, as a machine is that is overloaded."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def find_program() -> str:
    """Return the path of `redis-server`. Raises RuntimeError."""
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError("redis-server is not installed: apt-get install redis-server")
    return found


@contextlib.contextmanager
def running(*options: str) -> Iterator[RedisServer]:
    """Start a server on a free port of this machine and a socket."""
    program = find_program()
    folder = Path(tempfile.mkdtemp(prefix="keyctl-redis-", dir="/tmp"))  # a socket's path has at most 107 characters
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", f"{folder}/redis.sock"]
    command += ["--dir", str(folder), "--save", "", "--appendonly", "no", *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdout=log, stderr=log)
    server = RedisServer(port, f"{folder}/redis.sock", process)
    try:
        _await(server, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_cluster() -> Iterator[RedisServer]:
    """Start one node of a cluster that has all slots."""
    bus = free_port()
    options = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-announce-ip", "127.0.0.1"]
    with running(*options) as server, contextlib.closing(server.client()) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        end = time.monotonic() + _START_TIMEOUT
        while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
            assert time.monotonic() < end, "the cluster does not start"
            time.sleep(0.02)
        yield server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _await(server: RedisServer, log: Path) -> None:
    end = time.monotonic() + _START_TIMEOUT
    with contextlib.closing(server.client()) as client:
        while True:
            try:
                client.ping()
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                if server.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"redis-server does not start:\n{log.read_text()}") from None
                time.sleep(0.01)
            else:
                return
