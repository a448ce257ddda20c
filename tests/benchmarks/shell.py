"""Whole processes, as a shell starts them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from keyctl.bundles.signing import SigningKey
from tests.benchmarks.measure import Row, Run, Took, floor, keyctl, times
from tests.benchmarks.stores import bundle_of, make_store, minted_store, store_of


def rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """Yield the rows; each is measured before the next one's stores are made."""
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    few, some, many = (1_000, 10_000, 100_000) if quick else (1_000, 100_000, 1_000_000)
    runs = 7 if quick else 21

    floor_help = floor("help", "--help", env=env)
    yield Row("keyctl --help", 1.5, keyctl("--help", env=env), floor_help, runs)
    yield Row("keyctl mint --help", 1.5, keyctl("mint", "--help", env=env), floor_help, runs)
    for what, line in {"commands": "keyctl re", "options": "keyctl mint --"}.items():
        asked = {"_KEYCTL_COMPLETE": "complete_bash", "_KEYCTL_LINE": line}
        yield Row(f"a TAB for {what}", 1.5, keyctl(env=env | asked), floor_help, runs)

    store = store_of(folder, some)
    ours = keyctl("verify", "--store", store.path, stdin=store.key, env=env)
    plain = floor("verify", store.path, store.prefix, stdin=store.key, env=env)
    yield Row(f"keyctl verify, {some:,} keys", 2.0, ours, plain, runs)

    mintable = folder / "mintable.db"
    make_store(mintable, few)
    mint = keyctl("mint", "--store", mintable, env=env)
    yield Row("keyctl mint", 1.35, mint, floor("mint", folder / "floor.db", env=env), runs)

    small, large = store_of(folder, few), store_of(folder, many)
    against = f"{many:,} keys against {few:,}"
    verify_large, verify_small = (
        keyctl("verify", "--store", made.path, stdin=made.key, env=env) for made in (large, small)
    )
    yield Row(f"keyctl verify, {against}", 1.1, verify_large, verify_small, runs)
    list_large, list_small = (keyctl("list", "--quiet", "--store", made.path, env=env) for made in (large, small))
    yield Row(f"keyctl list, first page, {against}", 1.3, list_large, list_small, runs)

    yield from _bundles(folder, few, some, many, runs=runs, env=env)

    yield _copy(folder, many // 10, runs=runs // 4, env=env)

    # Several threads compute at once, so only the wall clock counts.
    count = 200 if quick else 1_000
    bulk = keyctl("mint", "--count", str(count), "--store", mintable, env=env)
    yield Row(
        f"keyctl mint --count {count:,}", 1.15, bulk, floor("hashes", str(count), env=env), 3 if quick else 5, by="wall"
    )


def _copy(folder: Path, count: int, *, runs: int, env: dict[str, str]) -> Row:
    source, target = minted_store(folder / "minted.db", count), folder / "copied.db"
    ours = keyctl("db", "copy", "--quiet", "--to", target, "--store", source, env=env)

    def copy() -> Took:
        target.unlink(missing_ok=True)
        return ours()

    return Row(f"keyctl db copy, {count:,} keys", 3.0, copy, floor("copy", source, target, env=env), runs)


def _bundles(folder: Path, few: int, some: int, many: int, *, runs: int, env: dict[str, str]) -> Iterator[Row]:
    keyctl("bundle", "key", "--quiet", "--create", "--key", folder / "bundle.key", env=env)()
    trust = SigningKey.load(folder / "bundle.key").public_text

    def export(count: int) -> Run:
        options = ("--key", folder / "bundle.key", "--store", store_of(folder, count).path)
        return keyctl("bundle", "export", bundle_of(folder, count), *options, env=env)

    def verify(count: int) -> Run:
        key = store_of(folder, count).key
        return keyctl("verify", "--bundle", bundle_of(folder, count), "--trust", trust, stdin=key, env=env)

    # The longest of all rows, so each runs once; the bundles are what the rows below, and those in process, read.
    tenth = max(some, many // 10)
    large, small = functools.cache(export(many)), functools.cache(export(tenth))
    export(few)()
    name = f"keyctl bundle export, {many:,} keys"
    yield Row(f"{name} against {many // tenth} × {tenth:,}", 1.2, large, times(small, many // tenth), 1)
    yield Row(f"{name}, memory against 250 MB", 1.0, large, lambda: Took(0, 0, 0.25), 1, by="memory")

    store = store_of(folder, some)
    plain = floor("verify_bundle", store.path, store.prefix, bundle_of(folder, some), stdin=store.key, env=env)
    yield Row(f"keyctl verify --bundle, {some:,} keys", 2.0, verify(some), plain, runs)
    yield Row(f"keyctl verify --bundle, {many:,} keys against {few:,}", 1.1, verify(many), verify(few), runs)
