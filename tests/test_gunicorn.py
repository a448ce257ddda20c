"""An application under gunicorn, on each keyring: its verifier is made in each worker, or once before they fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from keyctl.admin.usage import import_reports
from keyctl.bundles.signing import SigningKey
from keyctl.store import usage
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.times import utc_now
from tests import postgres
from tests.bundle_files import export
from tests.cluster import free_port
from tests.stores import NOW, Opened, new_store

ROOT = Path(__file__).parent.parent
WORKERS = 2
UNKNOWN = "kc_live_" + "0" * 12 + "_" + "0" * 32 + "2fJxbX"


@pytest.fixture
def opened(keyring: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    if keyring == "server":
        url = request.getfixturevalue("postgres_schema")
        postgres.run(url, request.getfixturevalue("empty_store"))
        opened = Opened(Store(StoreLocation.parse(url)))
    else:
        opened = new_store(tmp_path / "keys.db")
    opened.clock.now = utc_now()  # a bundle ages
    yield opened
    opened.store.close()


@contextmanager
def gunicorn(env: dict[str, str], *options: str) -> Iterator[int]:
    """Serve tests/wsgi_app.py; yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", f"--workers={WORKERS}", "--threads=4"]
    process = subprocess.Popen(
        [*command, "--log-level=warning", *options, "tests.wsgi_app:app"],
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)} | env,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 30
        while not ready(port):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert "Traceback" not in said, said


def ask(port: int, key: str) -> tuple[int, str, str]:
    """Return the status, the answer, and which worker gave it."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/", headers={"X-Api-Key": key})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers["x-worker"]


def ready(port: int) -> bool:
    try:
        return ask(port, "")[0] == 401
    except OSError:
        return False


@pytest.mark.torture
@pytest.mark.parametrize(
    "preload",
    [pytest.param(False, marks=pytest.mark.torture(only=True)), True],
    ids=["each worker its own", "preload"],
)
@pytest.mark.parametrize("keyring", ["file", "bundle", pytest.param("server", marks=pytest.mark.postgres)])
def test_every_worker_answers_each_caller_about_its_own_key(
    opened: Opened, keyring: str, preload: bool, tmp_path: Path, rounds: Callable[[int, int], int]
):
    keys = {minted.text: (200, minted.record.key.prefix) for minted in opened.mint(count=20)}
    keys |= {UNKNOWN: (401, "INVALID_API_KEY"), "": (401, "MISSING_API_KEY")}
    env = environment(opened, keyring, tmp_path)

    with gunicorn(env, *(["--preload"] if preload else [])) as port, ThreadPoolExecutor(8) as pool:

        def ask_all(until: Callable[[set[str]], bool]) -> set[str]:
            """Ask with every key, until these workers have answered."""
            workers: set[str] = set()
            end = time.monotonic() + 30
            while not until(workers):
                assert time.monotonic() < end
                for key, (*answer, worker) in zip(keys, pool.map(lambda key: ask(port, key), keys), strict=True):
                    assert (*answer,) == keys[key]
                    workers.add(worker)
            return workers

        for _ in range(rounds(1, 200)):
            workers = ask_all(lambda workers: len(workers) == WORKERS)
        # one that ends is replaced by one that is forked later, from the same master
        os.kill(int(min(workers)), signal.SIGKILL)
        ask_all(lambda after: not after <= workers)


@pytest.mark.torture
@pytest.mark.parametrize("preload", [pytest.param(False, marks=pytest.mark.torture(only=True)), True])
@pytest.mark.parametrize(
    "keyring", ["file", "bundle", pytest.param("server", marks=[pytest.mark.postgres, pytest.mark.torture(only=True)])]
)
def test_the_workers_together_count_every_answer(
    opened: Opened, keyring: str, preload: bool, tmp_path: Path, rounds: Callable[[int, int], int]
):
    minted = opened.mint(count=5)
    file = tmp_path / "usage.jsonl"
    env = environment(opened, keyring, tmp_path)
    env["RECORD"] = str(file) if keyring == "bundle" else env["STORE"]
    asked = workers = 0

    with gunicorn(env, *(["--preload"] if preload else [])) as port, ThreadPoolExecutor(8) as pool:
        answered: set[str] = set()
        while asked < rounds(1, 40) or len(answered) < WORKERS:
            asked += 1
            answered |= {worker for *_, worker in pool.map(lambda one: ask(port, one.text), minted)}
        workers = len(answered)

    if keyring == "bundle":
        import_reports(opened.store, [file], now=utc_now())
    with opened.store.read() as connection:
        assert usage.totals(connection, since=NOW) == {one.record.key.id: {"VALID": asked} for one in minted}
        known = usage.instances(connection)
    assert all(one.ended_at for one in known)
    assert len(known) == workers + int(preload)


def environment(opened: Opened, keyring: str, folder: Path) -> dict[str, str]:
    if keyring == "bundle":
        signer = SigningKey.create(folder / "signing.key")
        export(opened, folder / "keys.bundle", signer)
        return {"BUNDLE": str(folder / "keys.bundle"), "TRUST": signer.public_text}
    return {"STORE": opened.store.location.url}
