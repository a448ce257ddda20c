"""Real servers on a free port: uvicorn in a thread, gunicorn in a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.cluster import free_port

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def uvicorn(app: Callable[[Any, Any, Any], Awaitable[None]], **settings: Any) -> Iterator[int]:
    """Serve an application; yield the port."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, proxy_headers=False, ws="wsproto", **settings)
    server = uvicorn.Server(config)

    def run() -> None:
        with suppress(SystemExit):  # of an application that does not start
            server.run([listening])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        assert server.started, "the application does not start"
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()


@contextmanager
def gunicorn(app: str, env: dict[str, str], *options: str) -> Iterator[int]:
    """Serve `MODULE:NAME`; yield the port."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", "--log-level=warning", *options, app]
    process = subprocess.Popen(command, cwd=ROOT, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)} | env)
    try:
        wait_for(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _listens(port: int) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            return True
    except OSError:
        return False
