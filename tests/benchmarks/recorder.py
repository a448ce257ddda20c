"""What a recorder adds to an answer about a key that was verified before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from keyctl.recorder import Recorder
from keyctl.times import utc_now
from keyctl.verifier import Verifier
from tests.benchmarks.measure import Row, calls
from tests.stores import new_store


def rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """Yield the row: `verify` with a recorder, beside `verify` without one."""
    opened = new_store(folder / "recorded.db")
    opened.clock.now = utc_now()
    [minted] = opened.mint()
    url = opened.store.location.url
    with (
        closing(opened.store),
        closing(Recorder.to_store(url, name="benchmark", every=3600)) as recorder,
        Verifier.from_store(url, recorder=recorder) as recorded,
        Verifier.from_store(url) as plain,
    ):
        ours = calls(lambda _: recorded.verify(minted.text), range(2_000))
        floor = calls(lambda _: plain.verify(minted.text), range(2_000))
        yield Row("verify with a recorder", 1.3, ours, floor, 7 if quick else 21, by="cpu")
