"""A PostgreSQL server of a test's own, which it may stop, pause, fill and replace by a standby."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path

import psycopg

from tests import postgres

IMMEDIATE, FAST = signal.SIGQUIT, signal.SIGINT
# fsync is off: no test takes the machine's power away
_SETTINGS = ("fsync=off", "max_connections=60", "wal_level=replica", "hot_standby=on", "shared_buffers=16MB")
_WHO_MAY_CONNECT = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"


class Server:
    """One server on a port of this machine, which `url` names. It is not started yet."""

    def __init__(self, folder: Path, version: str, settings: Sequence[str] = ()) -> None:
        self._folder = folder
        self._version = version
        self._settings = settings
        (folder / "s").mkdir()
        self._how = postgres.unprivileged(folder)
        self._programs = postgres.reachable(postgres.find_programs(version), folder)
        self.data, self.log = folder / "data", folder / "log"
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.socket = folder / "s" / f".s.PGSQL.{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def initialize(self) -> None:
        postgres.initialize(self.data, self._programs, self._how)
        (self.data / "pg_hba.conf").write_text(_WHO_MAY_CONNECT)

    def start(self) -> float:
        """Start it, and return when it took the first connection, in seconds of `time.monotonic`."""
        options = [f"-c{one}" for one in (*_SETTINGS, *self._settings, "listen_addresses=127.0.0.1")]
        command = [self._programs / "postgres", "-D", self.data, "-k", self._folder / "s", "-p", str(self.port)]
        self._process = postgres.start([*command, *options], self.log, self._how)
        postgres.wait_for(self.url, self._process, self.log)
        return time.monotonic()

    def stop(self, how: signal.Signals = IMMEDIATE) -> None:
        if self._process:
            self.resume()
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def pause(self) -> None:
        """Stop all of its processes where they are. The kernel still takes connections and what is sent on them."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> float:
        self._signal(signal.SIGCONT)
        return time.monotonic()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Leave no space on its disk, which must be one of its own."""
        rest = self._folder / "rest"
        with rest.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            rest.unlink()

    @contextmanager
    def standby(self) -> Iterator[Server]:
        """Yield a second server that has streamed everything up to now."""
        with new_server(self._version, self._settings) as other:
            command = ["pg_basebackup", "-D", other.data, "-d", self.url, "-R", "-c", "fast", "-X", "stream"]
            subprocess.run([self._programs / command[0], *command[1:]], check=True, **other._how)
            other.start()
            self.wait_for_standby(other)
            yield other

    def wait_for_standby(self, other: Server) -> None:
        """Wait until the standby has replayed what is here."""
        with psycopg.connect(self.url) as here, psycopg.connect(other.url) as there:
            [written] = here.execute("select pg_current_wal_lsn()").fetchone() or [None]
            end = time.monotonic() + 30
            while there.execute("select pg_last_wal_replay_lsn() < %s", [written]).fetchone() == (True,):
                assert time.monotonic() < end, "the standby does not follow"
                time.sleep(0.02)

    def promote(self) -> float:
        """Make a standby the primary, and return when it was one, in seconds of `time.monotonic`."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("select pg_promote(wait => true)")
        return time.monotonic()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            os.kill(pid, number)


@contextmanager
def new_server(version: str, settings: Sequence[str] = (), *, disk: str | None = None) -> Iterator[Server]:
    """Yield a server whose folder is there, and remove all of it afterwards.

    With `disk`, the folder is a disk of its own of this size, which root alone can make.
    """
    with _folder() as folder, _disk(folder, disk) if disk else nullcontext():
        server = Server(folder, version, settings)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def running_server(version: str, settings: Sequence[str] = (), *, disk: str | None = None) -> Iterator[Server]:
    """Yield a server that runs, as `new_server` does."""
    with new_server(version, settings, disk=disk) as server:
        server.initialize()
        server.start()
        yield server


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="keyctl-pg-", dir=postgres.short_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk(folder: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port
