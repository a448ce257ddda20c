"""Measures every pair in turn, and prints a table as Markdown for each peer."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from keyctl.hashing import Sha256
from tests.benchmarks.measure import Result, Row, Run, Took, command, keyctl, measure
from tests.benchmarks.stores import make_store

HERE = Path(__file__).parent
PEERS = Path(__file__).parents[3] / ".bench/peers/bin/python"
KEYS = 10_000


class Pair(NamedTuple):
    """What both do. `note` is what a reader must know to compare."""

    what: str
    peer: str
    ours: Run
    theirs: Run
    note: str


def main() -> None:
    quick = os.environ.get("QUICK", "") not in {"", "0"}
    with tempfile.TemporaryDirectory(prefix="keyctl-bench-") as folder:
        for peer, pairs in groupby(_pairs(Path(folder)), key=lambda pair: pair.peer):
            print(f"\nBeside {peer}:\n")
            print("| what | keyctl | other | ratio | note |\n| --- | ---: | ---: | ---: | --- |")
            for pair in pairs:
                result = measure(Row(pair.what, 1.0, pair.ours, pair.theirs, 3 if quick else 5, by="wall"))
                print(_line(pair, result), flush=True)
    print(
        f"\nMedians of runs in turn, on the clock; SQLite stores of {KEYS:,} keys; {os.cpu_count()} cores, Python ",
        end="",
    )
    print(f"{sys.version.split()[0]}; {', '.join(_versions())}.")


def _line(pair: Pair, result: Result) -> str:
    ours, theirs = (statistics.median(seconds) for seconds in (result.ours, result.floor))
    faster = f"{theirs / ours:.2g}" if theirs < 10 * ours else f"{theirs / ours:,.0f}"
    return f"| {pair.what} | {_seconds(ours)} | {_seconds(theirs)} | {faster} | {pair.note} |"


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _pairs(folder: Path) -> Iterator[Pair]:
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    here = Path(__file__).parents[3]
    ours_env = {**env, "PYTHONPATH": str(here)}
    store, sha256 = folder / "store.db", folder / "sha256.db"
    key, sha256_key = make_store(store, KEYS), make_store(sha256, KEYS, Sha256())

    # ── at the shell ──
    shielded = folder / "keyshield.db"
    shielded_key = _output([PEERS, HERE / "keyshield_service.py", "make", shielded, "default", str(KEYS)], env=env)
    theirs = {
        delay: {**env, "DATABASE": str(shielded), "DELAY": delay, "PYTHONWARNINGS": "ignore"}
        for delay in ("default", "none")
    }
    cli = [PEERS, HERE / "keyshield_cli.py"]
    mint = keyctl("mint", "--name", "ci", "--store", store, env=env)
    create = command([*cli, "create", "--name", "ci"], env=theirs["none"])
    yield Pair("create a key, at the shell", "keyshield", mint, create, "its key is printed among other text, in a box")
    listed = keyctl("list", "--quiet", "--limit", "20", "--store", store, env=env)
    yield Pair("list 20 keys, at the shell", "keyshield", listed, command([*cli, "list"], env=theirs["none"]), "")
    verify = keyctl("verify", "--store", store, stdin=key, env=env)
    for delay, note in {
        "default": "it waits 0.1 to 0.3 s on purpose; its key is an argument, which other users can see",
        "none": "without its wait",
    }.items():
        checked = command([*cli, "verify", shielded_key], env=theirs[delay])
        yield Pair("verify a key, at the shell", "keyshield", verify, checked, note)

    # ── in a process ──
    def again(how: str, calls: int, path: Path, text: str) -> Run:
        script = HERE / "keyctl_verifier.py"
        return _told([sys.executable, "-P", script, path, str(calls), how], stdin=text, env=ours_env)

    same = folder / "same.db"
    same_key = _output([PEERS, HERE / "keyshield_service.py", "make", same, "same", str(KEYS)], env=env)

    def service(path: Path, text: str, *options: str) -> Run:
        return _told([PEERS, HERE / "keyshield_service.py", "verify", path, *options], stdin=text, env=env)

    hashed = again("hashed", 30, store, key)
    yield Pair(
        "verify, hashing, in a process",
        "keyshield",
        hashed,
        service(shielded, shielded_key, "default", "10", "default", "plain"),
        "with its defaults: Argon2id of 64 MiB and 3 passes, the wait, and a write of the last use",
    )
    yield Pair(
        "the same",
        "keyshield",
        hashed,
        service(same, same_key, "same", "30", "none", "plain"),
        "with keyctl's Argon2id parameters and without its wait; it still writes the last use",
    )
    remembered = again("remembered", 20_000, store, key)
    yield Pair(
        "verify a key seen before",
        "keyshield",
        remembered,
        service(same, same_key, "same", "100", "none", "cached"),
        "cached, without its wait; it still writes the last use, on every call",
    )
    django = folder / "django.db"
    django_key = _output([PEERS, HERE / "drf.py", "make", django, str(KEYS)], env=env)
    is_valid = _told([PEERS, HERE / "drf.py", "verify", django, "500"], stdin=django_key, env=env)
    yield Pair(
        "verify, a look-up and a cheap hash on every call",
        "djangorestframework-api-key",
        again("hashed", 5_000, sha256, sha256_key),
        is_valid,
        "the `sha256` scheme, salted, beside its SHA-512, unsalted",
    )
    yield Pair("verify a key seen before", "djangorestframework-api-key", remembered, is_valid, "it has no cache")
    yield Pair(
        "verify, hashing, in a process",
        "djangorestframework-api-key",
        hashed,
        is_valid,
        "slower on purpose: Argon2id beside one SHA-512; the `sha256` row above compares like with like",
    )


def _told(args: Sequence[str | Path], *, stdin: str, env: dict[str, str]) -> Run:
    """Run a process that measures itself, and prints what it found."""
    return lambda: Took(**json.loads(_output(args, stdin=stdin, env=env)))


def _output(args: Sequence[str | Path], *, stdin: str = "", env: dict[str, str]) -> str:
    return subprocess.run(args, input=stdin, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _versions() -> list[str]:
    listing = "from importlib.metadata import version; import sys; print(*map(version, sys.argv[1:]), sep='\\n')"
    names = ["keyshield", "djangorestframework-api-key", "django"]
    versions = _output([PEERS, "-c", listing, *names], env={}).splitlines()
    return [" ".join(pair) for pair in zip(names, versions, strict=True)]


if __name__ == "__main__":
    main()
