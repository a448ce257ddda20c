"""How far one PostgreSQL goes: `python -m tests.benchmarks postgres`. A table of numbers, which belong to a machine."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.hashing import DEFAULT, Argon2id
from keyctl.models import Actor, Status
from keyctl.profiles.files import load_profile
from keyctl.store import key_pages
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.schema import create
from keyctl.store.selection import Filters
from keyctl.times import utc_now
from keyctl.verifier import Verifier
from tests.postgres import NEWEST, schema, shared_server
from tests.stores import Kept

_ACTOR = Actor("bench@host")
_CHEAP = Argon2id(memory_kib=8, passes=1, lanes=1)
_FILL = """
insert into keys (
    id, prefix, phc, name, environment, scopes, allowed_ips, metadata, created_at, created_by, delivered_at
)
select
    'key_00' || lpad(n::text, 24, '0'), 'kc_live_' || substr(md5(n::text), 1, 12), %s, 'key ' || n, 'live', '["read"]',
    '[]', '{}', 1700000000000 + n * 10, 'bench@host', 1700000000000 + n * 10
from generate_series(1, %s) n on conflict do nothing
"""


def main(*, quick: bool) -> int:
    count = 50_000 if quick else 1_000_000
    with (
        tempfile.TemporaryDirectory(prefix="keyctl-bench-") as folder,
        # Nothing is switched off that a commit's safety depends on.
        shared_server(Path(folder), NEWEST, settings=["max_connections=100"]) as server,
        schema(server) as url,
    ):
        _measure(url, count, seconds=2 if quick else 10)
    return 0


def _measure(url: str, count: int, *, seconds: float) -> None:
    location = StoreLocation.parse(url)
    store, _ = create(location, load_profile("standard"), DEFAULT, actor=_ACTOR, now=utc_now())
    kept = Kept()
    [record] = KeyMinter(store, _ACTOR).mint(NewKey(name="the one"), kept)
    [text] = [minted.text for minted in kept.minted]
    with psycopg.connect(url) as connection:
        connection.execute(_FILL, [record.key.phc, count])
        [version] = connection.execute("show server_version").fetchone() or [""]
        [filled] = connection.execute("select count(*) from keys").fetchone() or [0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze keys")
    print(
        f"PostgreSQL {version}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}, {filled:,} keys, its own defaults"
    )

    _print_sizes(url, filled)
    _print_rates(store, location, text, seconds)
    _print_pages(store)
    _print_commands(url, text)
    store.close()


def _print_sizes(url: str, count: int) -> None:
    query = (
        "select pg_table_size('keys'), pg_indexes_size('keys'), pg_total_relation_size('events'),"
        " (select count(*) from events)"
    )
    with psycopg.connect(url) as connection:
        table, indexes, events, number = connection.execute(query).fetchone() or (0, 0, 0, 0)
        total = table + indexes
    _line("table of keys", f"{table / 2**20:,.0f} MiB", f"{table / count:,.0f} bytes a key")
    _line("its indexes", f"{indexes / 2**20:,.0f} MiB", f"{indexes / count:,.0f} bytes a key")
    _line("keys, all told", f"{total / 2**20:,.0f} MiB", f"{total / count:,.0f} bytes a key")
    _line("events", f"{events / 2**20:,.2f} MiB", f"{number} of them")


def _print_rates(store: Store, location: StoreLocation, text: str, seconds: float) -> None:
    verifier = Verifier(store, cache_size=0)
    _rate("verify, one after another, default hash", seconds, lambda: verifier.verify(text))
    prefix = text.rpartition("_")[0]
    _rate("of that, the look-up alone", seconds, lambda: store.find(prefix))
    admin = KeyMinter(store, _ACTOR)
    _rate("mint, one after another, default hash", seconds, lambda: admin.mint(NewKey(), Kept()))
    store.hash_parameters = _CHEAP
    _rate("mint, one after another, hash next to free", seconds, lambda: admin.mint(NewKey(), Kept()))
    for writers in (4, 16):
        _rate_of_several(f"the same from {writers} connections at once", location, writers, seconds)
    start = time.perf_counter()
    admin.mint(NewKey(), Kept(), count=10_000)
    _line("mint 10,000 at once, hash next to free", f"{10_000 / (time.perf_counter() - start):,.0f} a second")
    with psycopg.connect(location.url) as connection:
        query = "select pg_total_relation_size('events'), count(*) from events"
        size, number = connection.execute(query).fetchone() or (0, 1)
    _line("events after that", f"{size / 2**20:,.1f} MiB", f"{size / number:,.0f} bytes each")


def _rate(name: str, seconds: float, work: Callable[[], object]) -> None:
    work()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds:
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    _line(name, f"{len(times) / sum(times):,.0f} a second", f"median {statistics.median(times) * 1000:.2f} ms")


def _rate_of_several(name: str, location: StoreLocation, writers: int, seconds: float) -> None:
    code = (
        "import sys, time; from tests.benchmarks.postgres import mint_for; "
        "print(mint_for(sys.argv[1], float(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, location.url, str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(writers)]
    done = sum(float(process.communicate()[0]) for process in processes)
    _line(name, f"{done:,.0f} a second")


def mint_for(url: str, seconds: float) -> float:
    """Mint one key after another; return how many a second. Run in a process of its own, next to others."""
    store = Store(StoreLocation.parse(url), wait=60)
    store.hash_parameters = _CHEAP
    admin = KeyMinter(store, _ACTOR)
    number, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        admin.mint(NewKey(), Kept())
        number += 1
    rate = number / (time.perf_counter() - start)
    store.close()
    return rate


def _print_pages(store: Store) -> None:
    now = utc_now()

    def page(filters: Filters, **how: object) -> key_pages.Page:
        with store.read() as connection:
            return key_pages.page(connection, filters, now=now, **how)

    deep = None
    for _ in range(50):
        deep = page(Filters(), after=deep, limit=1000).next
    _time("list, the first 100", lambda: page(Filters()))
    _time("list, 100 after 50,000", lambda: page(Filters(), after=deep))
    _time("list --status active", lambda: page(Filters(statuses=(Status.ACTIVE,))))
    _time("list --sort name", lambda: page(Filters(), sort="name"))
    _time("list --name '*77*'", lambda: page(Filters(names=("*77*",))))


def _time(name: str, work: Callable[[], object]) -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    _line(name, f"{statistics.median(times) * 1000:,.1f} ms")


def _print_commands(url: str, text: str) -> None:
    env = {"PATH": os.defpath, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "KEYCTL_STORE": url}

    def run(*args: str) -> None:
        command = [sys.executable, "-P", "-m", "keyctl", *args]
        done = subprocess.run(command, env=env, input=text, text=True, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, args

    for args in (["verify"], ["list", "--quiet"], ["mint"]):
        _time(f"keyctl {' '.join(args)}, the whole process", lambda args=args: run(*args))


def _line(name: str, *values: str) -> None:
    print(f"{name:<45}", *(f"{value:>18}" for value in values), flush=True)
