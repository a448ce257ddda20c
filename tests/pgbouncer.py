"""pgbouncer in transaction mode in front of a server of the tests. It is Debian's: `apt-get install pgbouncer`."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import postgres
from tests.cluster import Server, free_port

# As keyctl/help/postgres.md recommends it: after a failure, pgbouncer would refuse everything for 15 seconds.
_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {sessions}
server_login_retry = 0.5
"""


@contextmanager
def running_pgbouncer(server: Server, *, sessions: int = 3) -> Iterator[str]:
    """Yield the URL of the server through pgbouncer, which shares this many sessions."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RuntimeError("pgbouncer is not installed: apt-get install pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="keyctl-pgbouncer-", dir=postgres.short_folder()))
    port = free_port()
    users, configuration = folder / "users", folder / "pgbouncer.ini"
    users.write_text('"postgres" ""\n')
    configuration.write_text(_CONFIGURATION.format(server=server.port, port=port, users=users, sessions=sessions))
    how = postgres.unprivileged(folder)
    process = postgres.start([program, "-q", configuration], folder / "log", how)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    try:
        postgres.wait_for(url, process, folder / "log")
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)
