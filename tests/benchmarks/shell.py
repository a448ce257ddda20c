"""Whole processes, as a shell starts them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import Row, floor, keyctl
from tests.benchmarks.stores import make_store


def rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """Yield the rows; each is measured before the next one's stores are made."""
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    few, some, many = (1_000, 10_000, 100_000) if quick else (1_000, 100_000, 1_000_000)
    runs = 11 if quick else 31

    floor_help = floor("help", "--help", env=env)
    yield Row("keyctl --help", 1.5, keyctl("--help", env=env), floor_help, runs)
    yield Row("keyctl mint --help", 1.5, keyctl("mint", "--help", env=env), floor_help, runs)
    for what, line in {"commands": "keyctl re", "options": "keyctl mint --"}.items():
        asked = {"_KEYCTL_COMPLETE": "complete_bash", "_KEYCTL_LINE": line}
        yield Row(f"a TAB for {what}", 1.5, keyctl(env=env | asked), floor_help, runs)

    store = folder / "some.db"
    key = make_store(store, some)
    prefix = key.rpartition("_")[0]
    ours = keyctl("verify", "--store", store, stdin=key, env=env)
    yield Row(f"keyctl verify, {some:,} keys", 2.0, ours, floor("verify", store, prefix, stdin=key, env=env), runs)

    small = folder / "few.db"
    small_key = make_store(small, few)
    mint = keyctl("mint", "--store", small, env=env)
    yield Row("keyctl mint", 1.35, mint, floor("mint", folder / "floor.db", env=env), runs)

    large = folder / "many.db"
    large_key = make_store(large, many)
    against = f"{many:,} keys against {few:,}"
    verify_large = keyctl("verify", "--store", large, stdin=large_key, env=env)
    verify_small = keyctl("verify", "--store", small, stdin=small_key, env=env)
    yield Row(f"keyctl verify, {against}", 1.1, verify_large, verify_small, runs)
    list_large, list_small = (keyctl("list", "--quiet", "--store", path, env=env) for path in (large, small))
    yield Row(f"keyctl list, first page, {against}", 1.3, list_large, list_small, runs)

    # Several threads compute at once, so only the clock tells.
    count = 200 if quick else 1_000
    bulk = keyctl("mint", "--count", str(count), "--store", small, env=env)
    yield Row(
        f"keyctl mint --count {count:,}", 1.15, bulk, floor("hashes", str(count), env=env), 3 if quick else 5, by="wall"
    )
