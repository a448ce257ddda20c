"""What the time of a refusal says about a prefix: measured side by side, and compared by rank.

Expected, as help/security.md has it: with Argon2id the hash hides everything else. With SHA-256 an unknown prefix takes
less time than a known one. A row with one more value takes a fraction of a microsecond longer to read, which no single
call shows.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import median

import pytest

from keyctl import hashing
from keyctl.admin.hash_scheme import set_scheme
from keyctl.profiles.files import load_profile
from keyctl.store.selection import Selection
from keyctl.verifier import Verifier
from tests.stores import ACTOR, NOW, new_store
from tests.test_verifier import other_secret

FORMAT = load_profile("standard").key_format
KEYS = 50  # of each kind


@pytest.mark.torture(only=True)
@pytest.mark.parametrize(
    ("name", "scheme", "times", "known", "revoked"),
    [
        # The shares of pairs: half, give or take four standard deviations of the statistic.
        ("Argon2id", hashing.DEFAULT, 200, (0.38, 0.62), (0.38, 0.62)),
        ("SHA-256", hashing.Sha256(), 20_000, (0.6, 1.0), (0.4, 0.7)),
    ],
)
def test_what_the_time_of_a_refusal_says(
    tmp_path: Path,
    name: str,
    scheme: hashing.Scheme,
    times: int,
    known: tuple[float, float],
    revoked: tuple[float, float],
    figure: Callable[[str, object], None],
):
    opened = new_store(tmp_path / "keys.db")
    set_scheme(opened.store, ACTOR, scheme)
    active, ended = (opened.mint(count=KEYS) for _ in range(2))
    opened.admin.revoke(Selection.named(*[one.record.key.prefix for one in ended]))
    opened.store.close()
    refused = {
        "unknown prefix": [one.text for one in FORMAT.generate(KEYS, env="live")],
        "wrong secret": [other_secret(one.text) for one in active],
        "wrong secret of a revoked key": [other_secret(one.text) for one in ended],
    }

    with closing(Verifier.from_store(str(opened.path), clock=lambda: NOW, timer=lambda: 0.0)) as verifier:
        taken = side_by_side(verifier, refused, times)

    for kind, seconds in taken.items():
        figure(f"{name}: {kind}", f"{median(seconds) * 1e6:,.1f} µs")
    wrong = taken["wrong secret"]
    known_is_greater = greater(wrong, taken["unknown prefix"])
    revoked_is_greater = greater(taken["wrong secret of a revoked key"], wrong)
    figure(f"{name}: a known prefix takes longer than an unknown one", f"{known_is_greater:.0%} of pairs")
    figure(f"{name}: a revoked key takes longer than an active one", f"{revoked_is_greater:.0%} of pairs")
    assert known[0] < known_is_greater < known[1]
    assert revoked[0] < revoked_is_greater < revoked[1]


def side_by_side(verifier: Verifier, kinds: dict[str, list[str]], times: int) -> dict[str, list[float]]:
    """Verify keys of each kind so many times, in turns whose order is random, and return the seconds of each."""
    order, taken = Random(0), {kind: [] for kind in kinds}
    turns = {kind: cycle(keys) for kind, keys in kinds.items()}
    for keys in kinds.values():
        for key in keys:
            verifier.verify(key)
    gc.disable()
    try:
        for _ in range(times):
            for kind in order.sample(list(kinds), len(kinds)):
                [key] = islice(turns[kind], 1)
                start = time.perf_counter()
                decision = verifier.verify(key)
                taken[kind].append(time.perf_counter() - start)
                assert not decision
    finally:
        gc.enable()
    return taken


def greater(one: Sequence[float], other: Sequence[float]) -> float:
    """Return in which share of all pairs `one` is greater: Mann and Whitney's statistic, from the sum of its ranks."""
    ranked = sorted([(value, 1) for value in one] + [(value, 0) for value in other])
    ranks = sum(rank for rank, (_, of_one) in enumerate(ranked, 1) if of_one)
    return (ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))
